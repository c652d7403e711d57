"""linnet's own error. Others are ValueError for arguments and OSError from the system."""

from __future__ import annotations


class FormatError(ValueError):
    """A `.linnet` file that is truncated, corrupt, hostile, or newer than this package.

    offset: where in the file the wrong field stands, in bytes; None where no single place is known.
    """

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message if offset is None else f"{message} (at byte {offset})")
        self.offset = offset
