"""What `linnet.format.reading.read` proves of sections and blocks."""

from __future__ import annotations

import numpy as np

from linnet.errors import FormatError
from linnet.format.blocks import (
    BLOCKS,
    DENSE,
    GROUP,
    MAX_BLOCKS_ASIDE,
    NO_BLOCK_ROW,
    TABLE,
    VECTOR,
    Float32,
    ceil_div,
    widen,
)
from linnet.format.reading import Bytes, Section
from linnet.format.voice_file import Tensor


def check_padding(data: Bytes, sections: list[Section]) -> None:
    """Sections must not overlap, and bytes between them must be zero."""
    end = 0
    for section in sorted((s for s in sections if s.size), key=lambda s: s.offset):
        if section.offset < end:
            raise FormatError(f"{section.name}: overlaps another section", section.offset)
        if data[end : section.offset].any():
            raise FormatError("padding: not zero", end)
        end = section.offset + section.size
    if data[end:].any():
        raise FormatError("padding: not zero", end)


def check_tensor(tensor: Tensor, sections: list[Section]) -> None:
    """Sizes, quads, columns, zero padding and finite weights of one tensor."""
    packed, values_at = tensor.packed, sections[0].offset
    rows, cols = tensor.shape

    def fail(what: str, offset: int, message: str) -> FormatError:
        return FormatError(f"{what} of {tensor.name!r}: {message}", offset)

    if tensor.layout == VECTOR and (tensor.dtype != "float32" or cols != 1):
        raise fail("dtype", values_at, "a vector is one column of fp32")
    if tensor.layout in BLOCKS:
        r, c = BLOCKS[tensor.layout]
        expected = packed.n_blocks * r * c
    elif tensor.layout == TABLE:
        expected = rows * ceil_div(cols, GROUP) * GROUP
    else:
        expected = ceil_div(rows, GROUP) * GROUP * cols
    if packed.values.size != expected:
        raise fail("values", values_at, f"{packed.values.size} weights, not {expected}")
    if tensor.layout in BLOCKS:
        _check_blocks(tensor, sections)
    weights = widen(packed.values, tensor.dtype)
    if not np.isfinite(weights).all():
        raise fail("values", values_at, "a weight is NaN or infinite")
    if _padding_weights(tensor, weights).any():
        raise fail("values", values_at, "a weight beyond the matrix is not zero")


def _check_blocks(tensor: Tensor, sections: list[Section]) -> None:
    packed = tensor.packed
    columns, quads = packed.columns, packed.quads
    assert columns is not None and quads is not None
    r, c = BLOCKS[tensor.layout]
    block_rows, block_cols = ceil_div(packed.rows, r), ceil_div(packed.cols, c)
    columns_at, quads_at = sections[1].offset, sections[2].offset
    if max(block_rows, block_cols) > MAX_BLOCKS_ASIDE:
        raise FormatError(
            f"rows of {tensor.name!r}: more than 65535 block rows or columns", quads_at
        )
    width = 1 if block_cols <= 256 else 2
    if packed.index_width != width:
        raise FormatError(f"index_width of {tensor.name!r}: {packed.index_width}, not {width}")
    if len(quads) != ceil_div(block_rows, 4):
        raise FormatError(
            f"quads of {tensor.name!r}: {len(quads)} for {block_rows} block rows", quads_at
        )
    named = quads["block_rows"][quads["block_rows"] != NO_BLOCK_ROW]
    if not np.array_equal(np.sort(named), np.arange(block_rows)):
        raise FormatError(f"quads of {tensor.name!r}: not every block row exactly once", quads_at)
    if 4 * int(quads["steps"].sum(dtype=np.int64)) != packed.n_blocks:
        raise FormatError(f"quads of {tensor.name!r}: steps do not add up to n_blocks", quads_at)
    if packed.n_blocks and int(columns.max()) >= block_cols:
        raise FormatError(f"columns of {tensor.name!r}: beyond the matrix", columns_at)


def _padding_weights(tensor: Tensor, weights: Float32) -> Float32:
    """The stored weights that stand for rows or columns beyond the matrix."""
    packed = tensor.packed
    rows, cols = tensor.shape
    if tensor.layout == TABLE:
        return np.asarray(weights.reshape(rows, -1)[:, cols:])
    if tensor.layout in (VECTOR, DENSE):
        last = weights.reshape(-1, cols, GROUP)[-1]
        return np.asarray(last[:, rows - (ceil_div(rows, GROUP) - 1) * GROUP :])
    r, c = BLOCKS[tensor.layout]
    block_row, block_col = packed.places()
    row = block_row[:, None] * r + np.arange(r)
    col = block_col[:, None] * c + np.arange(c)
    beyond = (row >= rows)[:, :, None] | (col >= cols)[:, None, :]
    return np.asarray(weights.reshape(-1, r, c)[beyond])
