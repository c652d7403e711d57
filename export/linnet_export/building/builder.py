"""Building a voice: plans the arena and emits operations, checking every shape on the way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from linnet.format.blocks import GROUP, Packed, ceil_div
from linnet.format.operations import (
    ACTIVATIONS,
    COMPANDINGS,
    SCALE_ACTIVATIONS,
    Add,
    Bands,
    Draw,
    Embedding,
    Gates,
    History,
    Linear,
    Logistics,
    Operand,
    Operation,
    Output,
    Predict,
    StepUp,
    Upsample,
    bands_state_size,
)
from linnet.format.tensor import Tensor
from linnet.format.voice_file import Header, VoiceFile
from linnet_export.building.buffers import Buffer, Layer, Slot
from linnet_export.building.tensors import Weights
from linnet_export.config import Signal
from linnet_export.writing.storage import Storage


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
        samples_per_step: int = 1,
        steps_per_row: int = 1,
    ) -> None:
        """margin: floats that stay zero before and behind the features of a frame.

        A frame has hop_length / samples_per_step steps, every steps_per_row of which see the same
        row of what the frame program makes for them.
        """
        per_row = samples_per_step * steps_per_row
        _expect(
            hop_length % per_row == 0,
            f"rows of {per_row} samples do not divide a hop of {hop_length}",
        )
        self.samples_per_step = samples_per_step
        self.steps_per_row = steps_per_row
        self.n_rows = hop_length // per_row  # per frame
        self.sample_rate = sample_rate
        self.hop_length = hop_length
        self.storage = storage
        self.lookahead = 0
        self.priming = 0
        self._silence: int | None = None
        self._temperature = 1.0
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
        """New floats for each row of a frame: `size` of them."""
        stride = ceil_div(size, GROUP) * GROUP
        return Buffer(self.buffer(stride * self.n_rows).offset, size, stride)

    def silence(self, features: Weights) -> None:
        """What a silent frame holds, such as those that priming and look-ahead run on."""
        _expect(features.shape == (self.features.size,), "silence is no frame")
        self._silence = self._tensor("silence", self.storage.vector("silence", features))

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
        _expect(
            input.size == cols, f"{name}: {cols} columns, but its input has {input.size} floats"
        )
        _expect(out.size == rows, f"{name}: {rows} rows, but its output has {out.size} floats")
        _expect(add is None or add.size == rows, f"{name}: {rows} rows, but another number to add")
        self._operations.append(
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
            _expect(
                buffer.size == 3 * state.size,
                f"gates: {buffer.size} {what} sums for {state.size} units",
            )
        self._operations.append(Gates(state.size, recurrent.operand, state.operand, input.operand))

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
        _expect(
            not rest, f"history: {out.size} floats hold no whole number of frames of {input.size}"
        )
        window = None
        if initial is not None:
            name, values = initial
            _expect(values.shape == (frames, input.size), f"{name}: not the window's frames")
            window = self._tensor(name, self.storage.vector(name, values.reshape(-1)))
        self._operations.append(History(input.size, frames, window, input.operand, out.operand))

    def upsample(self, name: str, weights: Weights, input: Buffer) -> Buffer:
        """out[i] = sum over j of weights[i, j] in[j]; (rows, window), (window, channels)."""
        rows, window = weights.shape
        channels, rest = divmod(input.size, window)
        _expect(rows == self.n_rows, f"{name}: {rows} rows, but a frame has {self.n_rows}")
        _expect(not rest, f"{name}: {window} columns, but its input has {input.size} floats")
        vector = self._tensor(name, self.storage.vector(name, weights.reshape(-1)))
        out = self.rows(channels)
        self._operations.append(Upsample(vector, channels, window, input.operand, out.operand))
        return out

    def add(self, a: Buffer, b: Buffer, out: Buffer, activation: str = "none") -> None:
        """out = activation(a + b)."""
        _expect(a.size == b.size == out.size, f"add: {a.size}, {b.size} and {out.size} floats")
        number = ACTIVATIONS.index(activation)
        self._operations.append(Add(out.size, number, a.operand, out.operand, b.operand))

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

    def logits(
        self, name: str, weights: Weights, input: Buffer, bias: Weights, temperature: float
    ) -> Buffer:
        """The last layer before a draw: (W in + bias) / temperature, which the file notes."""
        self._temperature = temperature
        return self.linear(
            name, weights / temperature, input, bias=bias / temperature, prunable=True
        )

    def logistics(
        self,
        logits: Buffer,
        means: Buffer,
        scales: Buffer,
        out: Buffer,
        *,
        spread: str = "exp",
        least_scale: float = -86.0,
        steps: float = 0.0,
        classes: int = 65536,
    ) -> None:
        """Draw a value for each float of `out` from mixtures of logistics.

        logits, means, scales: (bands x mixtures); a logistic's scale is exp or softplus
        (`spread`) of its parameter, which counts as least_scale where it is less. steps: a value
        has them per unit, and is cut to 16 bits; with 0 it is any number of [-1, 1], and a score
        knows `classes` even ones.
        """
        mixtures, rest = divmod(logits.size, out.size)
        _expect(
            not rest and logits.size == means.size == scales.size,
            f"logistics: {logits.size} logits, {means.size} means and {scales.size} scales for "
            f"{out.size} bands",
        )
        self._operations.append(
            Logistics(
                mixtures,
                out.size,
                SCALE_ACTIVATIONS.index(spread),
                logits.operand,
                out.operand,
                means.operand,
                scales.operand,
                least_scale,
                len(self._slots),
                steps,
                classes,
            )
        )

    def bands(
        self, bands: Buffer, filters: Weights | None = None, pre_emphasis: float = 0.0
    ) -> None:
        """Turn a value of each band into as many samples.

        filters: (2, sections), coefficients of the two all-pass filters that merge two bands;
        None for one band.
        """
        levels = bands.size.bit_length() - 1
        _expect(1 << levels == bands.size, f"bands: {bands.size} is no power of two")
        _expect((filters is None) == (levels == 0), f"bands: filters do not go with {bands.size}")
        weights, coefficients = None, 0
        if filters is not None:
            weights = self._tensor("bands", self.storage.vector("bands", filters.reshape(-1)))
            coefficients = filters.size
        state = self.buffer(bands_state_size(levels, coefficients)).operand
        self._operations.append(Bands(levels, weights, bands.operand, state, pre_emphasis))

    def step_up(self, reflection: Buffer) -> Buffer:
        """Prediction coefficients (order) from reflection coefficients (order)."""
        out = self.buffer(reflection.size)
        self._operations.append(StepUp(out.size, reflection.operand, out.operand))
        return out

    def predict(self, coefficients: Buffer, gain: Buffer, out: Buffer, least_gain: float) -> Buffer:
        """out (4): prediction, gain, and as signed roots the prediction and the last sample, in
        gains. The place of the past (order) that it predicts from."""
        _expect(gain.size == 1 and out.size == 4, f"predict: {gain.size}, {out.size} floats")
        past = self.buffer(coefficients.size)
        a, found, g, before = (b.operand for b in (coefficients, out, gain, past))
        self._operations.append(Predict(past.size, a, found, g, before, least_gain))
        return past

    def output(
        self,
        signal: Signal,
        high: Slot,
        low: Slot | None = None,
        excited: tuple[Buffer, Buffer] | None = None,
    ) -> None:
        """Turn the tokens into the sample; excited: what a `predict` gave, and its past."""
        mu = signal.mu if signal.companding != "linear" else 0.0
        excitation = signal.companding == "excitation"
        _expect(excitation == (excited is not None), f"{signal.companding} and a prediction")
        predicted, past = (b.operand for b in excited) if excited else (Operand(0), Operand(0))
        self._operations.append(
            Output(
                high.number,
                low.number if low else None,
                COMPANDINGS.index(signal.companding),
                self.buffer(1).operand,
                signal.scale,
                -1.0,
                mu / signal.range,
                math.log1p(mu),
                signal.range / mu if mu else 0.0,
                signal.pre_emphasis,
                predicted=predicted,
                past=past,
            )
        )

    def voice(self, metadata: dict[str, Any]) -> VoiceFile:
        """The finished description; metadata gains the temperature of the logits."""
        if self._temperature != 1:
            metadata["temperature"] = self._temperature
        header = Header(
            self.sample_rate,
            self.hop_length,
            self.features.size,
            self.lookahead,
            self.priming,
            self._floats,
            len(self._slots),
            self.features.offset,
            self.samples_per_step,
            self.steps_per_row,
            self._silence,
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
