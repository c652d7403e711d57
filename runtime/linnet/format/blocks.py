"""Block-sparse matrices as the file stores them.

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

from linnet.format.dtypes import Float32, round_weights, storage_type, widen

VECTOR, TABLE, DENSE = "vector", "table", "dense"


@dataclass(frozen=True)
class Layout:
    """One order of weights in the file."""

    name: str
    number: int  # in the file
    block: tuple[int, int] | None = None  # rows x columns of a block; None without blocks
    rank: int = 0  # of the block shapes by the speed of their kernels, docs/benchmarks.md


_LAYOUTS = (
    Layout(VECTOR, 0),
    Layout(TABLE, 1),
    Layout(DENSE, 2),
    Layout("4x4", 3, (4, 4), rank=2),
    Layout("16x1", 4, (16, 1), rank=1),
    Layout("1x16", 5, (1, 16), rank=3),
    Layout("1x4", 6, (1, 4), rank=4),
)
# Name -> number in the file.
LAYOUTS: Mapping[str, int] = MappingProxyType({one.name: one.number for one in _LAYOUTS})
# Block shapes, as (rows, columns) of a block.
BLOCKS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {one.name: one.block for one in _LAYOUTS if one.block is not None}
)
# Their names, those with the fastest kernels first.
BLOCKS_BY_SPEED = tuple(
    one.name for one in sorted(_LAYOUTS, key=lambda one: one.rank) if one.block is not None
)

GROUP = 16  # floats or elements that vectors, table rows and dense panels are padded to
MAX_BLOCKS_ASIDE = 65535  # block rows and block columns are counted in 16 bits
NO_BLOCK_ROW = 65535

# Four block rows whose blocks are stored in turn.
QUAD = np.dtype([("block_rows", "<u2", (4,)), ("steps", "<u4")])


def block_shape(block: str) -> tuple[int, int]:
    """(rows, columns) of a block shape's name."""
    if block not in BLOCKS:
        raise ValueError(f"block {block!r} is none of {', '.join(BLOCKS)}")
    return BLOCKS[block]


def ceil_div(n: int, by: int) -> int:
    return -(-n // by)


@dataclass(frozen=True)
class Packed:
    """One tensor as it stands in the file."""

    layout: str
    dtype: str
    rows: int
    cols: int
    values: npt.NDArray[Any]  # (n,) of storage_type(dtype).stored
    n_blocks: int = 0
    columns: npt.NDArray[Any] | None = None  # (n_blocks,) uint8 or uint16, block layouts only
    quads: npt.NDArray[np.void] | None = None  # (ceil(block rows / 4),) of QUAD

    @property
    def index_width(self) -> int:
        """Bytes of a column index; 0 without blocks."""
        return 0 if self.columns is None else self.columns.dtype.itemsize

    @property
    def padded_cols(self) -> int:
        """Floats of x that a product reads: whole blocks."""
        width = BLOCKS[self.layout][1] if self.layout in BLOCKS else 1
        return ceil_div(self.cols, width) * width

    @property
    def stored_weights(self) -> int:
        """Weights inside the matrix of the blocks that it needs; all of them without blocks."""
        if self.layout not in BLOCKS:
            return self.rows * self.cols
        (r, c), (block_row, block_col) = BLOCKS[self.layout], self.places()
        needed = storage_type(self.dtype).nonzero(self.values.reshape(-1, r * c)).any(axis=1)
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
        values = padded(rounded, rows, ceil_div(cols, GROUP) * GROUP).ravel()
    else:  # a vector is a dense matrix of one column
        panels = ceil_div(rows, GROUP)
        whole = padded(rounded, panels * GROUP, cols)
        values = whole.reshape(panels, GROUP, cols).transpose(0, 2, 1).ravel()
    return Packed(layout, dtype, rows, cols, values)


def _pack_blocks(rounded: npt.NDArray[Any], block: str, dtype: str) -> Packed:
    rows, cols = rounded.shape
    r, c = BLOCKS[block]
    block_rows, block_cols = ceil_div(rows, r), ceil_div(cols, c)
    if max(block_rows, block_cols) > MAX_BLOCKS_ASIDE:
        raise ValueError(f"{rows} x {cols} has more than 65535 block rows or columns of {block}")
    whole = padded(rounded, block_rows * r, block_cols * c)
    grid = whole.reshape(block_rows, r, block_cols, c).transpose(0, 2, 1, 3)
    occupied = storage_type(dtype).nonzero(grid).any(axis=(2, 3))
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
        whole = grid.transpose(0, 2, 1, 3).reshape(block_rows * r, block_cols * c)
        return np.ascontiguousarray(whole[:rows, :cols])
    if packed.layout == TABLE:
        return np.ascontiguousarray(values.reshape(rows, -1)[:, :cols])
    if packed.layout == VECTOR:
        return np.ascontiguousarray(values[:rows])
    panels = values.reshape(-1, cols, GROUP).transpose(0, 2, 1).reshape(-1, cols)
    return np.ascontiguousarray(panels[:rows])


def padded(matrix: npt.NDArray[Any], rows: int, cols: int) -> npt.NDArray[Any]:
    """The matrix with zeros below and on the right, to (rows, cols)."""
    if matrix.shape == (rows, cols):
        return matrix
    whole = np.zeros((rows, cols), matrix.dtype)
    whole[: matrix.shape[0], : matrix.shape[1]] = matrix
    return whole
