"""safetensors checkpoints; the config is a JSON text under "config" in the header's metadata.

The file: the header's size (u64), the header as a JSON object, then the tensors' bytes. Each entry
of the header has a `dtype`, a `shape`, and `data_offsets` [from, to) into these bytes.
"""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import IO, Any

import numpy as np

from linnet.format.dtypes import widen
from linnet_export.building.tensors import Weights, unreadable
from linnet_export.readers.budget import Budget
from linnet_export.readers.checkpoint import Checkpoint, parse_config

_LENGTH = 8  # bytes of the header's size
_LONGEST = 100_000_000  # bytes of a header, as the safetensors library has it
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    **{f"I{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    "BOOL": "?",
}


def recognises(path: Path, start: bytes) -> bool:
    """Whether it has the name of such a file."""
    return path.suffix == ".safetensors"


def read(path: Path, budget: Budget) -> Checkpoint:
    """Read a .safetensors file. Raises ValueError."""
    with path.open("rb") as file:
        header, start = _header(file, budget)
        metadata = header.pop("__metadata__", None) or {}
        if not isinstance(metadata, dict):
            raise ValueError("its __metadata__ is no object")
        config = metadata.get("config")
        if not isinstance(config, str | None):
            raise ValueError("its config is no text")
        size = file.seek(0, 2) - start
        tensors = {
            name: _tensor(name, entry, file, start, size, budget) for name, entry in header.items()
        }
    narrow = frozenset(name for name, entry in header.items() if entry["dtype"] == "BF16")
    return Checkpoint(tensors, parse_config(config) if config is not None else {}, narrow)


def _header(file: IO[bytes], budget: Budget) -> tuple[dict[str, Any], int]:
    """The header, and where the tensors' bytes start."""
    length = file.read(_LENGTH)
    if len(length) < _LENGTH:
        raise ValueError("it is cut short in its header")
    (size,) = struct.unpack("<Q", length)
    if size > _LONGEST:
        raise ValueError(f"its header says it is {size} bytes long")
    budget.spend(4 * size, "its header")  # as it is parsed
    text = file.read(size)
    if len(text) < size:
        raise ValueError("it is cut short in its header")
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its header is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise ValueError("its header is not a JSON object")
    return header, _LENGTH + size


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 1 << 62 for n in value)


def _tensor(
    name: str, entry: Any, file: IO[bytes], start: int, size: int, budget: Budget
) -> Weights:
    if not isinstance(entry, dict):
        raise ValueError(f"{name}: its entry is no object")
    dtype: Any = entry.get("dtype")
    shape: Any = entry.get("shape")
    place: Any = entry.get("data_offsets")
    if not isinstance(dtype, str):
        raise ValueError(f"{name}: its dtype is no text")
    if not _is_numbers(shape) or not _is_numbers(place) or len(place) != 2:
        raise ValueError(f"{name}: its shape or its data_offsets are no list of numbers")
    first, end = place
    if not first <= end <= size:
        raise ValueError(f"{name}: its bytes {first} .. {end} leave the file's {size}")
    if dtype not in _DTYPES:
        return unreadable(dtype, tuple(shape))
    wanted = math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize
    if wanted != end - first:
        raise ValueError(
            f"{name}: {dtype} of shape {shape} needs {wanted} bytes, not {end - first}"
        )
    budget.spend(wanted * (3 if dtype == "BF16" else 1), name)
    file.seek(start + first)
    values = np.frombuffer(file.read(wanted), _DTYPES[dtype])
    return (widen(values, "bfloat16") if dtype == "BF16" else values).reshape(shape)
