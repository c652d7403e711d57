"""Pruning by block magnitude (Kalchbrenner et al. 2018: "structured sparsity").

The score of a block is the mean magnitude of its weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from linnet.blocks import Bool, block_shape, ceil_div


def block_scores(dense: npt.ArrayLike, block: str) -> npt.NDArray[np.float64]:
    """Mean magnitude per block, `(block rows, block columns)`; at the edges, of what is there."""
    r, c = block_shape(block)
    magnitude = np.abs(np.asarray(dense, dtype=np.float64))
    rows, cols = magnitude.shape
    row_starts, col_starts = np.arange(0, rows, r), np.arange(0, cols, c)
    sums = np.add.reduceat(np.add.reduceat(magnitude, row_starts, axis=0), col_starts, axis=1)
    heights = np.minimum(row_starts + r, rows) - row_starts
    widths = np.minimum(col_starts + c, cols) - col_starts
    return np.asarray(sums / np.outer(heights, widths))


def keep_largest(scores: npt.NDArray[Any], sparsity: float) -> Bool:
    """The mask that keeps the greatest round((1 - sparsity) n) of n blocks; of equals the first."""
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity {sparsity} is not in [0, 1)")
    n_keep = int(np.floor((1 - sparsity) * scores.size + 0.5))
    keep = np.zeros(scores.size, dtype=bool)
    keep[np.argsort(-scores.ravel(), kind="stable")[:n_keep]] = True
    return keep.reshape(scores.shape)


def expand_mask(keep: Bool, shape: tuple[int, int], block: str) -> Bool:
    """A mask of blocks as a mask of the `shape` weights."""
    r, c = block_shape(block)
    if keep.shape != (ceil_div(shape[0], r), ceil_div(shape[1], c)):
        raise ValueError(f"a mask of {keep.shape} blocks does not cover {shape} in {block}")
    return np.repeat(np.repeat(keep, r, axis=0), c, axis=1)[: shape[0], : shape[1]]


def prune(dense: npt.NDArray[Any], block: str, sparsity: float) -> npt.NDArray[Any]:
    """A copy of the matrix in which only the blocks of greatest mean magnitude are left."""
    keep = keep_largest(block_scores(dense, block), sparsity)
    return np.where(expand_mask(keep, (dense.shape[0], dense.shape[1]), block), dense, 0)
