"""int8 voices fitted to a recording: what the operand of each layer is there, and rounded weights.

Weights are rounded so that a layer's sums stay as they are, which is not rounding each to the
nearest integer.
This is the rounding of Frantar et al. 2023 (GPTQ): the columns of a matrix are rounded in turn, and
what a column's rounding changes in the sums is taken back by the columns that are not rounded yet,
as well as the operands' second moments allow. Weights that are zero stay zero.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

import linnet
from linnet.audio import read_wav
from linnet.format.blocks import Packed, pack_integers, unpack_integers
from linnet.format.dtypes import INT8_MOST
from linnet.format.operations import Linear, Operation
from linnet.format.voice_file import VoiceFile
from linnet.signal import encode, to_int16
from linnet_export.writing.writer import to_bytes

PathLike = str | os.PathLike[str]
Float64 = npt.NDArray[np.float64]

STEPS = 32000  # of the sample program, at most
FRAMES = 4000  # of the frame program, which are much faster
DAMPING = 0.01  # of the mean second moment, added to each
_UNTOLD = "a recording does not tell them"
_TOGETHER = 512  # operands whose products are summed at once


@dataclass
class Observed:
    """What a matrix was multiplied with on a recording."""

    cols: int
    number: int = 0  # operands
    largest: float = 0.0
    steps: float = 0.0  # sum of the squares of the int8 steps, each operand having its own

    def __post_init__(self) -> None:
        self.moments: Float64 = np.zeros((self.cols, self.cols))  # sum of x x^T
        self._waiting: list[Any] = []

    def see(self, x: npt.NDArray[np.float32]) -> None:
        """x: (cols,)."""
        self._waiting.append(x[: self.cols].astype(np.float64))
        if len(self._waiting) == _TOGETHER:
            self.finish()

    def finish(self) -> None:
        """Add up what was seen."""
        if not self._waiting:
            return
        x = np.array(self._waiting)
        self._waiting.clear()
        largest = np.abs(x).max(axis=1)
        self.number += len(x)
        self.largest = max(self.largest, float(largest.max()))
        self.steps += float(np.square(largest / INT8_MOST).sum())
        self.moments += x.T @ x


@dataclass(frozen=True)
class Effect:
    """What int8 does to a layer's sums on a recording, relative to their own root mean square."""

    largest: float  # of its operand
    of_weights: float  # error of the rounded weights
    of_operand: float  # error of the rounded operand, all of whose roundings are independent


def calibrated(
    voice: VoiceFile, exact: VoiceFile, recording: PathLike, mel: npt.ArrayLike | None = None
) -> tuple[VoiceFile, dict[str, Effect]]:
    """`fitted` to a wav file; mel: its features (n_mels, n_frames), None to compute them.

    Raises ValueError where the voice has no int8 matrix or gives no likelihood to a recording, and
    as `Voice.score`.
    """
    if not any(tensor.dtype == "int8" for tensor in voice.tensors):
        raise ValueError("only int8 voices are calibrated (--dtype int8)")
    speaker = linnet.load(to_bytes(exact))
    if exact.header.samples_per_step > 1 and exact.subscale is None:
        raise ValueError("a voice that makes samples in sub-bands is not calibrated: " + _UNTOLD)
    samples, rate = read_wav(recording)
    if rate != speaker.sample_rate:
        raise ValueError(f"{recording}: {rate} Hz; the voice has {speaker.sample_rate} Hz")
    if samples.dtype != np.int16:
        samples = to_int16(samples)
    features = speaker.features(samples, rate) if mel is None else np.asarray(mel, np.float32)
    samples = samples[: features.shape[1] * exact.header.hop_length]
    signal = exact.metadata.get("signal", {})
    if signal.get("companding") == "excitation":  # what it is depends on the features
        tokens = (samples.astype(np.int32) + 32768).astype(np.uint16)
    else:
        tokens = encode(samples, signal).astype(np.uint16)
    return fitted(voice, exact, observe(exact, features, tokens))


def observe(voice: VoiceFile, mel: npt.ArrayLike, tokens: npt.ArrayLike) -> dict[str, Observed]:
    """The operands of every matrix that the voice's programs multiply with, by its name.

    mel: (n_mels, n_frames), of which the first FRAMES are used; tokens: (n,), as
    `ReferenceVoice.score` takes them, of which the first STEPS are. Raises ValueError as that does.
    """
    from linnet.reference import operations
    from linnet.reference.engine import ReferenceVoice, Run

    found: dict[str, Observed] = {}

    class Watched(Run):
        def execute(self, operation: Operation, i: int) -> None:
            if isinstance(operation, Linear):
                tensor = voice.tensors[operation.weights]
                cols = tensor.packed.cols
                seen = found.setdefault(tensor.name, Observed(cols))
                seen.see(self.at(operation.input, i, cols))
            operations.execute(self, operation, i)

    reference = ReferenceVoice(to_bytes(voice))
    hop = voice.header.hop_length
    most = min(len(np.asarray(tokens)), STEPS * voice.header.samples_per_step)
    if voice.subscale is not None:  # is told whole frames, of which every sample is a run
        most = min(most, STEPS) // hop * hop
    told = [int(token) for token in np.asarray(tokens)[:most]]
    frames, n = np.asarray(mel, np.float32)[:, :FRAMES], -(-len(told) // hop)
    watched = Watched(reference, 0, 0, 1.0, told)
    reference.scored(watched, frames[:, :n])
    for frame in frames[:, n:].T:
        watched.frame(frame)
    for seen in found.values():
        seen.finish()
    return found


def fitted(
    voice: VoiceFile, exact: VoiceFile, observed: Mapping[str, Observed]
) -> tuple[VoiceFile, dict[str, Effect]]:
    """An int8 voice, its int8 matrices rounded anew; what that does to their sums, by name.

    exact: the same voice in float32. A matrix whose fixed input range is more than twice what the
    recording reaches takes each operand's own greatest magnitude instead.
    """
    tensors, effects = list(voice.tensors), {}
    for number, tensor in enumerate(voice.tensors):
        if tensor.dtype != "int8" or tensor.name not in observed:
            continue
        seen, weights = observed[tensor.name], exact.tensors[number].dense.astype(np.float64)
        moments = seen.moments / max(seen.number, 1)
        packed = rounded(tensor.packed, weights, moments)
        if packed.input_range > 2 * seen.largest:
            packed = replace(packed, input_range=0.0)
        tensors[number] = replace(tensor, packed=packed)
        effects[tensor.name] = effect(packed, weights, moments, seen)
    return replace(voice, tensors=tuple(tensors)), effects


def rounding_error(voice: VoiceFile, exact: VoiceFile, name: str) -> float:
    """The largest error of a weight of this layer, relative to the largest weight."""
    weights = exact.tensor(name).dense.astype(np.float64)
    largest = float(np.abs(weights).max())
    return float(np.abs(voice.tensor(name).dense - weights).max()) / largest if largest else 0.0


def effect(packed: Packed, weights: Float64, moments: Float64, seen: Observed) -> Effect:
    """moments: the mean of x x^T."""
    power = max(_power(weights, moments), 1e-300)
    step = packed.input_range / INT8_MOST
    squared = step**2 if step else seen.steps / max(seen.number, 1)
    off = _power(packed.to_dense() - weights, moments)
    # A rounding is off by up to half a step, evenly: its square is a twelfth on average.
    rounding = float(np.square(weights).sum()) * squared / 12
    return Effect(seen.largest, float(np.sqrt(off / power)), float(np.sqrt(rounding / power)))


def _power(weights: Float64, moments: Float64) -> float:
    """The sum of the mean squares of weights (rows, cols) times x."""
    return float(np.einsum("rc,cd,rd->", weights, moments, weights, optimize=True))


def rounded(packed: Packed, weights: Float64, moments: Float64) -> Packed:
    """An int8 matrix whose integers are rounded with the moments (cols, cols) of its operand;
    scales, layout and input range stay. weights: (rows, cols), what it stands for."""
    assert packed.scales is not None
    integers = unpack_integers(packed)
    scales = packed.scales.astype(np.float64)
    damped = moments + np.eye(packed.cols) * max(DAMPING * np.trace(moments) / packed.cols, 1e-12)
    nonzero = weights != 0
    # Rows that have their zeros in the same places are rounded together.
    patterns, which = np.unique(np.packbits(nonzero, axis=1), axis=0, return_inverse=True)
    for pattern in range(len(patterns)):
        rows = np.flatnonzero(which.ravel() == pattern)
        cols = np.flatnonzero(nonzero[rows[0]])
        if cols.size:
            part = np.ix_(rows, cols)
            integers[part] = _fitted(weights[part], scales[rows], damped[np.ix_(cols, cols)])
    return pack_integers(integers, packed.scales, packed.layout, packed.input_range)


def _fitted(weights: Float64, scales: Float64, moments: Float64) -> npt.NDArray[np.int8]:
    """Integers (rows, n) for weights (rows, n) whose operands have the moments (n, n)."""
    # The columns with the greatest moments first: they are the hardest to make up for.
    order = np.argsort(-np.diag(moments), kind="stable")
    left = weights[:, order].copy()
    factor = np.linalg.cholesky(np.linalg.inv(moments[np.ix_(order, order)])).T
    integers = np.empty(left.shape, np.int8)
    step = np.where(scales > 0, scales, 1.0)
    for column in range(left.shape[1]):
        q = np.clip(np.rint(left[:, column] / step), -INT8_MOST, INT8_MOST)
        integers[:, column] = q
        off = (left[:, column] - q * scales) / factor[column, column]
        left[:, column + 1 :] -= off[:, None] * factor[column, column + 1 :]
    found = np.empty_like(integers)
    found[:, order] = integers
    return found
