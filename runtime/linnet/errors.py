"""linnet's own errors. Others are ValueError for arguments and OSError from the system."""

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


class Note(UserWarning):
    """What a user had better know; the command line prints it in one line."""


class FeatureWarning(Note):
    """Features that can hardly be those that a voice was trained on."""


def install(extra: str) -> str:
    """What to do where a package is missing that linnet's `extra` brings.

    linnet is on no index yet, so that only a checkout can be installed.
    """
    return f"pip install '.[{extra}]' in linnet's folder"


def one_line(error: BaseException) -> str:
    """An error as a command says it: in one line, with the file first, without its number."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return " ".join(text.split()) or type(error).__name__
