"""FORMAT.md's products in Numba: y = W x + bias from the packed sections, one function per layout.

P holds a row's partial sums; weights are taken in storage order. x is readable up to the next
multiple of the block's columns; bias and y have exactly `rows` floats.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from linnet._reference_functions import ZERO, Floats, fold
from linnet._reference_numba import compiled, fma

Columns = npt.NDArray[np.int64]  # (blocks): block column
RowList = npt.NDArray[np.int64]  # (block rows, 2): block row, stored blocks


@compiled
def dense(values: Floats, cols: int, x: Floats, bias: Floats, y: Floats) -> None:
    """values (panels of 16 rows, cols, 16)."""
    panels = values.reshape((-1, cols, 16))
    p = np.empty(2, np.float32)
    for row in range(len(y)):
        p[:] = ZERO
        for k in range(cols):
            p[k % 2] = fma(panels[row // 16, k, row % 16], x[k], p[k % 2])
        y[row] = (p[0] + p[1]) + bias[row]


@compiled
def blocks_4x4(
    values: Floats, columns: Columns, row_list: RowList, x: Floats, bias: Floats, y: Floats
) -> None:
    """values (blocks, 4 rows, 4 columns)."""
    blocks = values.reshape((-1, 4, 4))
    p = np.empty((2, 4), np.float32)
    s = np.empty(4, np.float32)
    first = 0
    for i in range(len(row_list)):
        block_row, count = row_list[i, 0], row_list[i, 1]
        for r in range(min(4, len(y) - 4 * block_row)):
            p[:] = ZERO
            for k in range(count):
                for c in range(4):
                    column = 4 * columns[first + k] + c
                    p[k % 2, c] = fma(blocks[first + k, r, c], x[column], p[k % 2, c])
            for c in range(4):
                s[c] = p[0, c] + p[1, c]
            row = 4 * block_row + r
            y[row] = ((s[0] + s[1]) + (s[2] + s[3])) + bias[row]
        first += count


@compiled
def blocks_16x1(
    values: Floats, columns: Columns, row_list: RowList, x: Floats, bias: Floats, y: Floats
) -> None:
    """values (blocks, 16 rows)."""
    blocks = values.reshape((-1, 16))
    p = np.empty(2, np.float32)
    first = 0
    for i in range(len(row_list)):
        block_row, count = row_list[i, 0], row_list[i, 1]
        for r in range(min(16, len(y) - 16 * block_row)):
            p[:] = ZERO
            for k in range(count):
                p[k % 2] = fma(blocks[first + k, r], x[columns[first + k]], p[k % 2])
            row = 16 * block_row + r
            y[row] = (p[0] + p[1]) + bias[row]
        first += count


@compiled
def blocks_1x16(
    values: Floats, columns: Columns, row_list: RowList, x: Floats, bias: Floats, y: Floats
) -> None:
    """values (blocks, 16 columns)."""
    blocks = values.reshape((-1, 16))
    p = np.empty(16, np.float32)
    first = 0
    for i in range(len(row_list)):
        row, count = row_list[i, 0], row_list[i, 1]
        p[:] = ZERO
        for k in range(count):
            for c in range(16):
                p[c] = fma(blocks[first + k, c], x[16 * columns[first + k] + c], p[c])
        y[row] = fold(p) + bias[row]
        first += count


@compiled
def blocks_1x4(
    values: Floats, columns: Columns, row_list: RowList, x: Floats, bias: Floats, y: Floats
) -> None:
    """values (blocks, 4 columns)."""
    blocks = values.reshape((-1, 4))
    p = np.empty(16, np.float32)
    first = 0
    for i in range(len(row_list)):
        row, count = row_list[i, 0], row_list[i, 1]
        p[:] = ZERO
        for k in range(count):
            for c in range(4):
                lane = 4 * (k % 4) + c
                p[lane] = fma(blocks[first + k, c], x[4 * columns[first + k] + c], p[lane])
        y[row] = fold(p) + bias[row]
        first += count
