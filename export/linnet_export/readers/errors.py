"""What reading a checkpoint may raise, and the one place that makes it of everything else."""

from __future__ import annotations

import errno
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from gzip import BadGzipFile
from os import PathLike, fspath
from zipfile import BadZipFile

_LONGEST = 4000  # characters of a message


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, or makes no voice: `path` names it, `what` says why."""

    def __init__(self, path: str | PathLike[str], what: str) -> None:
        self.path, self.what = fspath(path), printable(what)
        super().__init__(self.path, self.what)

    def __str__(self) -> str:
        return f"{printable(self.path)}: {self.what}"


def printable(text: str) -> str:
    """The text on one line, without what a terminal would obey, and not endless."""
    words = " ".join(text.split())
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in words[:_LONGEST])
    return shown + (f" ... ({len(words)} characters)" if len(words) > _LONGEST else "")


@contextmanager
def blamed_on(path: str | PathLike[str]) -> Iterator[None]:
    """Turn whatever a checkpoint makes the code inside raise into a CheckpointError.

    Errors of the system (OSError) and of missing packages (ImportError) stay what they are.
    """
    try:
        yield
    except (CheckpointError, ImportError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # zip and gzip complain without a number, a damaged offset with EINVAL
        raise CheckpointError(path, _what(error)) from error


def _what(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, (EOFError, zlib.error, BadGzipFile, BadZipFile)):
        return f"damaged: {error}"
    if isinstance(error, ValueError):
        return str(error)
    return f"damaged ({type(error).__name__}: {error})"
