"""Block-sparse matrices: which blocks a matrix needs, and how the file stores them.

Everything here follows export/FORMAT.md, "Tensors". Matrices are `(rows, cols)` arrays of y = W x;
a block shape is rows x columns of W.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

VECTOR, TABLE, DENSE = "vector", "table", "dense"

# Name -> number in the file.
LAYOUTS: Mapping[str, int] = MappingProxyType(
    {VECTOR: 0, TABLE: 1, DENSE: 2, "4x4": 3, "16x1": 4, "1x16": 5, "1x4": 6}
)
DTYPES: Mapping[str, int] = MappingProxyType({"float16": 1, "bfloat16": 2, "float32": 3})

# Block shapes, as (rows, columns) of a block.
BLOCKS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"4x4": (4, 4), "16x1": (16, 1), "1x16": (1, 16), "1x4": (1, 4)}
)

GROUP = 16  # floats or elements that vectors, table rows and dense panels are padded to
MAX_BLOCKS_ASIDE = 65535  # block rows and block columns are counted in 16 bits
NO_BLOCK_ROW = 65535

# Four block rows whose blocks are stored in turn.
QUAD = np.dtype([("block_rows", "<u2", (4,)), ("steps", "<u4")])

_STORAGE: Mapping[str, np.dtype[Any]] = {
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),
    "float32": np.dtype("<f4"),
}


def storage_dtype(dtype: str) -> np.dtype[Any]:
    """The numpy type of one stored weight; bfloat16 is held in uint16."""
    if dtype not in _STORAGE:
        raise ValueError(f"dtype {dtype!r} is none of {', '.join(_STORAGE)}")
    return _STORAGE[dtype]


def block_shape(block: str) -> tuple[int, int]:
    """(rows, columns) of a block shape's name."""
    if block not in BLOCKS:
        raise ValueError(f"block {block!r} is none of {', '.join(BLOCKS)}")
    return BLOCKS[block]


def ceil_div(n: int, by: int) -> int:
    return -(-n // by)


def round_weights(weights: npt.ArrayLike, dtype: str) -> npt.NDArray[Any]:
    """Round to the storage type, to nearest even, keeping subnormals; once, also from float64.

    Returns an array of `storage_dtype(dtype)` of the same shape. Raises ValueError where a weight
    is NaN or infinite, or beyond the range of the type: the message names the largest value.
    """
    target = storage_dtype(dtype)
    source = np.asarray(weights)
    if source.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        source = source.astype(np.float32)
    if not np.isfinite(source).all():
        raise ValueError("a weight is NaN or infinite")
    with np.errstate(over="ignore"):
        if dtype == "bfloat16":
            bits = _float32_bits_rounded_to_odd(source)
            odd = (bits >> np.uint32(16)) & np.uint32(1)
            rounded = ((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16)).astype(np.uint16)
        else:
            rounded = source.astype(target)
    if not np.isfinite(widen(rounded, dtype)).all():
        largest = float(source.ravel()[np.argmax(np.abs(source))])
        raise ValueError(f"the largest weight, {largest:g}, is beyond the range of {dtype}")
    return rounded.astype(target, copy=False)


def _float32_bits_rounded_to_odd(source: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    """float32 bits of which the last says "inexact": rounding them again is rounding once."""
    nearest = source.astype(np.float32)
    bits = nearest.view(np.uint32) if nearest.ndim else nearest.reshape(1).view(np.uint32)[0:1]
    if source.dtype == np.float64:
        widened = nearest.astype(np.float64)
        bits = bits - (np.abs(widened) > np.abs(source)).astype(np.uint32)
        bits = bits | (widened != source).astype(np.uint32)
    return bits.reshape(source.shape)


def widen(stored: npt.NDArray[Any], dtype: str) -> Float32:
    """Stored weights as float32, exactly; the same shape."""
    if dtype == "bfloat16":
        return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return stored.astype(np.float32)


@dataclass(frozen=True)
class Packed:
    """One tensor as it stands in the file."""

    layout: str
    dtype: str
    rows: int
    cols: int
    values: npt.NDArray[Any]  # (n,) of storage_dtype(dtype)
    n_blocks: int = 0
    columns: npt.NDArray[Any] | None = None  # (n_blocks,) uint8 or uint16, block layouts only
    quads: npt.NDArray[np.void] | None = None  # (ceil(block rows / 4),) of QUAD

    @property
    def index_width(self) -> int:
        """Bytes of a column index; 0 without blocks."""
        return 0 if self.columns is None else self.columns.dtype.itemsize

    @property
    def stored_weights(self) -> int:
        """Weights inside the matrix of the blocks that it needs; all of them without blocks."""
        if self.layout not in BLOCKS:
            return self.rows * self.cols
        (r, c), (block_row, block_col) = BLOCKS[self.layout], self.places()
        needed = _nonzero(self.values.reshape(-1, r * c), self.dtype).any(axis=1)
        inside = np.minimum(r, self.rows - r * block_row) * np.minimum(c, self.cols - c * block_col)
        return int(inside[needed].sum())

    def places(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Block row and block column of every stored block, in storage order.

        The block row is NO_BLOCK_ROW in the places of a quad that stand for none.
        """
        assert self.columns is not None and self.quads is not None
        steps = np.repeat(self.quads["block_rows"].astype(np.int64), self.quads["steps"], axis=0)
        return steps.ravel(), self.columns.astype(np.int64)

    @property
    def nbytes(self) -> int:
        """Bytes of values, columns and quads together."""
        n = self.values.nbytes
        if self.columns is not None and self.quads is not None:
            n += self.columns.nbytes + self.quads.nbytes
        return n

    def to_dense(self) -> Float32:
        """The `(rows, cols)` float32 matrix, exactly as stored."""
        return unpack(self)


def pack(dense: npt.ArrayLike, layout: str, dtype: str) -> Packed:
    """Lay a matrix out: "vector" (1-d or one column), "table", "dense", or a block shape.

    Blocks whose weights all round to zero are not stored. Raises ValueError as `round_weights`
    does, for an array of the wrong shape, and for a matrix of more block rows or block columns than
    the file can count.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout {layout!r} is none of {', '.join(LAYOUTS)}")
    matrix = np.asarray(dense)
    if layout == VECTOR and matrix.ndim == 1:
        matrix = matrix[:, None]
    if matrix.ndim != 2 or matrix.shape[0] < 1 or matrix.shape[1] < 1:
        raise ValueError(f"a {layout} needs a matrix of at least 1 x 1, not shape {matrix.shape}")
    if layout == VECTOR and (dtype != "float32" or matrix.shape[1] != 1):
        raise ValueError("a vector is one column of float32")
    rounded = round_weights(matrix, dtype)
    rows, cols = rounded.shape
    if layout in BLOCKS:
        return _pack_blocks(rounded, layout, dtype)
    if layout == TABLE:
        values = _padded(rounded, rows, ceil_div(cols, GROUP) * GROUP).ravel()
    else:  # a vector is a dense matrix of one column
        panels = ceil_div(rows, GROUP)
        padded = _padded(rounded, panels * GROUP, cols)
        values = padded.reshape(panels, GROUP, cols).transpose(0, 2, 1).ravel()
    return Packed(layout, dtype, rows, cols, values)


def _pack_blocks(rounded: npt.NDArray[Any], block: str, dtype: str) -> Packed:
    rows, cols = rounded.shape
    r, c = BLOCKS[block]
    block_rows, block_cols = ceil_div(rows, r), ceil_div(cols, c)
    if max(block_rows, block_cols) > MAX_BLOCKS_ASIDE:
        raise ValueError(f"{rows} x {cols} has more than 65535 block rows or columns of {block}")
    padded = _padded(rounded, block_rows * r, block_cols * c)
    grid = padded.reshape(block_rows, r, block_cols, c).transpose(0, 2, 1, 3)
    occupied = _nonzero(grid, dtype).any(axis=(2, 3))
    counts = occupied.sum(axis=1)
    quads = np.zeros(ceil_div(block_rows, 4), QUAD)
    order = np.full(4 * quads.size, NO_BLOCK_ROW)
    order[:block_rows] = np.argsort(-counts, kind="stable")
    quads["block_rows"] = order.reshape(-1, 4)
    quads["steps"] = counts[order[::4]]
    # A row per block row, in the quads' order: its block columns, the last repeated to the end.
    longest = max(int(counts.max()), 1)
    listed = np.argsort(~occupied, axis=1, kind="stable")[:, :longest]
    step = np.arange(longest)
    last = np.maximum(counts - 1, 0)[:, None]
    repeated = np.take_along_axis(listed, np.minimum(step, last), axis=1)
    repeated[counts == 0] = 0
    columns = np.zeros((order.size, longest), np.int64)
    columns[:block_rows] = repeated[order[:block_rows]]
    real = np.zeros((order.size, longest), np.bool_)
    real[:block_rows] = step < counts[order[:block_rows], None]
    # Quad after quad, step after step, the four block rows in turn.
    stored = np.repeat(step[None, :] < quads["steps"][:, None], 4, axis=0)

    def in_turn(of_rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        by_step = of_rows.reshape(-1, 4, longest).transpose(0, 2, 1)
        return by_step[stored.reshape(-1, 4, longest).transpose(0, 2, 1)]

    block_row = in_turn(np.repeat(order[:, None], longest, axis=1))
    block_col, is_real = in_turn(columns), in_turn(real)
    values = np.zeros((block_col.size, r, c), rounded.dtype)
    values[is_real] = grid[block_row[is_real], block_col[is_real]]
    return Packed(
        block,
        dtype,
        rows,
        cols,
        values.ravel(),
        n_blocks=block_col.size,
        columns=block_col.astype("u1" if block_cols <= 256 else "<u2"),
        quads=quads,
    )


def unpack(packed: Packed) -> Float32:
    """The inverse of `pack`: `(rows, cols)` float32; for a vector `(rows,)`."""
    rows, cols = packed.rows, packed.cols
    values = widen(packed.values, packed.dtype)
    if packed.layout in BLOCKS:
        r, c = BLOCKS[packed.layout]
        block_rows, block_cols = ceil_div(rows, r), ceil_div(cols, c)
        grid = np.zeros((block_rows, block_cols, r, c), np.float32)
        block_row, block_col = packed.places()
        real = block_row != NO_BLOCK_ROW
        np.add.at(grid, (block_row[real], block_col[real]), values.reshape(-1, r, c)[real])
        padded = grid.transpose(0, 2, 1, 3).reshape(block_rows * r, block_cols * c)
        return np.ascontiguousarray(padded[:rows, :cols])
    if packed.layout == TABLE:
        return np.ascontiguousarray(values.reshape(rows, -1)[:, :cols])
    if packed.layout == VECTOR:
        return np.ascontiguousarray(values[:rows])
    panels = values.reshape(-1, cols, GROUP).transpose(0, 2, 1).reshape(-1, cols)
    return np.ascontiguousarray(panels[:rows])


def _padded(matrix: npt.NDArray[Any], rows: int, cols: int) -> npt.NDArray[Any]:
    if matrix.shape == (rows, cols):
        return matrix
    padded = np.zeros((rows, cols), matrix.dtype)
    padded[: matrix.shape[0], : matrix.shape[1]] = matrix
    return padded


def _nonzero(stored: npt.NDArray[Any], dtype: str) -> Bool:
    """Which stored weights are neither +0 nor -0."""
    return np.asarray((stored & np.uint16(0x7FFF) if dtype == "bfloat16" else stored) != 0)


# ---- Which blocks a matrix needs


def occupied_blocks(dense: npt.ArrayLike, block: str) -> Bool:
    """Which blocks hold a nonzero: `(block rows, block columns)` booleans."""
    r, c = block_shape(block)
    nonzero = np.asarray(dense) != 0
    rows, cols = nonzero.shape
    block_rows, block_cols = ceil_div(rows, r), ceil_div(cols, c)
    padded = _padded(nonzero, block_rows * r, block_cols * c)
    return np.asarray(padded.reshape(block_rows, r, block_cols, c).any(axis=(1, 3)))


def fill_ratio(dense: npt.ArrayLike, block: str) -> float:
    """Weights that the block shape stores per nonzero weight; 1 where it fits, or none is there."""
    matrix = np.asarray(dense)
    r, c = block_shape(block)
    nonzeros = int(np.count_nonzero(matrix))
    return int(occupied_blocks(matrix, block).sum()) * r * c / nonzeros if nonzeros else 1.0


def stored_bytes(dense: npt.ArrayLike, layout: str, dtype: str) -> int:
    """Bytes that `pack` would need, without packing."""
    matrix = np.asarray(dense)
    rows, cols = matrix.shape
    size = storage_dtype(dtype).itemsize
    if layout == DENSE:
        return int(ceil_div(rows, GROUP) * GROUP * cols * size)
    r, c = block_shape(layout)
    index_width = 1 if ceil_div(cols, c) <= 256 else 2
    counts = np.sort(occupied_blocks(matrix, layout).sum(axis=1))[::-1]
    n_blocks = 4 * int(counts[::4].sum())  # a quad is as long as its longest block row
    return int(n_blocks * (r * c * size + index_width) + QUAD.itemsize * counts[::4].size)


# The fastest kernels first: docs/benchmarks.md.
_BY_SPEED = ("16x1", "4x4", "1x16", "1x4")


def best_block(dense: npt.ArrayLike, dtype: str) -> str:
    """The block shape that stores the matrix in the fewest bytes, or "dense".

    Among shapes within a twentieth of the fewest bytes, the one with the fastest kernels. A shape
    that would leave out less than half of its blocks is not considered: skipping them saves less
    time than finding the others costs.
    """
    matrix = np.asarray(dense)
    sizes = {
        block: stored_bytes(matrix, block, dtype)
        for block in _BY_SPEED
        if occupied_blocks(matrix, block).mean() <= 0.5
    }
    fewest = min(sizes.values(), default=0)
    if not sizes or fewest >= stored_bytes(matrix, DENSE, dtype):
        return DENSE
    return next(block for block in _BY_SPEED if sizes.get(block, fewest * 2) <= 1.05 * fewest)
