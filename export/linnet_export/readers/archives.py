"""Zip files, as torch.save and numpy.savez write them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import TracebackType

from linnet_export.readers.budget import Budget

MAGIC = b"PK\x03\x04"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1  # a bit of an entry's flags


class Archive:
    """A zip file whose entries are read within a budget."""

    def __init__(self, path: Path, budget: Budget) -> None:
        self._file, self._budget = zipfile.ZipFile(path), budget
        self._entries = {entry.filename: entry for entry in self._file.infolist()}

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def names(self) -> list[str]:
        return list(self._entries)

    def read(self, name: str) -> bytes:
        """An entry's bytes. Raises ValueError naming it where it is absent or not readable."""
        entry = self._entries.get(name)
        if entry is None:
            raise ValueError(f"the zip file lacks {name}")
        if entry.flag_bits & _ENCRYPTED:
            raise ValueError(f"{name} is encrypted")
        if entry.compress_type not in _METHODS:
            raise ValueError(f"{name} is compressed by method {entry.compress_type}, not deflate")
        self._budget.spend(entry.file_size, name)
        try:
            data = self._file.read(entry)
        except Exception as error:
            raise ValueError(f"{name} is damaged: {error}") from error
        if len(data) != entry.file_size:
            raise ValueError(f"{name} is cut short")
        return data
