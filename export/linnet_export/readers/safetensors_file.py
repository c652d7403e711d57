"""safetensors checkpoints; the config is a JSON text under "config" in the header's metadata."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from linnet.errors import install
from linnet.format.dtypes import widen
from linnet_export.building.tensors import Weights
from linnet_export.readers.checkpoint import Checkpoint, parse_config

_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "U8": "u1",
}


def recognises(path: Path, start: bytes) -> bool:
    """Whether it has the name of such a file, and begins with a header of JSON."""
    return start[8:9] == b"{" and path.suffix == ".safetensors"


def read(path: Path) -> Checkpoint:
    """Read a .safetensors file, checked by the safetensors library. Raises ValueError."""
    try:
        from safetensors import SafetensorError, deserialize
    except ImportError as error:
        raise ImportError(f"reading safetensors needs safetensors: {install('export')}") from error
    data = path.read_bytes()
    try:
        entries: list[tuple[str, dict[str, Any]]] = deserialize(data)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise ValueError(f"{path}: {error}") from None
    tensors = {name: _tensor(f"{path}: {name}", entry) for name, entry in entries}
    (size,) = struct.unpack("<Q", data[:8])
    metadata = json.loads(data[8 : 8 + size]).get("__metadata__", {})
    return Checkpoint(
        tensors,
        parse_config(metadata["config"], str(path)) if "config" in metadata else {},
        frozenset(name for name, entry in entries if entry["dtype"] == "BF16"),
    )


def _tensor(what: str, entry: dict[str, Any]) -> Weights:
    dtype = entry["dtype"]
    if dtype not in _DTYPES:
        raise ValueError(f"{what} is of type {dtype}")
    values = np.frombuffer(entry["data"], _DTYPES[dtype])
    if dtype == "BF16":
        values = widen(values, "bfloat16")
    return values.reshape(entry["shape"])
