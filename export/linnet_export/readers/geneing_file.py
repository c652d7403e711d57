"""Reading `model.bin`, the weights file of github.com/geneing/WaveRNN-Pytorch (its C++ vocoder's).

Little-endian. Header: int32 residual blocks, upsampling layers, hop length, padding; then layers,
each an int32 type, a 64-byte name and its contents. Compressed matrices are rows of groups of four
columns: int32 n, float32 values[n], int32 m, uint8 index[m]; index 255 ends a row, any other g
stands for columns 4g .. 4g + 3; one 255 ends the matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from linnet_export.building.batch_norm import BatchNorm
from linnet_export.building.tensors import Weights
from linnet_export.readers.budget import Budget
from linnet_export.readers.checkpoint import Checkpoint

ELEMENT_SIZE = 4
ROW_END = 255
MAX_SIDE = 1 << 16


@dataclass(frozen=True)
class Conv:
    weight: Weights  # (out, in, k)
    bias: Weights | None  # (out,)


@dataclass(frozen=True)
class Smoothing:
    weight: Weights  # (k,)


@dataclass(frozen=True)
class Linear:
    weight: Weights  # (rows, cols)
    bias: Weights  # (rows,)


@dataclass(frozen=True)
class Gru:
    """Gates in the file's order: reset, update, candidate."""

    input: Weights  # (3, hidden, inputs)
    recurrent: Weights  # (3, hidden, hidden)
    input_bias: Weights  # (3, hidden)
    recurrent_bias: Weights  # (3, hidden)


@dataclass(frozen=True)
class Stretch:
    time: int
    frequency: int


Layer = Conv | Smoothing | BatchNorm | Linear | Gru | Stretch


@dataclass(frozen=True)
class ModelFile:
    residual_blocks: int
    upsampling_layers: int
    hop_length: int
    padding: int
    layers: tuple[Layer, ...]


class _Reader:
    def __init__(self, data: bytes, budget: Budget | None) -> None:
        self.data, self.budget = data, budget
        self.at = 0

    def take(self, dtype: str, n: int, what: str) -> Weights:
        size = np.dtype(dtype).itemsize * n
        if n < 0 or size > len(self.data) - self.at:
            raise ValueError(
                f"model.bin: {what} at byte {self.at} needs {size} bytes of the "
                f"{len(self.data) - self.at} that are left"
            )
        values = np.frombuffer(self.data, dtype, n, self.at)
        self.at += size
        return values

    def floats(self, n: int, what: str) -> Weights:
        values = self.take("<f4", n, what)
        if not np.isfinite(values).all():
            raise ValueError(f"model.bin: {what} has a NaN or infinite value")
        return values

    def sizes(self, n: int, what: str, least: int = 1) -> list[int]:
        """n int32 that must be in least .. 65536."""
        at = self.at
        values: list[int] = self.take("<i4", n, what).tolist()
        if not all(least <= value <= MAX_SIDE for value in values):
            raise ValueError(f"model.bin: {what} at byte {at} is {values}")
        return values

    def element_size(self) -> None:
        (size,) = self.sizes(1, "element size")
        if size != ELEMENT_SIZE:
            raise ValueError(
                f"model.bin: elements of {size} bytes, not {ELEMENT_SIZE}, at byte {self.at - 4}"
            )

    def compressed(self, rows: int, cols: int, what: str) -> Weights:
        n = int(self.take("<i4", 1, what)[0])
        values = self.floats(n, f"values of {what}")
        m = int(self.take("<i4", 1, what)[0])
        index = self.take("u1", m, f"index of {what}")
        ends = np.flatnonzero(index == ROW_END)
        groups = index[index != ROW_END]
        complete = len(ends) in (rows, rows + 1) and len(index) > 0 and ends[-1] == len(index) - 1
        nothing_after_rows = len(ends) <= rows or ends[-1] == ends[-2] + 1
        if not complete or not nothing_after_rows or n != 4 * len(groups):
            raise ValueError(
                f"model.bin: the index of {what} does not make {rows} rows of {n} values"
            )
        if len(groups) and 4 * (int(groups.max()) + 1) > -(-cols // 4) * 4:
            raise ValueError(f"model.bin: the index of {what} leaves its {cols} columns")
        if self.budget is not None:
            self.budget.spend(ELEMENT_SIZE * rows * cols, what)
        row = np.cumsum(index == ROW_END)[index != ROW_END]
        dense = np.zeros((rows, -(-cols // 4), 4), np.float32)
        dense[row, groups] = values.reshape(-1, 4)
        flat = dense.reshape(rows, -1)
        if flat[:, cols:].any():
            raise ValueError(f"model.bin: {what} has weights beyond its {cols} columns")
        return flat[:, :cols]


def _read_layer(reader: _Reader) -> Layer:
    at = reader.at
    kind = int(reader.take("<i4", 1, "layer type")[0])
    reader.take("u1", 64, "layer name")
    what = f"layer at byte {at}"
    if kind == 6:
        return Stretch(*reader.sizes(2, what))
    reader.element_size()
    if kind == 1:
        has_bias, c_in, c_out, k = reader.sizes(4, what, least=0)
        weight = reader.floats(c_out * c_in * k, what).reshape(c_out, c_in, k)
        return Conv(weight, reader.floats(c_out, what) if has_bias else None)
    if kind == 2:
        return Smoothing(reader.floats(reader.sizes(1, what)[0], what))
    if kind == 3:
        (n,) = reader.sizes(1, what)
        eps = float(reader.floats(1, what)[0])
        return BatchNorm(eps, *(reader.floats(n, what) for _ in range(4)))
    if kind == 4:
        rows, cols = reader.sizes(2, what)
        return Linear(reader.compressed(rows, cols, what), reader.floats(rows, what))
    if kind == 5:
        hidden, inputs = reader.sizes(2, what)
        matrices = [reader.compressed(hidden, cols, what) for cols in [inputs] * 3 + [hidden] * 3]
        biases = [reader.floats(hidden, what) for _ in range(6)]
        return Gru(*(np.stack(x) for x in (matrices[:3], matrices[3:], biases[:3], biases[3:])))
    raise ValueError(f"model.bin: {what} has the unknown type {kind}")


def read_model(data: bytes, budget: Budget | None = None) -> ModelFile:
    """Parse a whole `model.bin`. Raises ValueError naming what is wrong and where, or where its
    matrices leave the budget."""
    reader = _Reader(data, budget)
    blocks, upsampling, hop, padding = reader.sizes(4, "header", least=0)
    layers = []
    while reader.at < len(data):
        layers.append(_read_layer(reader))
    return ModelFile(blocks, upsampling, hop, padding, tuple(layers))


def read(path: Path, budget: Budget) -> Checkpoint:
    """A whole `model.bin`, whose layers are a ModelFile. Raises ValueError."""
    model = read_model(path.read_bytes(), budget)
    return Checkpoint(tensors(model), layers=model)


def tensors(model: ModelFile) -> dict[str, Weights]:
    """All weights, named after their layers: number, kind, role. Matrices of gates are stacked."""
    found = {}
    for number, layer in enumerate(model.layers):
        for role, value in vars(layer).items():
            if isinstance(value, np.ndarray):
                stacked = value.reshape(-1, *value.shape[2:]) if isinstance(layer, Gru) else value
                found[f"{number}.{type(layer).__name__.lower()}.{role}"] = stacked
    return found


def recognises(path: Path, start: bytes) -> bool:
    """Whether it begins with a plausible header and a convolution."""
    if len(start) < 20:
        return False
    blocks, upsampling, hop, padding, kind = np.frombuffer(start, "<i4", 5).tolist()
    plausible = 0 <= blocks <= 64 and 1 <= upsampling <= 16 and 1 <= hop <= 65536
    return bool(plausible and 0 <= padding <= 64 and kind == 1)
