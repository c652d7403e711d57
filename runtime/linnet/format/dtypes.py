"""The types that weights are stored in: one table, asked by everyone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Stored = npt.NDArray[Any]


@dataclass(frozen=True)
class StorageType:
    """One type that numpy has."""

    name: str
    number: int  # in the file
    short: str
    stored: np.dtype[Any]  # of one weight in the file
    scaled: bool = False  # integers, of which each row has a scale: see `quantise`

    def rounded(self, source: npt.NDArray[Any]) -> Stored:
        """float32 or float64 rounded once, to nearest even; what is too large becomes infinite."""
        return source.astype(self.stored)

    def widen(self, stored: Stored) -> Float32:
        """Exactly as float32."""
        return stored.astype(np.float32)

    def nonzero(self, stored: Stored) -> Bool:
        """Which weights are neither +0 nor -0."""
        return np.asarray(stored != 0)


class _BFloat16(StorageType):
    """The upper half of a float32, held in uint16."""

    def rounded(self, source: npt.NDArray[Any]) -> Stored:
        bits = _float32_bits_rounded_to_odd(source)
        odd = (bits >> np.uint32(16)) & np.uint32(1)
        return ((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16)).astype(self.stored)

    def widen(self, stored: Stored) -> Float32:
        return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)

    def nonzero(self, stored: Stored) -> Bool:
        return np.asarray(stored & np.uint16(0x7FFF) != 0)


INT8_MOST = 127  # the greatest magnitude of an int8 weight, and of an operand's integers
INT8_COLUMNS = 16384  # of an int8 matrix, at most

STORAGE_TYPES = (
    StorageType("float16", 1, "fp16", np.dtype("<f2")),
    _BFloat16("bfloat16", 2, "bf16", np.dtype("<u2")),
    StorageType("float32", 3, "fp32", np.dtype("<f4")),
    StorageType("int8", 4, "int8", np.dtype("i1"), scaled=True),
)
# Name -> number in the file.
DTYPES: Mapping[str, int] = MappingProxyType({t.name: t.number for t in STORAGE_TYPES})
_BY_NAME = {t.name: t for t in STORAGE_TYPES}


def storage_type(dtype: str) -> StorageType:
    """The type of that name. Raises ValueError."""
    if dtype not in _BY_NAME:
        raise ValueError(f"dtype {dtype!r} is none of {', '.join(_BY_NAME)}")
    return _BY_NAME[dtype]


def type_name(text: str) -> str:
    """The name of the type that is called so, or so for short. Raises ValueError."""
    by_short = {t.short: t.name for t in STORAGE_TYPES}
    return storage_type(by_short.get(text, text)).name


def numbered_type(number: int) -> StorageType:
    """The type of that number in the file. Raises StopIteration."""
    return next(t for t in STORAGE_TYPES if t.number == number)


def round_weights(weights: npt.ArrayLike, dtype: str) -> Stored:
    """Round to the storage type, to nearest even, keeping subnormals; once, also from float64.

    Not for int8, whose rows `quantise` scales first. Returns an array of the type's `stored` of the
    same shape. Raises ValueError where a weight is NaN or infinite, or beyond the range of the
    type: the message names the largest value.
    """
    target = storage_type(dtype)
    assert not target.scaled
    source = _finite(weights)
    with np.errstate(over="ignore"):
        rounded = target.rounded(source)
    if not np.isfinite(target.widen(rounded)).all():
        raise _beyond(source, dtype)
    return rounded


def quantise(weights: npt.ArrayLike) -> tuple[npt.NDArray[np.int8], Float32]:
    """A matrix (rows, cols) as int8 and the scales (rows,) of its rows: weights q scale.

    q is round(weight / scale), to nearest even, within -127 .. 127. A row's scale is, of those that
    put its greatest weight at 127 .. 152, and of the best ones for the integers that these give,
    the one with the least sum of squared errors. Rows of zeros have the scale 0. Raises ValueError
    as `round_weights` does.
    """
    source = _finite(weights)
    dense = source.astype(np.float64)
    if np.abs(dense).max(initial=0) > np.finfo(np.float32).max:
        raise _beyond(source, "int8")
    rows, cols = np.nonzero(dense)
    w = dense[rows, cols]
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    stored = np.zeros(dense.shape, np.int8)
    scales = np.zeros(len(dense), np.float32)
    if not starts.size:
        return stored, scales
    counts = np.diff(starts, append=rows.size)

    def rounded(scale: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        each = np.repeat(scale.astype(np.float64), counts)
        ratio = np.divide(w, each, out=np.zeros_like(w), where=each > 0)
        return np.clip(np.rint(ratio), -INT8_MOST, INT8_MOST)

    def summed(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.add.reduceat(values, starts)

    largest = np.maximum.reduceat(np.abs(w), starts)
    best = (largest / INT8_MOST).astype(np.float32)
    least = summed((w - rounded(best) * np.repeat(best.astype(np.float64), counts)) ** 2)
    for most in range(INT8_MOST, INT8_MOST + 26):
        q = rounded((largest / most).astype(np.float32))
        squares = summed(q * q)
        fitted = np.divide(summed(w * q), squares, out=np.zeros_like(squares), where=squares > 0)
        for candidate in ((largest / most).astype(np.float32), fitted.astype(np.float32)):
            scale = np.repeat(candidate.astype(np.float64), counts)
            error = summed((w - rounded(candidate) * scale) ** 2)
            better = error < least
            best, least = np.where(better, candidate, best), np.where(better, error, least)
    stored[rows, cols] = rounded(best).astype(np.int8)
    scales[rows[starts]] = best
    return stored, scales


def widen(stored: Stored, dtype: str) -> Float32:
    """Stored weights as float32, exactly; the same shape. Of int8, the integers."""
    return storage_type(dtype).widen(stored)


def as_stored(weights: npt.ArrayLike, dtype: str) -> Float32:
    """What a matrix (rows, cols) becomes by being stored; the same shape. Raises ValueError."""
    if not storage_type(dtype).scaled:
        return widen(round_weights(weights, dtype), dtype)
    stored, scales = quantise(weights)
    return stored.astype(np.float32) * scales[:, None]


def _finite(weights: npt.ArrayLike) -> npt.NDArray[Any]:
    """As float32, or float64 where they are that. Raises ValueError."""
    source = np.asarray(weights)
    if source.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        source = source.astype(np.float32)
    if not np.isfinite(source).all():
        raise ValueError("a weight is NaN or infinite")
    return source


def _beyond(source: npt.NDArray[Any], dtype: str) -> ValueError:
    largest = float(source.ravel()[np.argmax(np.abs(source))])
    return ValueError(f"the largest weight, {largest:g}, is beyond the range of {dtype}")


def _float32_bits_rounded_to_odd(source: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    """float32 bits of which the last says "inexact": rounding them again is rounding once."""
    nearest = source.astype(np.float32)
    bits = nearest.view(np.uint32) if nearest.ndim else nearest.reshape(1).view(np.uint32)[0:1]
    if source.dtype == np.float64:
        widened = nearest.astype(np.float64)
        bits = bits - (np.abs(widened) > np.abs(source)).astype(np.uint32)
        bits = bits | (widened != source).astype(np.uint32)
    return bits.reshape(source.shape)
