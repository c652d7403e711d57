"""Tensors of an ONNX file as arrays, also where their bytes stand in a file beside it."""

from __future__ import annotations

import math
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from linnet_export.building.tensors import Weights, unreadable
from linnet_export.readers.budget import Budget

_READ = "FLOAT DOUBLE FLOAT16 BFLOAT16 INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32 UINT64 BOOL"


class OnnxTensors:
    """Reads the tensors of one file."""

    def __init__(self, path: Path, budget: Budget) -> None:
        from onnx import TensorProto, helper, numpy_helper

        self._folder, self._budget = path.parent, budget
        self._external = TensorProto.EXTERNAL
        self._types = {number: name for name, number in TensorProto.DataType.items()}
        self._dtype = helper.tensor_dtype_to_np_dtype
        self._to_array = numpy_helper.to_array

    def array(self, tensor: Any) -> Weights:
        """A TensorProto's array. Raises ValueError naming the tensor."""
        shape = tuple(tensor.dims)
        type = self._types.get(tensor.data_type, f"number {tensor.data_type}")
        if min(shape, default=0) < 0:
            raise ValueError(f"{tensor.name} has shape {shape}")
        if type not in _READ.split():
            return unreadable(type.lower(), shape)
        dtype = np.dtype(self._dtype(tensor.data_type))
        n_bytes = math.prod(shape) * dtype.itemsize
        self._budget.spend(2 * n_bytes, tensor.name)  # once more as it is turned or narrowed
        if tensor.data_location == self._external:
            data = self._read(tensor, n_bytes)
            return np.frombuffer(data, dtype.newbyteorder("<")).reshape(shape)
        try:
            array: Weights = self._to_array(tensor)
        except Exception as error:
            raise ValueError(f"{tensor.name}: {error}") from error
        return array

    def _read(self, tensor: Any, n_bytes: int) -> bytes:
        """The bytes of external data, which must stand in a file of the same folder or below."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        what = f"the external data of {tensor.name}, {location!r},"
        parts = PurePosixPath(location).parts
        windows = PureWindowsPath(location)
        if not parts or "\0" in location or ".." in parts or ".." in windows.parts:
            raise ValueError(f"{what} is no file of its folder")
        if PurePosixPath(location).is_absolute() or windows.is_absolute() or windows.drive:
            raise ValueError(f"{what} is no file of its folder")
        try:
            at, length = (int(entries.get(key) or 0) for key in ("offset", "length"))
        except ValueError:
            raise ValueError(f"{what} has no number for its offset or its length") from None
        if length not in (0, n_bytes) or not 0 <= at < 1 << 62:
            raise ValueError(f"{what} has {length} bytes at {at}, of {n_bytes} that are needed")
        path = self._folder
        for part in parts:
            path = path / part
            if path.is_symlink():
                raise ValueError(f"{what} is reached by a link")
        if not path.exists():
            raise ValueError(f"{what} is missing")
        if not path.is_file():
            raise ValueError(f"{what} is not a regular file")
        with path.open("rb") as opened:
            opened.seek(at)
            data = opened.read(n_bytes)
        if len(data) < n_bytes:
            raise ValueError(f"{what} is cut short")
        return data
