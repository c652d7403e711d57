"""Pruning by block magnitude (Kalchbrenner et al. 2018: "structured sparsity"), in numpy.

The score of a block is the mean magnitude of its weights. Any shape ROWSxCOLUMNS will do here, also
1x1 (unstructured); the file stores those of `linnet.format.blocks`. Gradual pruning during training
(`linnet_training.Pruner`) and pruning at once in the exporter both choose their blocks here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from linnet.format.blocks import ceil_div
from linnet.format.dtypes import Bool

Scores = npt.NDArray[np.float64]


def block_size(block: str) -> tuple[int, int]:
    """(rows, columns) of a block of y = W x, from its name; ValueError where it is no such name."""
    rows, _, columns = block.partition("x")
    if not (rows.isdecimal() and columns.isdecimal() and int(rows) and int(columns)):
        raise ValueError(f"block {block!r} is not like '4x4': rows x columns")
    return int(rows), int(columns)


def block_scores(dense: npt.ArrayLike, block: str) -> Scores:
    """Mean magnitude per block, `(block rows, block columns)`; at the edges, of what is there."""
    r, c = block_size(block)
    magnitude = np.abs(np.asarray(dense, dtype=np.float64))
    rows, cols = magnitude.shape
    row_starts, col_starts = np.arange(0, rows, r), np.arange(0, cols, c)
    sums = np.add.reduceat(np.add.reduceat(magnitude, row_starts, axis=0), col_starts, axis=1)
    heights = np.minimum(row_starts + r, rows) - row_starts
    widths = np.minimum(col_starts + c, cols) - col_starts
    return np.asarray(sums / np.outer(heights, widths))


def split_gates(by_block: npt.NDArray[Any], rows: int, block: str, gates: int) -> npt.NDArray[Any]:
    """(block rows, block columns) of a matrix of `rows` as (gates, block rows, block columns).

    Raises ValueError where a block would reach from one gate into the next.
    """
    if gates < 1 or rows % gates:
        raise ValueError(f"{rows} rows are not those of {gates} gates")
    if gates > 1 and rows // gates % block_size(block)[0]:
        raise ValueError(f"{rows // gates} rows of a gate are no whole number of {block} blocks")
    return by_block.reshape(gates, -1, by_block.shape[1])


def diagonal_blocks(size: int, block: str) -> Bool:
    """The blocks of a square matrix that touch its diagonal: (block rows, block columns)."""
    r, c = block_size(block)
    touched = np.zeros((ceil_div(size, r), ceil_div(size, c)), dtype=bool)
    touched[np.arange(size) // r, np.arange(size) // c] = True
    return touched


def kept_count(size: int, sparsity: float) -> int:
    """round((1 - sparsity) size): how many of `size` blocks stay."""
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity {sparsity} is not in [0, 1)")
    return int(np.floor((1 - sparsity) * size + 0.5))


def keep_largest(scores: npt.NDArray[Any], sparsity: float) -> Bool:
    """The mask that keeps the greatest round((1 - sparsity) n) of n blocks; of equals the first."""
    keep = np.zeros(scores.size, dtype=bool)
    order = np.argsort(-scores.ravel(), kind="stable")
    keep[order[: kept_count(scores.size, sparsity)]] = True
    return keep.reshape(scores.shape)


def expand_mask(keep: Bool, shape: tuple[int, int], block: str) -> Bool:
    """A mask of blocks as a mask of the `shape` weights."""
    r, c = block_size(block)
    if keep.shape != (ceil_div(shape[0], r), ceil_div(shape[1], c)):
        raise ValueError(f"a mask of {keep.shape} blocks does not cover {shape} in {block}")
    return np.repeat(np.repeat(keep, r, axis=0), c, axis=1)[: shape[0], : shape[1]]


def prune(
    dense: npt.NDArray[Any],
    block: str,
    sparsity: float,
    gates: int = 1,
    keep_diagonal: bool = False,
) -> npt.NDArray[Any]:
    """A copy of the matrix in which only the blocks of greatest mean magnitude are left.

    gates: the rows are those of so many gates in turn (a GRU: 3), each pruned to `sparsity`.
    keep_diagonal: of square gates, the blocks on the diagonal stay, whatever their magnitude.
    """
    rows, cols = dense.shape
    scores = split_gates(block_scores(dense, block), rows, block, gates)
    if keep_diagonal:
        scores = protect_diagonal(scores, (rows, cols), block, sparsity)
    keep = np.concatenate([keep_largest(gate, sparsity) for gate in scores])
    return np.where(expand_mask(keep, (rows, cols), block), dense, 0)


def protect_diagonal(scores: Scores, shape: tuple[int, int], block: str, sparsity: float) -> Scores:
    """Scores (gates, block rows, block columns) in which no other block outranks the diagonal's.

    Raises ValueError where the gates are not square or the diagonal alone is more than is kept.
    """
    (rows, cols), gates = shape, len(scores)
    if rows != gates * cols:
        raise ValueError(f"{rows} x {cols} in {gates} gates has no diagonal to keep")
    diagonal = diagonal_blocks(cols, block)
    if diagonal.sum() > kept_count(diagonal.size, sparsity):
        raise ValueError(
            f"the diagonal of {cols} x {cols} is {diagonal.sum()} {block} blocks, more than a "
            f"sparsity of {sparsity} leaves ({kept_count(diagonal.size, sparsity)})"
        )
    return np.where(diagonal, np.inf, scores)
