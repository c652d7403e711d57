"""FORMAT.md's products in Numba: y = W x + bias, from the packed sections.

One product serves every layout, and one more the integers of int8. A row's weights come in storage
order, `columns` at a time; each column of a block has its own partial sum, where `phases` blocks in
turn have sums of their own. A dense panel is a block row whose blocks are one column wide (four, of
int8) and as many as the matrix needs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from linnet.format.blocks import BLOCKS, GROUP, Packed, ceil_div, dense_width
from linnet.format.dtypes import widen
from linnet.reference.exact import compiled, fma
from linnet.reference.functions import ZERO, Floats, fold

Integers = npt.NDArray[np.int64]

# Blocks whose products are summed apart, in turn; 1 where a layout is not named.
PHASES = {"dense": 2, "1x4": 2}

INT8 = np.float32(127)
LEAST_RANGE = np.float32(2.0**-100)
LARGEST = np.float32(np.finfo(np.float32).max)


@compiled
def total(p: Floats) -> np.float32:
    """The sum of the partial sums (1, 2, 4 or 16) of a block's columns."""
    if len(p) == 16:
        return fold(p)
    s: np.float32 = p[0]
    if len(p) == 4:
        s = (p[0] + p[1]) + (p[2] + p[3])
    elif len(p) == 2:
        s = p[0] + p[1]
    return s


@compiled
def product(
    values: Floats,  # (blocks, rows, columns)
    columns: Integers,  # (blocks): block column
    block_rows: Integers,  # (n): of which one beyond y stands for none
    firsts: Integers,  # (n): the first block of each
    counts: Integers,  # (n): how many blocks it has
    apart: int,  # from one of its blocks to the next
    phases: int,
    x: Floats,  # readable to the end of the last block
    bias: Floats,  # (rows of the matrix)
    y: Floats,  # (rows of the matrix)
) -> None:
    _, height, width = values.shape
    p = np.empty((phases, width), np.float32)
    sums = np.empty(width, np.float32)
    for n in range(len(block_rows)):
        for r in range(min(height, len(y) - height * block_rows[n])):
            p[:] = ZERO
            for k in range(counts[n]):
                block = firsts[n] + apart * k
                for c in range(width):
                    x_c = x[width * columns[block] + c]
                    p[k % phases, c] = fma(values[block, r, c], x_c, p[k % phases, c])
            for c in range(width):
                sums[c] = total(p[:, c])
            row = height * block_rows[n] + r
            y[row] = total(sums) + bias[row]


@compiled
def quantised(x: Floats, cols: int, input_range: np.float32, q: Integers) -> np.float32:
    """q = x (padded columns) as integers; returns the step between two of them."""
    most = input_range
    if most == ZERO:
        for c in range(cols):
            most = abs(x[c]) if abs(x[c]) > most else most
    most = min(most, LARGEST)
    inverse = step = ZERO
    if most > LEAST_RANGE:
        inverse, step = INT8 / most, most / INT8
    for c in range(len(x)):
        v = x[c] * inverse
        v = v if v > -INT8 else -INT8
        v = v if v < INT8 else INT8
        q[c] = np.int64(np.rint(v))
    return step


@compiled
def integer_product(
    values: Integers,  # (blocks, rows, columns)
    scales: Floats,  # (rows of the matrix)
    columns: Integers,
    block_rows: Integers,
    firsts: Integers,
    counts: Integers,
    apart: int,
    q: Integers,  # the operand
    step: np.float32,
    bias: Floats,
    y: Floats,
) -> None:
    _, height, width = values.shape
    for n in range(len(block_rows)):
        for r in range(min(height, len(y) - height * block_rows[n])):
            total = 0
            for k in range(counts[n]):
                block = firsts[n] + apart * k
                for c in range(width):
                    total += values[block, r, c] * q[width * columns[block] + c]
            row = height * block_rows[n] + r
            y[row] = fma(np.float32(total), scales[row] * step, bias[row])


class Matrix:
    """A packed matrix with its weights, widened to float32 or as integers, in storage order."""

    def __init__(self, packed: Packed) -> None:
        self.packed = packed
        self.phases = PHASES.get(packed.layout, 1)
        values: Any = np.array(widen(packed.values, packed.dtype))
        if packed.scales is not None:
            values = packed.values.astype(np.int64)
        if packed.columns is None or packed.quads is None:
            panels, width = ceil_div(packed.rows, GROUP), dense_width(packed.dtype)
            steps = ceil_div(packed.cols, width)
            self.values = values.reshape(-1, GROUP, width)
            self.columns = np.tile(np.arange(steps), panels)
            self.block_rows = np.arange(panels)
            self.counts = np.full(panels, steps)
            self.firsts, self.apart = self.block_rows * steps, 1
        else:  # the blocks of a quad's four block rows are stored in turn
            self.values = values.reshape(-1, *BLOCKS[packed.layout])
            self.columns = packed.columns.astype(np.int64)
            self.block_rows = packed.quads["block_rows"].astype(np.int64).ravel()
            self.counts = np.repeat(packed.quads["depth"].astype(np.int64), 4)
            starts = np.cumsum(self.counts) - self.counts
            self.firsts, self.apart = np.repeat(starts[::4], 4) + np.arange(starts.size) % 4, 4

    def product(self, x: Floats) -> Floats:
        """W x; x (cols)."""
        return self.times(self.padded(x), None)

    def padded(self, x: Floats) -> Floats:
        """x (cols) with zeros up to what a product reads."""
        return np.pad(x, (0, self.packed.padded_cols - self.packed.cols))

    def times(self, x: Floats, bias: Floats | None) -> Floats:
        """W x + bias; x (padded columns)."""
        y = np.empty(self.packed.rows, np.float32)
        if bias is None:
            bias = np.zeros(self.packed.rows, np.float32)
        rows = (self.block_rows, self.firsts, self.counts, self.apart)
        if self.packed.scales is None:
            product(self.values, self.columns, *rows, self.phases, x, bias, y)
            return y
        q = np.empty(len(x), np.int64)
        step = quantised(x, self.packed.cols, np.float32(self.packed.input_range), q)
        scales = np.array(self.packed.scales)
        integer_product(self.values, scales, self.columns, *rows, q, np.float32(step), bias, y)
        return y
