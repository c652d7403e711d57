"""numpy .npz checkpoints; the config is a JSON text in the array "config"."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from linnet_export.readers.checkpoint import Checkpoint, parse_config


def recognises(path: Path, start: bytes) -> bool:
    """Whether it is a zip file that holds arrays only, as numpy.savez writes them."""
    if not start.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)


def read(path: Path) -> Checkpoint:
    """Read a file of numpy.savez, which may hold no pickled objects. Raises ValueError."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: {error}") from None
    config = arrays.pop("config", None)
    return Checkpoint(arrays, parse_config(str(config), str(path)) if config is not None else {})
