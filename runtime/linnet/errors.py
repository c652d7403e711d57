"""linnet's own error. Others are ValueError for arguments and OSError from the system."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


class FormatError(ValueError):
    """A `.linnet` file that is truncated, corrupt, hostile, or newer than this package.

    offset: where in the file the wrong field stands, in bytes; None where no single place is known.
    """

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message if offset is None else f"{message} (at byte {offset})")
        self.offset = offset


@contextmanager
def named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let a FormatError that the code inside raises begin with the file's name."""
    try:
        yield
    except FormatError as error:
        renamed = FormatError(f"{os.fspath(path)}: {error}")
        renamed.offset = error.offset
        raise renamed from None
