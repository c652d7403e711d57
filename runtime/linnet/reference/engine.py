"""The Numba reference: export/FORMAT.md's programs and arithmetic as plain Python, bit for bit.

It shares no code with the C++ runtime and is written to be read; tests compare every kernel set
with it. Needs Numba (`linnet[reference]`).
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from linnet.format.blocks import Packed
from linnet.format.dtypes import widen
from linnet.format.operations import Match, Operation, Subscale
from linnet.format.reading import read
from linnet.reference import functions, matching, operations
from linnet.reference.products import Matrix
from linnet.reference.state import State
from linnet.reference.subscale import Conditions, Lane, SubTensors

Floats = npt.NDArray[np.float32]


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


class ReferenceVoice:
    """A `.linnet` file, run whole utterance by whole utterance.

    Raises FormatError where the file is not valid, OSError where it cannot be read.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes) -> None:
        self.file = read(source)
        self.header = self.file.header
        self.tensors: list[Any] = [_prepare(tensor.packed) for tensor in self.file.tensors]

    def synthesize(
        self, mel: npt.ArrayLike, seed: int = 0, stream: int = 0, temperature: float = 1.0
    ) -> npt.NDArray[np.int16]:
        """Audio (n_frames * hop_length) int16 for mel (n_features, n_frames)."""
        run = Run(self, seed, stream, temperature)
        samples = np.array(self._samples(run, mel), np.int16)
        if self.file.match is None or not len(samples):
            return samples
        return self._matched(self.file.match, samples, np.asarray(mel, np.float32))

    def score(self, mel: npt.ArrayLike, tokens: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The negative log-likelihood of each step's tokens, in nats, given those before it.

        Of a subscale voice, of each sample's, and all samples of the frames are to be given.

        mel (n_features, n_frames); tokens (n <= n_frames * hop_length), the companded samples, or
        all bands of a step in turn; of a voice of excitations the samples + 32768.
        """
        return self.scored(Run(self, 0, 0, 1.0, [int(t) for t in np.asarray(tokens)]), mel)

    def scored(self, run: Run, mel: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """As `score`, by a run of this voice that knows its tokens."""
        self._samples(run, mel)
        return np.array(run.nats, np.float64)

    def _matched(
        self, match: Match, samples: npt.NDArray[np.int16], mel: Floats
    ) -> npt.NDArray[np.int16]:
        """Samples (n_frames * hop_length) brought to their features."""
        x = samples.astype(np.float32) * np.float32(2**-15)
        signal = matching.run(match, x, mel, self.parts(match))
        return np.array([functions.to_pcm(y) for y in signal], np.int16)

    def parts(self, match: Match) -> matching.Parts:
        """The tensors of a match."""
        vectors = (match.window, match.synthesis, match.twiddles)
        matrices = (match.to_bands, match.to_bins)
        return matching.Parts(
            *(self.tensors[i] for i in vectors), *(self.tensors[i].product for i in matrices)
        )

    def _samples(self, run: Run, mel: npt.ArrayLike) -> list[int]:
        features = np.asarray(mel, np.float32)
        header = self.header
        if features.ndim != 2 or features.shape[0] != header.n_features:
            raise ValueError(f"mel has shape {features.shape}, not ({header.n_features}, n_frames)")
        if not np.isfinite(features).all():
            raise ValueError("mel holds NaN or infinity")
        silence = np.zeros(header.n_features, np.float32)
        if header.silence is not None:
            silence = self.tensors[header.silence]
        for _ in range(header.priming):
            run.frame(silence)
        if self.file.subscale is not None:
            return self._in_sub_tensors(run, self.file.subscale, features, silence)
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

    def _in_sub_tensors(
        self, run: Run, subscale: Subscale, features: Floats, silence: Floats
    ) -> list[int]:
        conditions = Conditions(subscale, self.header.rows)
        own = self.header.lookahead - self.file.ahead
        for t, frame in enumerate([*features.T, *[silence] * own]):
            run.frame(frame)
            if t >= own:
                conditions.keep(run)
        n = len(conditions.frames) * self.header.hop_length
        if run.tokens is not None and len(run.tokens) != n:
            raise ValueError(f"{len(run.tokens)} tokens: a subscale voice scores all {n}")
        signal = SubTensors(run.lane, conditions)
        if run.tokens is not None:
            run.nats = list(signal.nats.T.ravel())
        return signal.samples()


def _prepare(packed: Packed) -> Matrix | Floats:
    """Matrices as Matrix, vectors (rows) and tables (rows, cols) as float32."""
    if packed.layout == "vector":
        return widen(packed.values, packed.dtype)[: packed.rows].copy()
    if packed.layout == "table":
        return packed.to_dense()
    return Matrix(packed)


class Run(State):
    """One utterance of a voice, frame by frame and step by step."""

    def __init__(
        self,
        voice: ReferenceVoice,
        seed: int,
        stream: int,
        temperature: float,
        tokens: list[int] | None = None,
    ) -> None:
        super().__init__(voice.file, voice.tensors, seed, stream, temperature, tokens)
        self.voice = voice

    def lane(self) -> Lane:
        """Another run with the same numbers and tokens, for a sub-tensor."""
        numbers = (self.seed, self.stream, float(self.temperature))
        other = type(self)(self.voice, *numbers, self.tokens)
        return other, other.execute

    def frame(self, features: Floats) -> None:
        """Take one frame (n_features)."""
        at = self.file.header.features_at
        self.arena[at : at + len(features)] = features
        for operation in self.file.frame_program:
            self.execute(operation, 0)

    def execute(self, operation: Operation, i: int) -> None:
        """Run an operation that sees row i of its frame."""
        operations.execute(self, operation, i)

    def step(self, i: int) -> list[int]:
        """One step, which sees row i of the frame: its samples, signed 16-bit numbers."""
        if self.tokens is not None:
            self.nats.append(0.0)
        for operation in self.file.sample_program[:-1]:
            self.execute(operation, i)
        self.made += 1
        return operations.samples(self, i)
