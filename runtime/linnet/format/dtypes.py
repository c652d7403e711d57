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


STORAGE_TYPES = (
    StorageType("float16", 1, "fp16", np.dtype("<f2")),
    _BFloat16("bfloat16", 2, "bf16", np.dtype("<u2")),
    StorageType("float32", 3, "fp32", np.dtype("<f4")),
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

    Returns an array of the type's `stored` of the same shape. Raises ValueError where a weight is
    NaN or infinite, or beyond the range of the type: the message names the largest value.
    """
    target = storage_type(dtype)
    source = np.asarray(weights)
    if source.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        source = source.astype(np.float32)
    if not np.isfinite(source).all():
        raise ValueError("a weight is NaN or infinite")
    with np.errstate(over="ignore"):
        rounded = target.rounded(source)
    if not np.isfinite(target.widen(rounded)).all():
        largest = float(source.ravel()[np.argmax(np.abs(source))])
        raise ValueError(f"the largest weight, {largest:g}, is beyond the range of {dtype}")
    return rounded


def widen(stored: Stored, dtype: str) -> Float32:
    """Stored weights as float32, exactly; the same shape."""
    return storage_type(dtype).widen(stored)


def _float32_bits_rounded_to_odd(source: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    """float32 bits of which the last says "inexact": rounding them again is rounding once."""
    nearest = source.astype(np.float32)
    bits = nearest.view(np.uint32) if nearest.ndim else nearest.reshape(1).view(np.uint32)[0:1]
    if source.dtype == np.float64:
        widened = nearest.astype(np.float64)
        bits = bits - (np.abs(widened) > np.abs(source)).astype(np.uint32)
        bits = bits | (widened != source).astype(np.uint32)
    return bits.reshape(source.shape)
