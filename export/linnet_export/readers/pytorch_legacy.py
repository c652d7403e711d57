"""Files of torch.save from before PyTorch 1.6, which many published checkpoints still are.

Five pickles: a magic number, the format's version, the machine's byte order and sizes, the object,
and the list of its storages' keys. Then every storage in that order: its number of elements (u64)
and the elements.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import IO, Any

from linnet_export.readers.pickles import Unpickler, item_size

MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
VERSION = 1001


class _Types(Unpickler):
    """Goes over the object for the types of its storages only."""

    def __init__(self, file: IO[bytes]) -> None:
        self.types: dict[str, str] = {}
        super().__init__(file, self._note)

    def _note(self, key: str, numpy: str) -> bytes:
        self.types[key] = numpy
        return b""

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        return (lambda *_: None) if module == "torch._utils" else found


def _no_storage(key: str, _: str) -> bytes:
    raise pickle.UnpicklingError(f"storage {key} outside the object")


def load(path: Path) -> Any:
    """The saved object. Raises pickle.UnpicklingError, or what a damaged pickle raises."""
    with path.open("rb") as file, path.open("rb") as data:
        file.seek(len(MAGIC))
        version = Unpickler(file, _no_storage).load()
        if version != VERSION:
            raise pickle.UnpicklingError(f"its version is {version!r}, not {VERSION}")
        if not Unpickler(file, _no_storage).load()["little_endian"]:
            raise pickle.UnpicklingError("it is big-endian")
        start = file.tell()
        scan = _Types(file)
        scan.load()
        keys = Unpickler(file, _no_storage).load()
        places = _places(file, [(key, item_size(scan.types[key])) for key in keys])

        def read(key: str, _: str) -> bytes:
            at, n_bytes = places[key]
            data.seek(at)
            return data.read(n_bytes)

        file.seek(start)
        return Unpickler(file, read).load()


def _places(file: IO[bytes], items: list[tuple[str, int]]) -> dict[str, tuple[int, int]]:
    """Offset and bytes of each storage; items: keys, and the bytes of an element."""
    places = {}
    size = os.fstat(file.fileno()).st_size
    for key, item in items:
        count = file.read(8)
        at, n_bytes = file.tell(), item * int.from_bytes(count, "little")
        if len(count) < 8 or n_bytes > size - at:
            raise pickle.UnpicklingError(f"storage {key} is cut short")
        places[key] = (at, n_bytes)
        file.seek(at + n_bytes)
    return places
