"""Block-sparse matrices as the file stores them.

Everything here follows export/FORMAT.md, "Tensors". Matrices are `(rows, cols)` arrays of y = W x;
a block shape is rows x columns of W.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from linnet.format.dtypes import (
    INT8_COLUMNS,
    Bool,
    Float32,
    quantise,
    round_weights,
    storage_type,
    widen,
)
from linnet.format.records import SECTION_ALIGNMENT

Integers = npt.NDArray[np.int64]

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
    Layout("4x4", 3, (4, 4), rank=3),
    Layout("16x1", 4, (16, 1), rank=1),
    Layout("1x16", 5, (1, 16), rank=4),
    Layout("1x4", 6, (1, 4), rank=5),
    Layout("8x4", 7, (8, 4), rank=2),
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
QUAD = np.dtype([("block_rows", "<u2", (4,)), ("depth", "<u4")])


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
    scales: Float32 | None = None  # (rows,), int8 only
    input_range: float = 0.0  # of an int8 matrix's operand: within +- this; 0: its own maximum

    @property
    def index_width(self) -> int:
        """Bytes of a column index; 0 without blocks."""
        return 0 if self.columns is None else self.columns.dtype.itemsize

    @property
    def padded_cols(self) -> int:
        """Floats of x that a product reads: whole blocks."""
        width = BLOCKS[self.layout][1] if self.layout in BLOCKS else dense_width(self.dtype)
        return ceil_div(self.cols, width) * width

    @property
    def values_section(self) -> bytes:
        """The section of the file that holds the weights, and behind them the scales."""
        section = self.values.tobytes()
        if self.scales is not None:
            section += bytes(-len(section) % SECTION_ALIGNMENT)
            section += np.pad(self.scales, (0, -self.rows % GROUP)).astype("<f4").tobytes()
        return section

    @property
    def stored_weights(self) -> int:
        """Weights inside the matrix of the blocks that it needs; all of them without blocks."""
        if self.layout not in BLOCKS:
            return self.rows * self.cols
        (r, c), (block_row, block_col) = BLOCKS[self.layout], self.places()
        needed = storage_type(self.dtype).nonzero(self.values.reshape(-1, r * c)).any(axis=1)
        inside = np.minimum(r, self.rows - r * block_row) * np.minimum(c, self.cols - c * block_col)
        return int(inside[needed].sum())

    def places(self) -> tuple[Integers, Integers]:
        """Block row and block column of every stored block, in storage order.

        The block row is NO_BLOCK_ROW in the places of a quad that stand for none.
        """
        assert self.columns is not None and self.quads is not None
        rows = np.repeat(self.quads["block_rows"].astype(np.int64), self.quads["depth"], axis=0)
        return rows.ravel(), self.columns.astype(np.int64)

    @property
    def nbytes(self) -> int:
        """Bytes of values, scales, columns and quads together."""
        n = values_bytes(self.values.size, self.rows, self.dtype)
        if self.columns is not None and self.quads is not None:
            n += self.columns.nbytes + self.quads.nbytes
        return n

    def to_dense(self) -> Float32:
        """The `(rows, cols)` float32 matrix, exactly as stored."""
        return unpack(self)


def dense_width(dtype: str) -> int:
    """Columns that a dense matrix stores together."""
    return 4 if storage_type(dtype).scaled else 1


def weights_of(layout: str, dtype: str, rows: int, cols: int, n_blocks: int = 0) -> int:
    """How many weights a section holds, those that fill it up included."""
    if layout in BLOCKS:
        r, c = BLOCKS[layout]
        return n_blocks * r * c
    if layout == TABLE:
        return rows * ceil_div(cols, GROUP) * GROUP
    width = dense_width(dtype)
    return ceil_div(rows, GROUP) * GROUP * ceil_div(cols, width) * width


def values_bytes(n_weights: int, rows: int, dtype: str) -> int:
    """Bytes of a section of so many weights, with its scales where the type has them."""
    kind = storage_type(dtype)
    n = n_weights * kind.stored.itemsize
    if not kind.scaled:
        return n
    return ceil_div(n, SECTION_ALIGNMENT) * SECTION_ALIGNMENT + 4 * ceil_div(rows, GROUP) * GROUP


def pack(dense: npt.ArrayLike, layout: str, dtype: str, input_range: float = 0.0) -> Packed:
    """Lay a matrix out: "vector" (1-d or one column), "table", "dense", or a block shape.

    Blocks whose weights all round to zero are not stored. input_range: of an int8 matrix, within
    +- which its operand lies; 0: within its own greatest magnitude. Raises ValueError as
    `round_weights` and `quantise` do, for an array of the wrong shape, and for a matrix of more
    block rows or block columns than the file can count, or more columns than an int8 one has.
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
    if not storage_type(dtype).scaled:
        return _laid_out(round_weights(matrix, dtype), layout, dtype)
    if layout != TABLE and matrix.shape[1] > INT8_COLUMNS:
        raise ValueError(f"{matrix.shape[1]} columns are more than an int8 matrix has")
    return pack_integers(*quantise(matrix), layout, input_range)


def pack_integers(
    integers: npt.NDArray[np.int8], scales: Float32, layout: str, input_range: float = 0.0
) -> Packed:
    """Lay integers (rows, cols) and the scales (rows,) of their rows out as an int8 matrix."""
    packed = _laid_out(integers, layout, "int8")
    return replace(packed, scales=scales, input_range=input_range)


def _laid_out(rounded: npt.NDArray[Any], layout: str, dtype: str) -> Packed:
    rows, cols = rounded.shape
    if layout in BLOCKS:
        return _pack_blocks(rounded, layout, dtype)
    if layout == TABLE:
        values = padded(rounded, rows, ceil_div(cols, GROUP) * GROUP).ravel()
    else:  # a vector is a dense matrix of one column
        panels, width = ceil_div(rows, GROUP), dense_width(dtype)
        whole = padded(rounded, panels * GROUP, ceil_div(cols, width) * width)
        values = whole.reshape(panels, GROUP, -1, width).transpose(0, 2, 1, 3).ravel()
    return Packed(layout, dtype, rows, cols, values)


def _pack_blocks(rounded: npt.NDArray[Any], block: str, dtype: str) -> Packed:
    rows, cols = rounded.shape
    r, c = BLOCKS[block]
    block_rows, block_cols = ceil_div(rows, r), ceil_div(cols, c)
    if max(block_rows, block_cols) > MAX_BLOCKS_ASIDE:
        raise ValueError(f"{rows} x {cols} has more than 65535 block rows or columns of {block}")
    whole = padded(rounded, block_rows * r, block_cols * c)
    grid = whole.reshape(block_rows, r, block_cols, c).transpose(0, 2, 1, 3)
    occupied = np.asarray(storage_type(dtype).nonzero(grid).any(axis=(2, 3)))
    block_row, block_col, is_real, quads = _in_quads(occupied)
    values = np.zeros((block_row.size, r, c), rounded.dtype)
    values[is_real] = grid[block_row[is_real], block_col[is_real]]
    index = block_col.astype("u1" if block_cols <= 256 else "<u2")
    return Packed(
        block, dtype, rows, cols, values.ravel(), n_blocks=index.size, columns=index, quads=quads
    )


def _in_quads(occupied: Bool) -> tuple[Integers, Integers, Bool, npt.NDArray[np.void]]:
    """Block row and block column of every block in storage order, which are real, and the quads.

    The block rows with most blocks come first. A quad stores the blocks of its four block rows in
    turn; those of a shorter block row end in its last column again, with weights of zero.
    """
    counts = occupied.sum(axis=1)
    columns = np.argsort(~occupied, axis=1, kind="stable")  # of each block row, as many as it has
    quads = np.zeros(ceil_div(counts.size, 4), QUAD)
    order = np.full(4 * quads.size, NO_BLOCK_ROW)
    order[: counts.size] = np.argsort(-counts, kind="stable")
    quads["block_rows"] = order.reshape(-1, 4)
    quads["depth"] = counts[order[::4]]
    sizes = 4 * quads["depth"].astype(np.int64)
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    step, block_row = within // 4, order[4 * np.repeat(np.arange(quads.size), sizes) + within % 4]
    exists = block_row != NO_BLOCK_ROW
    row = np.where(exists, block_row, 0)
    n = np.where(exists, counts[row], 0)
    block_col = np.where(n > 0, columns[row, np.clip(step, 0, np.maximum(n - 1, 0))], 0)
    return block_row, block_col, step < n, quads


def unpack(packed: Packed) -> Float32:
    """The inverse of `pack`: `(rows, cols)` float32; for a vector `(rows,)`."""
    unscaled = _unpack(packed, widen(packed.values, packed.dtype))
    return unscaled if packed.scales is None else np.asarray(unscaled * packed.scales[:, None])


def unpack_integers(packed: Packed) -> npt.NDArray[np.int8]:
    """The integers (rows, cols) of an int8 matrix, without the scales."""
    return _unpack(packed, widen(packed.values, packed.dtype)).astype(np.int8)


def _unpack(packed: Packed, values: Float32) -> Float32:
    rows, cols = packed.rows, packed.cols
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
    width = dense_width(packed.dtype)
    steps = ceil_div(cols, width)
    panels = values.reshape(-1, steps, GROUP, width).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(panels.reshape(-1, steps * width)[:rows, :cols])


def padded(matrix: npt.NDArray[Any], rows: int, cols: int) -> npt.NDArray[Any]:
    """The matrix with zeros below and on the right, to (rows, cols)."""
    if matrix.shape == (rows, cols):
        return matrix
    whole = np.zeros((rows, cols), matrix.dtype)
    whole[: matrix.shape[0], : matrix.shape[1]] = matrix
    return whole
