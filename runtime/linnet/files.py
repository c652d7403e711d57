"""Reading a file whole, and writing one whole or not at all. `-` is standard input and output."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

STANDARD = "-"


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """All of a file, or of standard input. Raises OSError from the system."""
    if os.fspath(path) == STANDARD:
        return sys.stdin.buffer.read()
    with open(path, "rb") as file:
        return file.read()


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """`write_atomic`, or to standard output."""
    if os.fspath(path) == STANDARD:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        write_atomic(path, data)


@contextlib.contextmanager
def as_file(path: str | os.PathLike[str]) -> Iterator[str]:
    """The path of a file, which for standard input is a temporary copy."""
    if os.fspath(path) != STANDARD:
        yield os.fspath(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "stdin")
        with open(copy, "wb") as file:
            file.write(read_bytes(path))
        yield copy


def is_special(path: str | os.PathLike[str]) -> bool:
    """Whether there is something that is written into, not replaced: a pipe, a device, -."""
    if os.fspath(path) == STANDARD:
        return True
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def require_apart(
    outputs: Iterable[str | os.PathLike[str]], inputs: Iterable[str | os.PathLike[str] | None]
) -> None:
    """Raises ValueError where writing one of the outputs would replace one of the inputs, under
    whatever name, or a file in one that is a folder. Those that are None, and what is not a regular
    file, do not count."""
    there = {(s.st_dev, s.st_ino): path for path in outputs if (s := _regular(path))}
    if not there:
        return
    for path in inputs:
        if path is None:
            continue
        for file in Path(path).iterdir() if os.path.isdir(path) else [path]:
            found = _regular(file)
            if found and (found.st_dev, found.st_ino) in there:
                output = os.fspath(there[found.st_dev, found.st_ino])
                raise ValueError(f"{output} is an input itself: choose another name")


def _regular(path: str | os.PathLike[str]) -> os.stat_result | None:
    """What the system knows of a regular file; None of anything else."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def write_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file whole or not at all: whatever fails, the old file stays and no other is left.

    A link is followed. A pipe or a device is written into. Raises OSError from the system.
    """
    if is_special(path):
        with open(path, "wb") as file:
            file.write(data)
        return
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    descriptor, temporary = tempfile.mkstemp(
        dir=folder, prefix=f".{os.path.basename(target)}.", suffix=".part"
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        mode = os.stat(target).st_mode & 0o777 if os.path.exists(target) else 0o666 & ~_umask()
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: str) -> None:
    """Make the new name durable where the system lets a folder be synchronised."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
