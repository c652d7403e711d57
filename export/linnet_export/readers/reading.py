"""Reading checkpoints: every kind of file has one reader, which is chosen by the content."""

from __future__ import annotations

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
from linnet_export.readers.checkpoint import Checkpoint

START = 20  # bytes


class Reader(Protocol):
    """One kind of file."""

    def recognises(self, path: Path, start: bytes) -> bool:
        """Whether it is a file of this kind; start: its first bytes, none of a folder."""

    def read(self, path: Path) -> Checkpoint:
        """Raises ValueError where the file holds what it should not, OSError from the system."""


READERS: tuple[Reader, ...] = (
    lyra_files,
    geneing_file,
    npz,
    pytorch,
    safetensors_file,
    onnx_file,
)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint of any kind.

    Raises ValueError where the file is none of these or holds what it should not, OSError from the
    system.
    """
    path = Path(path)
    start = b""
    if not path.is_dir():
        with path.open("rb") as file:
            start = file.read(START)
    for reader in READERS:
        if reader.recognises(path, start):
            return reader.read(path)
    if start[:1] == b"\x80":
        raise ValueError(
            f"{path}: a bare pickle; arbitrary pickles are refused. Save it with torch.save"
        )
    raise ValueError(
        f"{path}: not a checkpoint that linnet reads: PyTorch (.pt, .pth), .safetensors, .npz, "
        ".onnx, or model.bin of geneing/WaveRNN-Pytorch"
    )
