"""Checks of what callers pass. Each error says what was expected and what came."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]

MOST_THREADS = 16  # of one stream


def checked_seed(seed: SupportsIndex) -> int:
    """An integer in 0 .. 2^64 - 1."""
    try:
        number = operator.index(seed)
    except TypeError:
        raise ValueError(f"seed must be an integer, not {type(seed).__name__}") from None
    if not 0 <= number < 1 << 64:
        raise ValueError(f"seed must lie in 0 .. 2^64 - 1, not {number}")
    return number


def checked_seeds(seeds: Iterable[SupportsIndex] | None, n: int) -> list[int]:
    """n integers in 0 .. 2^64 - 1: zeros for None."""
    if seeds is None:
        return [0] * n
    if isinstance(seeds, SupportsIndex):
        raise ValueError(f"seeds must be {n} integers, one per utterance, not one for all")
    numbers = []
    for number, seed in enumerate(seeds):
        with _named(f"utterance {number}"):
            numbers.append(checked_seed(seed))
    if len(numbers) != n:
        raise ValueError(f"{n} utterances need as many seeds, not {len(numbers)}")
    return numbers


def checked_threads(threads: SupportsIndex) -> int:
    """An integer in 1 .. 16."""
    try:
        number = operator.index(threads)
    except TypeError:
        raise ValueError(f"threads must be an integer, not {type(threads).__name__}") from None
    if not 1 <= number <= MOST_THREADS:
        raise ValueError(f"threads must lie in 1 .. {MOST_THREADS}, not {number}")
    return number


def checked_temperature(temperature: SupportsFloat) -> float:
    """A finite float32, 0 or more."""
    try:
        number = float(temperature)
    except (TypeError, ValueError):
        raise ValueError(f"temperature must be a number, not {temperature!r}") from None
    if not 0 <= number <= float(np.finfo(np.float32).max):
        raise ValueError(f"temperature must be 0 or a positive float32, not {number}")
    return number


def checked_count(number: SupportsIndex, what: str) -> int:
    """An integer, 0 or more."""
    try:
        found = operator.index(number)
    except TypeError:
        raise ValueError(f"{what} must be an integer, not {type(number).__name__}") from None
    if found < 0:
        raise ValueError(f"{what} must be 0 or more, not {found}")
    return found


def oriented(mel: npt.NDArray[Any], n_mels: int, transpose: bool = False) -> npt.NDArray[Any]:
    """Features of a file as (n_mels, n_frames): a leading axis of 1 is dropped, and (n_frames,
    n_mels) turned where only that fits, or where `transpose` asks. Raises ValueError for others."""
    given = mel.shape
    if mel.ndim == 3 and given[0] == 1:
        mel = mel[0]
    if transpose or (mel.ndim == 2 and mel.shape[0] != n_mels and mel.shape[1] == n_mels):
        mel = mel.T
    if mel.ndim != 2 or mel.shape[0] != n_mels:
        turned = " turned" if transpose else ""
        raise ValueError(f"features of shape {given}{turned}; {n_mels} per frame are needed")
    return mel


def checked_mel(mel: npt.ArrayLike, n_mels: int) -> Float32:
    """Features (n_mels, n_frames), or (1, n_mels, n_frames), as frames (n_frames, n_mels),
    contiguous float32."""
    features = _floating(_array(mel), "features")
    if features.ndim == 3 and features.shape[1] == n_mels:
        if len(features) != 1:
            raise ValueError(
                f"features {features.shape} are a batch: synthesize_batch takes several utterances"
            )
        features = features[0]
    if features.ndim != 2:
        raise ValueError(f"features must have shape ({n_mels}, n_frames), not {features.shape}")
    if features.shape[0] != n_mels:
        hint = ": they are transposed, pass mel.T" if features.shape[1] == n_mels else ""
        raise ValueError(
            f"features must have shape ({n_mels}, n_frames), not {features.shape}{hint}"
        )
    frames = _to_float32(features.T)
    bad = np.argwhere(~np.isfinite(frames))
    if len(bad):
        frame, band = (int(i) for i in bad[0])
        raise ValueError(
            f"features must be finite; {features[band, frame]} stands at band {band}"
            f" of frame {frame} ({len(bad)} such values)"
        )
    return frames


def checked_utterance(mel: npt.ArrayLike, n_mels: int, number: int) -> Float32:
    """`checked_mel`, with errors that name the utterance by its number."""
    with _named(f"utterance {number}"):
        return checked_mel(mel, n_mels)


def checked_chunk(frames: npt.ArrayLike, n_mels: int) -> Float32:
    """One frame (n_mels,), or several (n_mels, n), as (n, n_mels), a contiguous float32 copy."""
    features = _array(frames)
    chunk = checked_mel(features[:, None] if features.ndim == 1 else features, n_mels)
    return chunk.copy() if np.may_share_memory(chunk, features) else chunk


def checked_frame(frame: npt.ArrayLike, n_mels: int, number: int) -> Float32:
    """One frame (n_mels,) as (1, n_mels), contiguous float32; `number` is for the message."""
    features = _floating(_array(frame), f"frame {number}")
    if features.shape != (n_mels,):
        raise ValueError(
            f"frame {number} must have shape ({n_mels},), not {features.shape};"
            " a (n_mels, n_frames) array is streamed as mel.T"
        )
    row = _to_float32(features[None])
    bad = np.flatnonzero(~np.isfinite(row))
    if bad.size:
        raise ValueError(
            f"frame {number} must be finite; {features[bad[0]]} stands at band {bad[0]}"
        )
    return row


def checked_pcm(pcm: npt.ArrayLike, n_frames: int, hop_length: int) -> npt.NDArray[np.int16]:
    """int16 samples (n,) that n_frames frames cover, the last one at least in part."""
    samples = np.asarray(pcm)
    if samples.dtype != np.int16 or samples.ndim != 1:
        raise ValueError(f"pcm must be int16 of shape (n,), not {samples.dtype} {samples.shape}")
    n = n_frames * hop_length
    if not max(n - hop_length, 0) < samples.size <= n:
        raise ValueError(
            f"{n_frames} frames of {hop_length} samples cover {n} samples; pcm may be shorter by"
            f" less than one hop, but has {samples.size}"
        )
    return samples


@contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None


def _array(features: Any) -> npt.NDArray[Any]:
    """An array of whatever holds numbers; of a PyTorch tensor its values, from any device."""
    if hasattr(features, "detach") and hasattr(features, "cpu"):
        features = features.detach().cpu()
        if str(features.dtype) == "torch.bfloat16":  # numpy has no such type
            features = features.float()
        features = features.numpy()
    return np.asarray(features)


def _floating(array: npt.NDArray[Any], what: str) -> npt.NDArray[Any]:
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"{what} must be floating point, not {array.dtype}")
    return array


def _to_float32(array: npt.NDArray[Any]) -> Float32:
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, which is refused
        return np.ascontiguousarray(array, dtype=np.float32)
