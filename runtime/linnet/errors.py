"""Errors of their own kind; everything else is a ValueError (arguments) or an OSError (the system)."""

from __future__ import annotations


class FormatError(ValueError):
    """A `.linnet` file that is truncated, corrupt, hostile, or newer than this package.

    offset: where in the file the field stands that is wrong, in bytes; None where no single place is.
    """

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message if offset is None else f"{message} (at byte {offset})")
        self.offset = offset
