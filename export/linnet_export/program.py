"""Building a voice: plans the arena and emits operations, checking every shape on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from linnet.blocks import GROUP, Packed, ceil_div
from linnet.format import Header, Tensor, VoiceFile
from linnet.operations import (
    ACTIVATIONS,
    COMPANDINGS,
    Add,
    Draw,
    Embedding,
    Gates,
    History,
    Linear,
    Operand,
    Operation,
    Output,
    Upsample,
)
from linnet_export.config import Signal
from linnet_export.storage import Storage, Weights


@dataclass(frozen=True)
class Buffer:
    """Floats of the arena: `size` at `offset`, and `stride` further for every sample of a frame.

    A slice is a buffer, so concatenation is one buffer whose slices are written separately.
    """

    offset: int
    size: int
    stride: int = 0

    def __getitem__(self, part: slice) -> Buffer:
        start, stop, step = part.indices(self.size)
        if step != 1 or stop <= start:
            raise ValueError(
                f"[{part.start}:{part.stop}] is no part of a buffer of {self.size} floats"
            )
        return Buffer(self.offset + start, stop - start, self.stride)

    @property
    def operand(self) -> Operand:
        return Operand(self.offset, self.stride)


@dataclass(frozen=True)
class Slot:
    """A token slot and how many classes its draw has."""

    number: int
    classes: int


class Builder:
    """Collects buffers, tensors and operations of one voice.

    Operations go to the frame program until `begin_samples`, then to the sample program.
    """

    def __init__(
        self,
        sample_rate: int,
        hop_length: int,
        n_features: int,
        storage: Storage,
        margin: tuple[int, int] = (0, 0),
    ) -> None:
        """margin: floats that stay zero before and behind the features of a frame."""
        self.sample_rate = sample_rate
        self.hop_length = hop_length
        self.storage = storage
        self.lookahead = 0
        self.priming = 0
        self._floats = 0
        self._tensors: dict[str, Packed] = {}
        self._slots: list[Slot] = []
        self._frame: list[Operation] = []
        self._sample: list[Operation] = []
        self._operations = self._frame
        self.features_with_margin = self.buffer(margin[0] + n_features + margin[1])
        self.features = self.features_with_margin[margin[0] : margin[0] + n_features]

    def buffer(self, size: int) -> Buffer:
        """New floats, zero after a reset, at a multiple of 16.

        16 spare floats follow, because products read up to the next multiple of a block's columns,
        also from a slice.
        """
        buffer = Buffer(self._floats, size)
        self._floats += (ceil_div(size, GROUP) + 1) * GROUP
        return buffer

    def rows(self, size: int) -> Buffer:
        """New floats for each sample of a frame: one row of `size` per sample."""
        stride = ceil_div(size, GROUP) * GROUP
        return Buffer(self.buffer(stride * self.hop_length).offset, size, stride)

    def slot(self, classes: int) -> Slot:
        """A new token slot."""
        self._slots.append(Slot(len(self._slots), classes))
        return self._slots[-1]

    def begin_samples(self) -> None:
        """From here on operations go to the sample program."""
        self._operations = self._sample

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
        rows, cols = weights.shape
        out = out or self.buffer(rows)
        _expect(
            input.size == cols, f"{name}: {cols} columns, but its input has {input.size} floats"
        )
        _expect(out.size == rows, f"{name}: {rows} rows, but its output has {out.size} floats")
        _expect(add is None or add.size == rows, f"{name}: {rows} rows, but another number to add")
        _expect(
            bias is None or bias.shape == (rows,),
            f"{name}: {rows} rows, but another number of biases",
        )
        matrix = self._tensor(
            name, self.storage.matrix(name, weights, prunable=prunable, parts=parts)
        )
        vector = None
        if bias is not None:
            vector = self._tensor(f"{name}.bias", self.storage.vector(f"{name}.bias", bias))
        self._operations.append(
            Linear(
                matrix,
                vector,
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
            _expect(
                buffer.size == 3 * state.size,
                f"gates: {buffer.size} {what} sums for {state.size} units",
            )
        self._operations.append(Gates(state.size, recurrent.operand, state.operand, input.operand))

    def history(self, input: Buffer, frames: int) -> Buffer:
        """The last `frames` frames of `input`, oldest first."""
        out = self.buffer(frames * input.size)
        self.history_into(input, out)
        return out

    def history_into(self, input: Buffer, out: Buffer) -> None:
        """As `history`, into a given buffer of a multiple of the input's floats."""
        frames, rest = divmod(out.size, input.size)
        _expect(
            not rest, f"history: {out.size} floats hold no whole number of frames of {input.size}"
        )
        self._operations.append(History(input.size, frames, input.operand, out.operand))

    def upsample(self, name: str, weights: Weights, input: Buffer) -> Buffer:
        """out[i] = sum over j of weights[i, j] in[j]; (hop_length, window), (window, channels)."""
        hop, window = weights.shape
        channels, rest = divmod(input.size, window)
        _expect(
            hop == self.hop_length, f"{name}: {hop} rows for {self.hop_length} samples per frame"
        )
        _expect(not rest, f"{name}: {window} columns, but its input has {input.size} floats")
        vector = self._tensor(name, self.storage.vector(name, weights.reshape(-1)))
        out = self.rows(channels)
        self._operations.append(Upsample(vector, channels, window, input.operand, out.operand))
        return out

    def add(self, a: Buffer, b: Buffer, out: Buffer) -> None:
        """out = a + b."""
        _expect(a.size == b.size == out.size, f"add: {a.size}, {b.size} and {out.size} floats")
        self._operations.append(Add(out.size, a.operand, out.operand, b.operand))

    def embedding(self, name: str, table: Weights, slot: Slot) -> Buffer:
        """The table's row of the slot's token; table (classes, size)."""
        _expect(
            table.shape[0] == slot.classes,
            f"{name}: {table.shape[0]} rows for {slot.classes} classes",
        )
        index = self._tensor(name, self.storage.table(name, table))
        out = self.buffer(table.shape[1])
        self._operations.append(Embedding(index, slot.number, out.operand))
        return out

    def draw(
        self,
        slot: Slot,
        logits: Buffer,
        out: Buffer,
        *,
        scale: float,
        offset: float,
        initial_token: int,
        initial_value: float | None = None,
    ) -> None:
        """Draw the slot's token; out = token scale + offset; before, the initial token's value."""
        _expect(
            logits.size == slot.classes, f"draw: {logits.size} logits for {slot.classes} classes"
        )
        if initial_value is None:
            initial_value = float(
                np.float32(initial_token * float(np.float32(scale)) + float(np.float32(offset)))
            )
        operands = (logits.operand, out.operand)
        self._operations.append(
            Draw(
                slot.classes,
                slot.number,
                initial_token,
                *operands,
                scale,
                offset,
                initial_value,
                slot.number,
            )
        )

    def output(self, signal: Signal, high: Slot, low: Slot | None = None) -> None:
        """Turn the tokens into the sample."""
        mu = signal.mu if signal.companding == "mu-law" else 0.0
        self._operations.append(
            Output(
                high.number,
                low.number if low else None,
                COMPANDINGS.index(signal.companding),
                self.buffer(1).operand,
                signal.scale,
                -1.0,
                mu,
                math.log1p(mu),
                1 / mu if mu else 0.0,
                signal.pre_emphasis,
            )
        )

    def voice(self, metadata: dict[str, Any]) -> VoiceFile:
        """The finished description."""
        header = Header(
            self.sample_rate,
            self.hop_length,
            self.features.size,
            self.lookahead,
            self.priming,
            self._floats,
            len(self._slots),
            self.features.offset,
        )
        tensors = tuple(Tensor(name, packed) for name, packed in self._tensors.items())
        return VoiceFile(header, metadata, tensors, tuple(self._frame), tuple(self._sample))

    def _tensor(self, name: str, packed: Packed) -> int:
        _expect(name not in self._tensors, f"{name}: a second tensor of that name")
        self._tensors[name] = packed
        return len(self._tensors) - 1


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
