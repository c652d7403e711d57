"""How much a checkpoint may unpack to."""

from __future__ import annotations

import os
from pathlib import Path

LEAST = 1 << 29  # bytes that every checkpoint may unpack to: 512 MiB
TIMES = 4  # as large as the file may get, where that is more
ITEM = 256  # bytes that an item of a pickle, or of a config, counts as


class Budget:
    """Bytes that reading a checkpoint may still make of it.

    Everything that grows with the file's content is spent: what is read or inflated, tensors as
    they are laid out, items of pickles.
    """

    def __init__(self, path: Path, most: int | None = None) -> None:
        """most: bytes in all; None for 512 MiB, or four times the file where that is more.

        Raises ValueError where it is negative, OSError from the system.
        """
        if most is not None and most < 0:
            raise ValueError(f"max_unpacked is {most} bytes")
        self.most = max(LEAST, TIMES * os.stat(path).st_size) if most is None else most
        self._left = self.most

    def spend(self, n_bytes: int, what: str) -> None:
        """Note that `what` takes so many bytes. Raises ValueError where they are too many."""
        self._left -= n_bytes
        if self._left < 0:
            raise ValueError(
                f"{what}: with {n_bytes:,} bytes more the checkpoint unpacks to over "
                f"{self.most:,} bytes; --max-unpacked allows more"
            )
