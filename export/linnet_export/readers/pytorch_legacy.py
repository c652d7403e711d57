"""Files of torch.save from before PyTorch 1.6, which many published checkpoints still are.

Five pickles: a magic number, the format's version, the machine's byte order and sizes, the object,
and the list of its storages' keys. Then every storage in that order: its number of elements (u64)
and the elements.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from typing import IO, Any

from linnet_export.readers import pickles
from linnet_export.readers.budget import Budget
from linnet_export.readers.pickles import PickleError

MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
VERSION = 1001
# Bytes of an element of a storage.
_SIZES = {
    **dict.fromkeys(("int8", "uint8", "bool", "qint8", "quint8", "byte"), 1),
    **dict.fromkeys(("float16", "bfloat16", "int16"), 2),
    **dict.fromkeys(("float32", "int32", "qint32"), 4),
    **dict.fromkeys(("float64", "int64", "complex64"), 8),
    "complex128": 16,
}


def load(file: IO[bytes], budget: Budget) -> tuple[Any, Callable[[str], bytes]]:
    """The saved object, and what reads a storage by its key. Raises ValueError."""
    file.seek(len(MAGIC))
    version = pickles.load(file, budget)
    if not isinstance(version, int) or version != VERSION:
        raise PickleError(f"its version is not {VERSION}")
    system = pickles.load(file, budget)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise PickleError("it is big-endian")
    types: dict[str, str] = {}
    loaded = pickles.load(file, budget, types)
    keys = pickles.load(file, budget)
    if not isinstance(keys, list) or not all(isinstance(k, str) and k in types for k in keys):
        raise PickleError("its storages are not those of its tensors")
    places = _places(file, [(key, _SIZES[types[key]]) for key in keys])

    def read(key: str) -> bytes:
        if key not in places:
            raise ValueError(f"storage {key} is missing")
        at, n_bytes = places[key]
        budget.spend(n_bytes, f"storage {key}")
        file.seek(at)
        return file.read(n_bytes)

    return loaded, read


def _places(file: IO[bytes], items: list[tuple[str, int]]) -> dict[str, tuple[int, int]]:
    """Offset and bytes of each storage; items: keys, and the bytes of an element."""
    places = {}
    size = os.fstat(file.fileno()).st_size
    for key, item in items:
        count = file.read(8)
        at, n_bytes = file.tell(), item * int.from_bytes(count, "little")
        if len(count) < 8 or n_bytes > size - at:
            raise PickleError(f"storage {key} is cut short")
        places[key] = (at, n_bytes)
        file.seek(at + n_bytes)
    return places
