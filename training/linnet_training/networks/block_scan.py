"""A GRU over time that computes only the 4x4 blocks that pruning has left, on CPUs.

Larger blocks, such as 8x4, consist of them.

At 384 units and 90 % sparsity forward and backward take a seventh of the time of `GruScan`; dense
they take half. Equal to torch.nn.GRU within rounding (tests/test_training_lpc.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

try:
    from linnet_training import _block_scan
except ImportError:  # a package that was not compiled
    AVAILABLE = False
else:
    AVAILABLE = True

STREAMS = 16


class Blocks:
    """The 4x4 blocks of a mask (R, C), ordered for products with the matrix and its transpose."""

    def __init__(self, mask: Tensor) -> None:
        rows, columns = mask.shape
        if rows % 4 or columns % 4:
            raise ValueError(f"{rows} x {columns} does not divide into 4x4 blocks")
        self.grid = (rows // 4, columns // 4)
        kept = mask.view(rows // 4, 4, columns // 4, 4).any(3).any(1)
        self.rows, self.columns = kept.nonzero(as_tuple=True)
        self.starts, self.column_numbers = self._csr(self.rows, self.columns, self.grid[0])
        self.by_column = torch.argsort(self.columns * self.grid[0] + self.rows)
        self.transposed_starts, self.row_numbers = self._csr(
            self.columns[self.by_column], self.rows[self.by_column], self.grid[1]
        )

    @staticmethod
    def _csr(rows: Tensor, columns: Tensor, n_rows: int) -> tuple[Any, Any]:
        starts = np.zeros(n_rows + 1, np.int32)
        starts[1:] = torch.bincount(rows, minlength=n_rows).cumsum(0).numpy()
        return starts, columns.numpy().astype(np.int32)

    def values(self, matrix: Tensor) -> Tensor:
        """The blocks (n, 4, 4) of a matrix (R, C)."""
        tiles = matrix.view(self.grid[0], 4, self.grid[1], 4).transpose(1, 2)
        return tiles[self.rows, self.columns].contiguous()

    def matrix(self, values: Tensor) -> Tensor:
        """The matrix (R, C) of the blocks (n, 4, 4), zero elsewhere."""
        tiles = values.new_zeros(*self.grid, 4, 4)
        tiles[self.rows, self.columns] = values
        return tiles.transpose(1, 2).reshape(4 * self.grid[0], 4 * self.grid[1])


class BlockScan(torch.autograd.Function):
    """States (T + 1, H, 16), the first given, of 16 streams.

    frames (S, 3 H, 16): the input product of every frame, its bias included; inputs (T, I, 16) and
    their weights (3 H, I); h0 (H, 16); weight (3 H, H) in `blocks`; bias (3 H,). Frame s gives the
    samples from s T / S. Gates in torch's order r, z, n. No gradient for inputs and h0.
    """

    @staticmethod
    def forward(
        ctx: Any,
        frames: Tensor,
        inputs: Tensor,
        h0: Tensor,
        input_weights: Tensor,
        weight: Tensor,
        bias: Tensor,
        blocks: Blocks,
    ) -> Tensor:
        (steps, _, streams), size = inputs.shape, h0.shape[0]
        if streams != STREAMS:
            raise ValueError(f"{STREAMS} streams are computed together, not {streams}")
        hop = steps // frames.shape[0]
        values = blocks.values(weight)
        states = inputs.new_empty(steps + 1, size, STREAMS)
        states[0] = h0
        gates = inputs.new_empty(steps, 4 * size, STREAMS)
        inputs, input_weights = inputs.contiguous(), input_weights.contiguous()
        _block_scan.forward(
            blocks.starts,
            blocks.column_numbers,
            values.numpy(),
            frames.contiguous().numpy(),
            inputs.numpy(),
            input_weights.numpy(),
            bias.numpy(),
            states.numpy(),
            gates.numpy(),
            hop,
        )
        transposed = values[blocks.by_column].transpose(1, 2).contiguous()
        ctx.save_for_backward(inputs, input_weights, transposed, states, gates)
        ctx.blocks, ctx.hop, ctx.frames = blocks, hop, frames.shape[0]
        return states

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        inputs, input_weights, transposed, states, gates = ctx.saved_tensors
        blocks, size = ctx.blocks, states.shape[1]
        through = states.new_empty(inputs.shape[0], 3 * size, STREAMS)
        frames = states.new_zeros(ctx.frames, 3 * size, STREAMS)
        of_inputs = torch.empty_like(input_weights)
        _block_scan.backward(
            blocks.transposed_starts,
            blocks.row_numbers,
            transposed.numpy(),
            inputs.numpy(),
            states.numpy(),
            gates.numpy(),
            grads[0][1:].contiguous().numpy(),
            through.numpy(),
            frames.numpy(),
            of_inputs.numpy(),
            ctx.hop,
        )
        values = torch.empty_like(transposed)
        _block_scan.weight_gradient(
            blocks.starts, blocks.column_numbers, states.numpy(), through.numpy(), values.numpy()
        )
        bias = frames.sum((0, 2))
        bias[2 * size :] = through[:, 2 * size :].sum((0, 2))  # inside the reset gate
        return frames, None, None, of_inputs, blocks.matrix(values), bias, None
