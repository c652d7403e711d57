"""Reading checkpoints: every kind of file has one reader, which is chosen by the content."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol

from linnet_export.readers import (
    geneing_file,
    lyra_files,
    npz,
    onnx_file,
    pytorch,
    safetensors_file,
)
from linnet_export.readers.budget import Budget
from linnet_export.readers.checkpoint import Checkpoint
from linnet_export.readers.choosing import under
from linnet_export.readers.errors import blamed_on

START = 20  # bytes


class Reader(Protocol):
    """One kind of file."""

    def recognises(self, path: Path, start: bytes) -> bool:
        """Whether it is a file of this kind; start: its first bytes, none of a folder."""

    def read(self, path: Path, budget: Budget) -> Checkpoint:
        """Raises ValueError where the file holds what it should not, or unpacks to more than the
        budget, OSError from the system."""


READERS: tuple[Reader, ...] = (
    lyra_files,
    geneing_file,
    npz,
    pytorch,
    safetensors_file,
    onnx_file,
)


def read_checkpoint(
    path: str | Path, key: str | None = None, max_unpacked: int | None = None
) -> Checkpoint:
    """Read a checkpoint of any kind.

    key: which of its tensors: the place of a dict in a PyTorch checkpoint ("generator",
        "ema.shadow"), or what names begin with ("generator").
    max_unpacked: bytes that it may unpack to; None for 512 MiB, or four times the file where that
        is more.
    Raises CheckpointError where the file is none of these or holds what it should not, OSError from
    the system.
    """
    path = Path(path)
    with blamed_on(path):
        return _read(path, key, Budget(path, max_unpacked))


def _read(path: Path, key: str | None, budget: Budget) -> Checkpoint:
    start = b""
    if not path.is_dir():
        if not path.is_file():
            raise ValueError("neither a file nor a folder")
        with path.open("rb") as file:
            start = file.read(START)
        if not start:
            raise ValueError("it is empty")
    for reader in READERS:
        if not reader.recognises(path, start):
            continue
        if reader is pytorch:
            return pytorch.read(path, budget, key)
        checkpoint = reader.read(path, budget)
        return checkpoint if key is None else _part(checkpoint, key)
    if start[:1] == b"\x80":
        raise ValueError("a bare pickle; arbitrary pickles are refused. Save it with torch.save")
    raise ValueError(
        "not a checkpoint that linnet reads: PyTorch (.pt, .pth), .safetensors, .npz, .onnx, or "
        "model.bin of geneing/WaveRNN-Pytorch"
    )


def _part(checkpoint: Checkpoint, key: str) -> Checkpoint:
    tensors = under(checkpoint.tensors, key)
    if not tensors:
        raise ValueError(f"no tensor's name begins with {key!r} and a dot")
    narrow = under(dict.fromkeys(checkpoint.bfloat16), key)
    return replace(checkpoint, tensors=tensors, bfloat16=frozenset(narrow))
