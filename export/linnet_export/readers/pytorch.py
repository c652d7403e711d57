"""PyTorch checkpoints without PyTorch: a zip of one pickle and the storages' bytes; older files:
`pytorch_legacy`."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

from linnet_export.readers import pytorch_legacy
from linnet_export.readers.checkpoint import Checkpoint, split_state_dict
from linnet_export.readers.pickles import StoredTensor, Unpickler


def recognises(path: Path, start: bytes) -> bool:
    """Whether it is a zip file, or begins with the magic number of older files."""
    return start.startswith((b"PK\x03\x04", pytorch_legacy.MAGIC))


def _load_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("data.pkl")]
        if len(pickles) != 1:
            raise ValueError(f"{path}: a zip file, but neither of torch.save nor of numpy.savez")
        prefix = pickles[0].removesuffix("data.pkl")
        if (
            prefix + "byteorder" in archive.namelist()
            and archive.read(prefix + "byteorder") != b"little"
        ):
            raise ValueError(f"{path}: a big-endian checkpoint")
        with archive.open(prefix + "data.pkl") as file:
            return Unpickler(file, lambda key, _: archive.read(f"{prefix}data/{key}")).load()


def read(path: Path) -> Checkpoint:
    """Read a file of torch.save. Raises ValueError for anything but tensors and a config."""
    try:
        with path.open("rb") as file:
            is_legacy = file.read(len(pytorch_legacy.MAGIC)) == pytorch_legacy.MAGIC
        loaded = pytorch_legacy.load(path) if is_legacy else _load_zip(path)
    except (
        pickle.UnpicklingError,
        zipfile.BadZipFile,
        KeyError,
        EOFError,
        TypeError,
        AttributeError,
        IndexError,
        OverflowError,
        UnicodeDecodeError,
    ) as error:
        raise ValueError(f"{path}: not a checkpoint of weights only: {error}") from None
    if not isinstance(loaded, dict):
        raise ValueError(f"{path}: holds a {type(loaded).__name__}, not a state dict")
    state, config = split_state_dict(loaded, str(path))
    for name, value in state.items():
        if not isinstance(value, StoredTensor):
            raise ValueError(f"{path}: {name} is a {type(value).__name__}, not a tensor")
    return Checkpoint(
        {name: tensor.values for name, tensor in state.items()},
        config,
        frozenset(name for name, tensor in state.items() if tensor.is_bfloat16),
    )
