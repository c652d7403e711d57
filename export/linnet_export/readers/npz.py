"""numpy .npz checkpoints; the config is a JSON text in the array "config"."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np

from linnet_export.building.tensors import Weights, unreadable
from linnet_export.readers.archives import MAGIC, Archive
from linnet_export.readers.budget import Budget
from linnet_export.readers.checkpoint import Checkpoint, parse_config

_SUFFIX = ".npy"


def recognises(path: Path, start: bytes) -> bool:
    """Whether it is a zip file that holds arrays only, as numpy.savez writes them."""
    if not start.startswith(MAGIC):
        return False
    with Archive(path, Budget(path)) as archive:
        names = archive.names()
    return bool(names) and all(name.endswith(_SUFFIX) for name in names)


def read(path: Path, budget: Budget) -> Checkpoint:
    """Read a file of numpy.savez, which may hold no pickled objects. Raises ValueError."""
    with Archive(path, budget) as archive:
        arrays = {
            name.removesuffix(_SUFFIX): _array(name, archive.read(name)) for name in archive.names()
        }
    config = arrays.pop("config", None)
    return Checkpoint(arrays, parse_config(str(config)) if config is not None else {})


def _array(name: str, data: bytes) -> Weights:
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            header = np.lib.format.read_array_header_1_0(file)
        elif version == (2, 0):
            header = np.lib.format.read_array_header_2_0(file)
        else:
            raise ValueError(f"version {version} of the format")
    except Exception as error:
        raise ValueError(f"{name} is no array: {error}") from error
    shape, fortran, dtype = header
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects; arbitrary pickles are refused")
    size, start = math.prod(shape), file.tell()
    if min(shape, default=0) < 0 or size * dtype.itemsize != len(data) - start:
        raise ValueError(
            f"{name} has shape {shape} and type {dtype}, but {len(data) - start} bytes"
        )
    if dtype.kind not in "fiubU":
        return unreadable(str(dtype), shape)
    array = np.frombuffer(data, dtype, size, start) if dtype.itemsize else np.zeros(size, dtype)
    return array.reshape(shape, order="F" if fortran else "C")
