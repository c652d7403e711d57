"""The pickles of torch.save, loaded without PyTorch.

A pickle may name only what a state dict needs: dicts, tensors, parameters and storages. Anything
else is refused by its name before it is looked up, so no code of the file's choosing runs.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any, NamedTuple

import numpy as np

from linnet.format.dtypes import widen
from linnet_export.building.tensors import Weights

# torch's storage classes and dtypes -> numpy; bfloat16 is held as uint16 until it is widened.
_BFLOAT16 = "bfloat16"
_STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": _BFLOAT16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


def item_size(numpy: str) -> int:
    """Bytes of an element of a storage."""
    return 2 if numpy == _BFLOAT16 else np.dtype(numpy).itemsize


class _StorageType:
    def __init__(self, name: str) -> None:
        self.numpy = _STORAGES[name]


class _Storage:
    def __init__(self, data: bytes, numpy: str) -> None:
        self.is_bfloat16 = numpy == _BFLOAT16
        self.values: Weights
        if self.is_bfloat16:
            self.values = widen(np.frombuffer(data, "<u2"), _BFLOAT16)
        else:
            self.values = np.frombuffer(data, numpy)


class StoredTensor(NamedTuple):
    values: Weights
    is_bfloat16: bool


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> StoredTensor:
    """A tensor as a view of its storage, after checking that it lies inside."""
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    shape, strides = tuple(size), tuple(stride)
    integers = (offset, *shape, *strides)
    if len(shape) != len(strides) or not all(isinstance(n, int) and n >= 0 for n in integers):
        raise pickle.UnpicklingError(f"a tensor of shape {shape} and strides {strides}")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if 0 in shape:
        return StoredTensor(np.zeros(shape, storage.values.dtype), storage.is_bfloat16)
    if last >= storage.values.size:
        raise pickle.UnpicklingError("a tensor leaves its storage")
    itemsize = storage.values.itemsize
    view = np.lib.stride_tricks.as_strided(
        storage.values[offset:], shape, [step * itemsize for step in strides], writeable=False
    )
    return StoredTensor(np.ascontiguousarray(view).reshape(shape), storage.is_bfloat16)


def _rebuild_parameter(data: Any, *_: Any) -> Any:
    return data


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
}


class Unpickler(pickle.Unpickler):
    """Loads what a state dict needs; load_storage(key, type) gives a storage's bytes."""

    def __init__(self, file: IO[bytes], load_storage: Callable[[str, str], bytes]) -> None:
        super().__init__(file)
        self.load_storage = load_storage

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _STORAGES:
            return _StorageType(name)
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}; arbitrary pickles are refused")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Any:
        if not (isinstance(pid, tuple) and len(pid) >= 4 and pid[0] == "storage"):
            raise pickle.UnpicklingError("a persistent object that is no storage")
        kind, key = pid[1], pid[2]
        if not isinstance(kind, _StorageType) or not isinstance(key, str):
            raise pickle.UnpicklingError("a storage of no known type")
        if len(pid) > 5 and pid[5] is not None:
            raise pickle.UnpicklingError("a storage that is a view of another")
        return _Storage(self.load_storage(key, kind.numpy), kind.numpy)
