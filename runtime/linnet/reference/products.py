"""FORMAT.md's products in Numba: y = W x + bias from the packed sections, one function per layout.

P holds a row's partial sums; weights are taken in storage order. x is readable up to the next
multiple of the block's columns; bias and y have exactly `rows` floats. The blocks of a quad's four
block rows are stored in turn, so that a block row's next block stands four further on; places of a
quad that stand for no block row name one beyond y.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from linnet.reference.exact import compiled, fma
from linnet.reference.functions import ZERO, Floats, fold

Columns = npt.NDArray[np.int64]  # (blocks): block column
BlockRows = npt.NDArray[np.int64]  # (quads, 4)
Steps = npt.NDArray[np.int64]  # (quads)


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
    values: Floats,
    columns: Columns,
    block_rows: BlockRows,
    steps: Steps,
    x: Floats,
    bias: Floats,
    y: Floats,
) -> None:
    """values (blocks, 4 rows, 4 columns)."""
    blocks = values.reshape((-1, 4, 4))
    p = np.empty(4, np.float32)
    first = 0
    for quad in range(len(steps)):
        for q in range(4):
            block_row = block_rows[quad, q]
            for r in range(min(4, len(y) - 4 * block_row)):
                p[:] = ZERO
                for k in range(steps[quad]):
                    block = first + 4 * k + q
                    for c in range(4):
                        p[c] = fma(blocks[block, r, c], x[4 * columns[block] + c], p[c])
                row = 4 * block_row + r
                y[row] = ((p[0] + p[1]) + (p[2] + p[3])) + bias[row]
        first += 4 * steps[quad]


@compiled
def blocks_16x1(
    values: Floats,
    columns: Columns,
    block_rows: BlockRows,
    steps: Steps,
    x: Floats,
    bias: Floats,
    y: Floats,
) -> None:
    """values (blocks, 16 rows)."""
    blocks = values.reshape((-1, 16))
    p = np.empty(1, np.float32)
    first = 0
    for quad in range(len(steps)):
        for q in range(4):
            block_row = block_rows[quad, q]
            for r in range(min(16, len(y) - 16 * block_row)):
                p[0] = ZERO
                for k in range(steps[quad]):
                    block = first + 4 * k + q
                    p[0] = fma(blocks[block, r], x[columns[block]], p[0])
                row = 16 * block_row + r
                y[row] = p[0] + bias[row]
        first += 4 * steps[quad]


@compiled
def blocks_1x16(
    values: Floats,
    columns: Columns,
    block_rows: BlockRows,
    steps: Steps,
    x: Floats,
    bias: Floats,
    y: Floats,
) -> None:
    """values (blocks, 16 columns)."""
    blocks = values.reshape((-1, 16))
    p = np.empty(16, np.float32)
    first = 0
    for quad in range(len(steps)):
        for q in range(4):
            block_row = block_rows[quad, q]
            if block_row >= len(y):
                continue
            p[:] = ZERO
            for k in range(steps[quad]):
                block = first + 4 * k + q
                for c in range(16):
                    p[c] = fma(blocks[block, c], x[16 * columns[block] + c], p[c])
            y[block_row] = fold(p) + bias[block_row]
        first += 4 * steps[quad]


@compiled
def blocks_1x4(
    values: Floats,
    columns: Columns,
    block_rows: BlockRows,
    steps: Steps,
    x: Floats,
    bias: Floats,
    y: Floats,
) -> None:
    """values (blocks, 4 columns)."""
    blocks = values.reshape((-1, 4))
    p = np.empty((2, 4), np.float32)
    s = np.empty(4, np.float32)
    first = 0
    for quad in range(len(steps)):
        for q in range(4):
            block_row = block_rows[quad, q]
            if block_row >= len(y):
                continue
            p[:] = ZERO
            for k in range(steps[quad]):
                block = first + 4 * k + q
                for c in range(4):
                    x_c = x[4 * columns[block] + c]
                    p[k % 2, c] = fma(blocks[block, c], x_c, p[k % 2, c])
            for c in range(4):
                s[c] = p[0, c] + p[1, c]
            y[block_row] = ((s[0] + s[1]) + (s[2] + s[3])) + bias[block_row]
        first += 4 * steps[quad]
