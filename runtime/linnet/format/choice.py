"""Which blocks a matrix needs, what each block shape would cost, and which is best."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from linnet.format.blocks import (
    BLOCKS_BY_SPEED,
    DENSE,
    QUAD,
    block_shape,
    ceil_div,
    padded,
    values_bytes,
    weights_of,
)
from linnet.format.dtypes import Bool


def occupied_blocks(dense: npt.ArrayLike, block: str) -> Bool:
    """Which blocks hold a nonzero: `(block rows, block columns)` booleans."""
    r, c = block_shape(block)
    nonzero = np.asarray(dense) != 0
    rows, cols = nonzero.shape
    block_rows, block_cols = ceil_div(rows, r), ceil_div(cols, c)
    whole = padded(nonzero, block_rows * r, block_cols * c)
    return np.asarray(whole.reshape(block_rows, r, block_cols, c).any(axis=(1, 3)))


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
    if layout == DENSE:
        return values_bytes(weights_of(DENSE, dtype, rows, cols), rows, dtype)
    r, c = block_shape(layout)
    index_width = 1 if ceil_div(cols, c) <= 256 else 2
    counts = np.sort(occupied_blocks(matrix, layout).sum(axis=1))[::-1]
    n_blocks = 4 * int(counts[::4].sum())  # a quad is as long as its longest block row
    values = values_bytes(weights_of(layout, dtype, rows, cols, n_blocks), rows, dtype)
    return values + n_blocks * index_width + QUAD.itemsize * int(counts[::4].size)


def best_block(dense: npt.ArrayLike, dtype: str) -> str:
    """The block shape that stores the matrix in the fewest bytes, or "dense".

    Among shapes within a twentieth of the fewest bytes, the one with the fastest kernels. A shape
    that would leave out less than half of its blocks is not considered: skipping them saves less
    time than finding the others costs.
    """
    matrix = np.asarray(dense)
    sizes = {
        block: stored_bytes(matrix, block, dtype)
        for block in BLOCKS_BY_SPEED
        if occupied_blocks(matrix, block).mean() <= 0.5
    }
    fewest = min(sizes.values(), default=0)
    if not sizes or fewest >= stored_bytes(matrix, DENSE, dtype):
        return DENSE
    return next(block for block in BLOCKS_BY_SPEED if sizes.get(block, fewest * 2) <= 1.05 * fewest)
