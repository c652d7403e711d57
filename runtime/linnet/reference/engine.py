"""The Numba reference: export/FORMAT.md's programs and arithmetic as plain Python, bit for bit.

It shares no code with the C++ runtime and is written to be read; tests compare every kernel set
with it. Needs `pip install 'linnet[reference]'`.
"""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from linnet.format.blocks import BLOCKS, Packed, widen
from linnet.format.operations import (
    COMPANDINGS,
    Add,
    Bands,
    Draw,
    Embedding,
    Gates,
    History,
    Linear,
    Logistics,
    Match,
    Operand,
    Operation,
    Output,
    Predict,
    StepUp,
    Upsample,
    bands_state_size,
)
from linnet.format.reading import read
from linnet.reference import functions, logistics, matching, prediction, products

Floats = npt.NDArray[np.float32]

_BLOCK_PRODUCTS = {
    "4x4": products.blocks_4x4,
    "16x1": products.blocks_16x1,
    "1x16": products.blocks_1x16,
    "1x4": products.blocks_1x4,
}


def matvec(packed: Packed, x: npt.ArrayLike, bias: npt.ArrayLike | None = None) -> Floats:
    """y = W x + bias, from the packed sections and in their order of sums.

    x (cols), bias (rows), the result (rows): float32. Raises ValueError for other shapes.
    """
    x, bias = np.asarray(x, np.float32), None if bias is None else np.asarray(bias, np.float32)
    if x.shape != (packed.cols,):
        raise ValueError(f"x has shape {x.shape}; the matrix takes ({packed.cols},)")
    if bias is not None and bias.shape != (packed.rows,):
        raise ValueError(f"bias has shape {bias.shape}; the matrix gives ({packed.rows},)")
    matrix = Matrix(packed)
    return matrix.times(matrix.padded(x), bias)


class Matrix:
    """A packed matrix with its weights widened to float32, in storage order."""

    def __init__(self, packed: Packed) -> None:
        self.packed = packed
        self.values = np.array(widen(packed.values, packed.dtype))
        columns = BLOCKS[packed.layout][1] if packed.layout in BLOCKS else 1
        self.readable = -(-packed.cols // columns) * columns  # floats of x that a product reads
        if packed.columns is not None and packed.quads is not None:
            self.columns = packed.columns.astype(np.int64)
            self.block_rows = packed.quads["block_rows"].astype(np.int64)
            self.steps = packed.quads["steps"].astype(np.int64)

    def product(self, x: Floats) -> Floats:
        """W x; x (cols)."""
        return self.times(self.padded(x), None)

    def padded(self, x: Floats) -> Floats:
        """x (cols) with zeros up to what a product reads."""
        return np.pad(x, (0, self.readable - self.packed.cols))

    def times(self, x: Floats, bias: Floats | None) -> Floats:
        """W x + bias; x (readable)."""
        y = np.empty(self.packed.rows, np.float32)
        if bias is None:
            bias = np.zeros(self.packed.rows, np.float32)
        if self.packed.layout == "dense":
            products.dense(self.values, self.packed.cols, x, bias, y)
        else:
            product = _BLOCK_PRODUCTS[self.packed.layout]
            product(self.values, self.columns, self.block_rows, self.steps, x, bias, y)
        return y


class ReferenceVoice:
    """A `.linnet` file, run whole utterance by whole utterance.

    Raises FormatError where the file is not valid, OSError where it cannot be read.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes) -> None:
        self.file = read(source)
        self.header = self.file.header
        self._tensors: list[Any] = [_prepare(tensor.packed) for tensor in self.file.tensors]

    def synthesize(
        self, mel: npt.ArrayLike, seed: int = 0, stream: int = 0, temperature: float = 1.0
    ) -> npt.NDArray[np.int16]:
        """Audio (n_frames * hop_length) int16 for mel (n_features, n_frames)."""
        run = _Run(self, seed, stream, temperature)
        samples = np.array(self._samples(run, mel), np.int16)
        if self.file.match is None or not len(samples):
            return samples
        return self._matched(self.file.match, samples, np.asarray(mel, np.float32))

    def score(self, mel: npt.ArrayLike, tokens: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The negative log-likelihood of each step's tokens, in nats, given those before it.

        mel (n_features, n_frames); tokens (n <= n_frames * hop_length), the companded samples, or
        all bands of a step in turn; of a voice of excitations the samples + 32768.
        """
        run = _Run(self, 0, 0, 1.0, [int(token) for token in np.asarray(tokens)])
        self._samples(run, mel)
        return np.array(run.nats, np.float64)

    def _matched(
        self, match: Match, samples: npt.NDArray[np.int16], mel: Floats
    ) -> npt.NDArray[np.int16]:
        """Samples (n_frames * hop_length) brought to their features."""
        signal = matching.run(
            match,
            samples.astype(np.float32) * np.float32(2**-15),
            mel,
            self._tensors[match.window],
            self._tensors[match.synthesis],
            self._tensors[match.turns],
            self._tensors[match.bands].product,
            self._tensors[match.spread].product,
        )
        return np.array([functions.to_pcm(y) for y in signal], np.int16)

    def _samples(self, run: _Run, mel: npt.ArrayLike) -> list[int]:
        features = np.asarray(mel, np.float32)
        header = self.header
        if features.ndim != 2 or features.shape[0] != header.n_features:
            raise ValueError(f"mel has shape {features.shape}, not ({header.n_features}, n_frames)")
        if not np.isfinite(features).all():
            raise ValueError("mel holds NaN or infinity")
        silence = np.zeros(header.n_features, np.float32)
        if header.silence is not None:
            silence = self._tensors[header.silence]
        for _ in range(header.priming):
            run.frame(silence)
        samples: list[int] = []
        frames = [*features.T, *[silence] * header.lookahead]
        for t, frame in enumerate(frames):
            run.frame(frame)
            if t >= header.lookahead:
                for step in range(header.steps):
                    if run.is_complete():
                        return samples
                    samples += run.step(step // header.steps_per_row)
        return samples


def _prepare(packed: Packed) -> Matrix | Floats:
    """Matrices as Matrix, vectors (rows) and tables (rows, cols) as float32."""
    if packed.layout == "vector":
        return widen(packed.values, packed.dtype)[: packed.rows].copy()
    if packed.layout == "table":
        return widen(packed.values, packed.dtype).reshape(packed.rows, -1)[:, : packed.cols].copy()
    return Matrix(packed)


def _inverse(temperature: float) -> np.float32 | None:
    """1 / temperature, None where that is not finite: then the likeliest class is drawn."""
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature {temperature} is not in [0, infinity)")
    with np.errstate(divide="ignore", over="ignore"):
        inverse = np.float32(1) / np.float32(temperature)
    return inverse if np.isfinite(inverse) else None


class _Run:
    """One utterance: the arena, the token slots, the samples made; teacher-forced by `tokens`."""

    def __init__(
        self,
        voice: ReferenceVoice,
        seed: int,
        stream: int,
        temperature: float,
        tokens: list[int] | None = None,
    ) -> None:
        self.voice = voice
        self.seed, self.stream = seed, stream
        self.temperature = np.float32(temperature)
        self.inverse_temperature = _inverse(temperature)
        self.tokens = tokens
        self.nats: list[float] = []
        self.arena = np.zeros(voice.header.arena_size, np.float32)
        self.slots = [0] * voice.header.n_slots
        self.made = 0
        self.recorded = np.float32(0)  # the last sample of what is scored
        self.output = voice.file.sample_program[-1]
        for operation in voice.file.frame_program:
            if isinstance(operation, History) and operation.initial is not None:
                window = voice._tensors[operation.initial]
                self._at(operation.out, 0, len(window))[:] = window
        for operation in voice.file.sample_program:
            if isinstance(operation, Draw):
                self.slots[operation.slot] = operation.initial_token
                self.arena[operation.out.offset] = operation.initial_value

    def is_complete(self) -> bool:
        """Whether all tokens are scored; never in a free run."""
        per_step = self.voice.header.samples_per_step
        return self.tokens is not None and self.made * per_step == len(self.tokens)

    def frame(self, features: Floats) -> None:
        """Take one frame (n_features)."""
        at = self.voice.header.features_at
        self.arena[at : at + len(features)] = features
        for operation in self.voice.file.frame_program:
            self._execute(operation, 0)

    def step(self, i: int) -> list[int]:
        """One step, which sees row i of the frame: its samples, signed 16-bit numbers."""
        if self.tokens is not None:
            self.nats.append(0.0)
        for operation in self.voice.file.sample_program[:-1]:
            self._execute(operation, i)
        self.made += 1
        if isinstance(self.output, Bands):
            return self._bands(self.output, i)
        assert isinstance(self.output, Output)
        return [self._output(self.output, i)]

    def _at(self, operand: Operand, i: int, size: int) -> Floats:
        start = operand.offset + operand.stride * i
        return self.arena[start : start + size]

    def _execute(self, operation: Operation, i: int) -> None:
        tensors = self.voice._tensors
        match operation:
            case Linear():
                matrix = tensors[operation.weights]
                bias = None if operation.bias is None else tensors[operation.bias]
                y = matrix.times(self._at(operation.input, i, matrix.readable), bias)
                if operation.add is not None:
                    y = functions.add(y, self._at(operation.add, i, len(y)))
                functions.activate(operation.activation, y)
                self._at(operation.out, i, len(y))[:] = y
            case Gates(units=units):
                functions.gates(
                    self._at(operation.recurrent, i, 3 * units),
                    self._at(operation.input, i, 3 * units),
                    self._at(operation.state, i, units),
                )
            case History(size=size, frames=frames):
                window = self._at(operation.out, i, frames * size)
                window[:-size] = window[size:].copy()
                window[-size:] = self._at(operation.input, i, size)
            case Upsample(channels=channels, window=n, out=out):
                rows = self.voice.header.rows
                weights = tensors[operation.weights].reshape(rows, n)
                y = np.empty((rows, channels), np.float32)
                window = self._at(operation.input, i, n * channels).reshape(n, channels)
                functions.upsample(weights, window, y)
                for k in range(rows):
                    self._at(out, k, channels)[:] = y[k]
            case Add(size=size):
                a, b = self._at(operation.input, i, size), self._at(operation.add, i, size)
                y = functions.add(a, b)
                functions.activate(operation.activation, y)
                self._at(operation.out, i, size)[:] = y
            case Embedding():
                row = tensors[operation.table][self.slots[operation.slot]]
                self._at(operation.out, i, len(row))[:] = row
            case Draw():
                logits = self._at(operation.input, i, operation.classes)
                token = self._draw(operation, logits, i)
                self.slots[operation.slot] = token
                scale, offset = np.float32(operation.scale), np.float32(operation.offset)
                self._at(operation.out, i, 1)[0] = functions.affine(token, scale, offset)
            case StepUp(order=order):
                reflection = self._at(operation.input, i, order)
                self._at(operation.out, i, order)[:] = prediction.step_up(reflection)
            case Predict(order=order):
                prediction.predict(
                    self._at(operation.input, i, order),
                    self._at(operation.gain, i, 1)[0],
                    np.float32(operation.least_gain),
                    self._at(operation.past, i, order),
                    self._at(operation.out, i, 4),
                )
            case Logistics(bands=bands):
                for band in range(bands):
                    self._at(operation.out, i, bands)[band] = self._draw_logistic(
                        operation, i, band
                    )

    def _draw(self, draw: Draw, logits: Floats, i: int) -> int:
        if self.tokens is not None:
            return self._forced(draw, logits, i)
        if self.inverse_temperature is None:
            m, _, _ = functions.exponentials(logits, np.float32(1))
            return functions.likeliest(logits, np.float32(m))
        _, e, groups = functions.exponentials(logits, self.inverse_temperature)
        u = functions.uniform(self.seed, self.stream, self.made, draw.random_word)
        return functions.draw(draw.classes, e, groups, u)

    def _forced(self, draw: Draw, logits: Floats, i: int) -> int:
        assert self.tokens is not None
        token = told = self.tokens[self.made]
        assert isinstance(self.output, Output)
        if COMPANDINGS[self.output.companding] == "excitation":
            token = self._excitation(self.output, draw.classes, told, i)
        elif self.output.low is not None:
            token = token >> 8 if draw.slot == self.output.high else token & 255
        if not 0 <= token < draw.classes:
            raise ValueError(f"token {told} of sample {self.made} is out of range")
        m, _, groups = functions.exponentials(logits, np.float32(1))
        c_last = float(functions.cumulated(groups))
        self.nats[-1] += math.log(c_last) - (float(logits[token]) - float(m))
        return token

    def _excitation(self, output: Output, classes: int, told: int, i: int) -> int:
        """The token that leads nearest to a sample of the recording, told as its value + 32768."""
        x = np.float32((told - 32768) / 32768)
        sample = functions.deemphasize(x, np.float32(-output.pre_emphasis), self.recorded)
        self.recorded = x
        return prediction.token_of(
            self._at(output.predicted, i, 2),
            np.float32(sample),
            np.float32(output.scale),
            np.float32(output.offset),
            np.float32(output.mu),
            np.float32(output.log_1_mu),
            classes,
        )

    def _draw_logistic(self, op: Logistics, i: int, band: int) -> np.float32:
        part = slice(band * op.mixtures, (band + 1) * op.mixtures)
        size = op.mixtures * op.bands
        logits, means, scales = (
            self._at(operand, i, size)[part] for operand in (op.input, op.means, op.scales)
        )
        steps = np.float32(op.steps)
        if self.tokens is not None:
            token = self.tokens[self.made * op.bands + band]
            self.nats[-1] += logistics.nats(op, logits, means, scales, token)
            return logistics.token_value(op, token)
        if self.inverse_temperature is None:
            m, _, _ = functions.exponentials(logits, np.float32(1))
            k = functions.likeliest(logits, np.float32(m))
            return np.float32(logistics.rounded(means[k], steps))
        _, e, groups = functions.exponentials(logits, self.inverse_temperature)
        choice, quantile = (
            functions.uniform(self.seed, self.stream, self.made, op.random_word + word)
            for word in (band, op.bands + band)
        )
        k = functions.draw(op.mixtures, e, groups, choice)
        scale = logistics.scale_of(scales[k], np.float32(op.least_scale), op.spread)
        v = logistics.value(means[k], np.float32(scale), self.temperature, quantile)
        return np.float32(logistics.rounded(np.float32(v), steps))

    def _bands(self, op: Bands, i: int) -> list[int]:
        filters = None if op.weights is None else self.voice._tensors[op.weights]
        size = bands_state_size(op.levels, 0 if filters is None else len(filters))
        return logistics.merge_bands(
            op, filters, self._at(op.input, i, op.bands), self._at(op.state, i, size)
        )

    def _output(self, output: Output, i: int) -> int:
        token = self.slots[output.high]
        if output.low is not None:
            token = 256 * token + self.slots[output.low]
        v = np.float32(functions.affine(token, np.float32(output.scale), np.float32(output.offset)))
        if output.companding != 0:
            log_1_mu, inverse_mu = np.float32(output.log_1_mu), np.float32(output.inverse_mu)
            v = np.float32(functions.expand(v, log_1_mu, inverse_mu))
        if COMPANDINGS[output.companding] == "excitation":
            v = np.float32(prediction.excited(self._at(output.predicted, i, 2), v))
            self._at(output.past, i, 1)[0] = v
        state = self._at(output.state, i, 1)
        state[0] = functions.deemphasize(v, np.float32(output.pre_emphasis), state[0])
        return functions.to_pcm(state[0])
