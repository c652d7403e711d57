"""Operations that compute: layers, gates, windows of frames."""

from __future__ import annotations

from dataclasses import replace

from linnet.format.operations import (
    ACTIVATIONS,
    Add,
    Embedding,
    Gates,
    History,
    Linear,
    Operand,
    Subscale,
    Upsample,
)
from linnet_export.building.buffers import Buffer, Layer, Slot
from linnet_export.building.program import Program, expect
from linnet_export.building.tensors import Weights


class Layers(Program):
    """Emits what computes."""

    def linear(
        self,
        name: str,
        weights: Weights,  # (rows, cols)
        input: Buffer,
        *,
        bias: Weights | None = None,  # (rows,)
        add: Buffer | None = None,
        activation: str = "none",
        out: Buffer | None = None,
        prunable: bool = False,
        parts: tuple[int, int] = (1, 1),
    ) -> Buffer:
        """out = activation((W in + bias) + add), new unless given; parts as in `Storage.matrix`."""
        layer = self.layer(name, weights, bias=bias, prunable=prunable, parts=parts)
        return self.apply(layer, input, add=add, activation=activation, out=out)

    def layer(
        self,
        name: str,
        weights: Weights,  # (rows, cols)
        *,
        bias: Weights | None = None,  # (rows,)
        prunable: bool = False,
        parts: tuple[int, int] = (1, 1),
    ) -> Layer:
        """Store a matrix and its bias for several linear operations."""
        rows, cols = weights.shape
        expect(
            bias is None or bias.shape == (rows,),
            f"{name}: {rows} rows, but another number of biases",
        )
        matrix = self.tensor(
            name, self.storage.matrix(name, weights, prunable=prunable, parts=parts)
        )
        vector = None
        if bias is not None:
            vector = self.vector(f"{name}.bias", bias)
        return Layer(name, rows, cols, matrix, vector)

    def apply(
        self,
        layer: Layer,
        input: Buffer,
        *,
        add: Buffer | None = None,
        activation: str = "none",
        out: Buffer | None = None,
    ) -> Buffer:
        """out = activation((W in + bias) + add), new unless given."""
        name, rows, cols = layer.name, layer.rows, layer.cols
        out = out or self.buffer(rows)
        expect(input.size == cols, f"{name}: {cols} columns, but its input has {input.size} floats")
        expect(out.size == rows, f"{name}: {rows} rows, but its output has {out.size} floats")
        expect(add is None or add.size == rows, f"{name}: {rows} rows, but another number to add")
        self.emit(
            Linear(
                layer.weights,
                layer.bias,
                ACTIVATIONS.index(activation),
                input.operand,
                out.operand,
                add.operand if add else None,
            )
        )
        return out

    def gates(self, recurrent: Buffer, input: Buffer, state: Buffer) -> None:
        """One GRU step of `state`."""
        for what, buffer in (("recurrent", recurrent), ("input", input)):
            expect(
                buffer.size == 3 * state.size,
                f"gates: {buffer.size} {what} sums for {state.size} units",
            )
        self.emit(Gates(state.size, recurrent.operand, state.operand, input.operand))

    def history(
        self, input: Buffer, frames: int, initial: tuple[str, Weights] | None = None
    ) -> Buffer:
        """The last `frames` frames of `input`, oldest first.

        initial: a name and the window (frames, size) after a reset; None: zeros.
        """
        out = self.buffer(frames * input.size)
        self.history_into(input, out, initial)
        return out

    def history_into(
        self, input: Buffer, out: Buffer, initial: tuple[str, Weights] | None = None
    ) -> None:
        """As `history`, into a given buffer of a multiple of the input's floats."""
        frames, rest = divmod(out.size, input.size)
        expect(
            not rest, f"history: {out.size} floats hold no whole number of frames of {input.size}"
        )
        window = None
        if initial is not None:
            name, values = initial
            expect(values.shape == (frames, input.size), f"{name}: not the window's frames")
            window = self.vector(name, values)
        self.emit(History(input.size, frames, window, input.operand, out.operand))

    def upsample(self, name: str, weights: Weights, input: Buffer) -> Buffer:
        """out[i] = sum over j of weights[i, j] in[j]; (rows, window), (window, channels)."""
        rows, window = weights.shape
        channels, rest = divmod(input.size, window)
        expect(rows == self.n_rows, f"{name}: {rows} rows, but a frame has {self.n_rows}")
        expect(not rest, f"{name}: {window} columns, but its input has {input.size} floats")
        vector = self.vector(name, weights)
        out = self.rows(channels)
        self.emit(Upsample(vector, channels, window, input.operand, out.operand))
        return out

    def subscale(self, sub_tensors: int, future: int, past: int, conditions: Buffer) -> Buffer:
        """What a sub-tensor sees of those before it: makes the sample program that of each of them,
        and the voice's look-ahead longer by the frames between the first and the last."""
        first = Subscale(sub_tensors, future, past, conditions.operand, Operand(0), conditions.size)
        out = self.buffer(first.window)
        self.emit(replace(first, out=out.operand))
        self.lookahead += first.frames_ahead(self.hop_length)
        return out

    def add(self, a: Buffer, b: Buffer, out: Buffer, activation: str = "none") -> None:
        """out = activation(a + b)."""
        expect(a.size == b.size == out.size, f"add: {a.size}, {b.size} and {out.size} floats")
        number = ACTIVATIONS.index(activation)
        self.emit(Add(out.size, number, a.operand, out.operand, b.operand))

    def embedding(self, name: str, table: Weights, slot: Slot) -> Buffer:
        """The table's row of the slot's token; table (classes, size)."""
        expect(
            table.shape[0] == slot.classes,
            f"{name}: {table.shape[0]} rows for {slot.classes} classes",
        )
        index = self.tensor(name, self.storage.table(name, table))
        out = self.buffer(table.shape[1])
        self.emit(Embedding(index, slot.number, out.operand))
        return out

    def logits(
        self, name: str, weights: Weights, input: Buffer, bias: Weights, temperature: float
    ) -> Buffer:
        """The last layer before a draw: (W in + bias) / temperature, which the file notes."""
        self.temperature = temperature
        return self.linear(
            name, weights / temperature, input, bias=bias / temperature, prunable=True
        )
