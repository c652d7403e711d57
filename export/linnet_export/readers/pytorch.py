"""PyTorch checkpoints without PyTorch: a zip of one pickle and the storages' bytes; older files:
`pytorch_legacy`."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from linnet.format.dtypes import widen
from linnet_export.building.tensors import Weights, unreadable
from linnet_export.readers import pickles, pytorch_legacy
from linnet_export.readers.archives import MAGIC as ZIP_MAGIC
from linnet_export.readers.archives import Archive
from linnet_export.readers.budget import Budget
from linnet_export.readers.checkpoint import Checkpoint, checked_config
from linnet_export.readers.choosing import choose
from linnet_export.readers.pickles import StoredTensor

BFLOAT16 = "bfloat16"
# Types of elements that are read -> numpy's; bfloat16 is held as uint16 until it is widened.
_NUMPY = {
    **{f"float{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
    **{f"int{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    "bool": "?",
    BFLOAT16: "<u2",
}


class Storages:
    """The storages of a file, each of which is read once."""

    def __init__(self, read: Callable[[str], bytes], budget: Budget) -> None:
        self._read, self._budget = read, budget
        self._data: dict[str, bytes] = {}
        self._elements: dict[tuple[str, str], Weights] = {}

    def elements(self, key: str, type: str) -> Weights:
        """A storage as elements of a type; bfloat16 as float32."""
        if (key, type) not in self._elements:
            if key not in self._data:
                self._data[key] = self._read(key)
            data = self._data[key]
            dtype = np.dtype(_NUMPY[type])
            values = np.frombuffer(data, dtype, len(data) // dtype.itemsize)
            if type == BFLOAT16:
                self._budget.spend(2 * values.nbytes, f"storage {key}")
                values = widen(values, BFLOAT16)
            self._elements[key, type] = values
        return self._elements[key, type]

    def tensor(self, name: str, stored: StoredTensor) -> Weights:
        """A tensor, after checking that its elements are those of its storage."""
        _, type, offset, shape, strides = stored
        if stored.storage is None or type not in _NUMPY:
            return unreadable(type, shape)
        values = self.elements(stored.storage.key, type)
        if 0 in shape:
            return np.zeros(shape, values.dtype)
        last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        size = int(np.prod(shape, dtype=object))
        if last >= values.size:
            raise ValueError(f"{name} leaves its storage")
        if size > values.size:
            raise ValueError(
                f"{name} has {size} elements, its storage {values.size}: it repeats them"
            )
        self._budget.spend(size * values.itemsize, name)
        view = np.lib.stride_tricks.as_strided(
            values[offset:], shape, [step * values.itemsize for step in strides], writeable=False
        )
        return np.ascontiguousarray(view).reshape(shape)


def recognises(path: Path, start: bytes) -> bool:
    """Whether it is a zip file, or begins with the magic number of older files."""
    return start.startswith((ZIP_MAGIC, pytorch_legacy.MAGIC))


def read(path: Path, budget: Budget, key: str | None = None) -> Checkpoint:
    """Read a file of torch.save; key: the place of its weights, as `choose` takes it.

    Raises ValueError where it holds no tensors, or several dicts of them and no key says which.
    """
    with path.open("rb") as file:
        is_legacy = file.read(len(pytorch_legacy.MAGIC)) == pytorch_legacy.MAGIC
    return _read_legacy(path, budget, key) if is_legacy else _read_zip(path, budget, key)


def _read_legacy(path: Path, budget: Budget, key: str | None) -> Checkpoint:
    with path.open("rb") as file:
        loaded, read_storage = pytorch_legacy.load(file, budget)
        return _checkpoint(loaded, Storages(read_storage, budget), key)


def _read_zip(path: Path, budget: Budget, key: str | None) -> Checkpoint:
    with Archive(path, budget) as archive:
        found = [name for name in archive.names() if name.endswith("data.pkl")]
        if len(found) != 1:
            raise ValueError("a zip file, but neither of torch.save nor of numpy.savez")
        prefix = found[0].removesuffix("data.pkl")
        order = prefix + "byteorder"
        if order in archive.names() and archive.read(order) != b"little":
            raise ValueError("a big-endian checkpoint")
        loaded = pickles.load(io.BytesIO(archive.read(found[0])), budget)
        storages = Storages(lambda storage: archive.read(f"{prefix}data/{storage}"), budget)
        return _checkpoint(loaded, storages, key)


def _checkpoint(loaded: Any, storages: Storages, key: str | None) -> Checkpoint:
    if not isinstance(loaded, Mapping) or (isinstance(loaded, pickles.Inert) and not loaded):
        kind = loaded.name if isinstance(loaded, pickles.Inert) else type(loaded).__name__
        raise ValueError(f"it holds a {kind}, not a state dict; save the network's state_dict()")
    state = choose(loaded, key)
    config = loaded.get("config")
    return Checkpoint(
        {name: storages.tensor(name, tensor) for name, tensor in state.items()},
        checked_config(config) if isinstance(config, Mapping) else {},
        frozenset(name for name, tensor in state.items() if tensor.type == BFLOAT16),
    )
