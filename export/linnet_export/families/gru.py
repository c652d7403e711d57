"""A GRU under torch's names, with its gates in the file's order: update, reset, candidate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from linnet_export.building.buffers import Buffer
from linnet_export.building.builder import Builder
from linnet_export.building.tensors import Tensors, Weights

PARTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
GRU = tuple(f"gru.{part}" for part in PARTS)
GRU_NAMES = r"gru\.(weight|bias)_[ih]h_l0"  # a regular expression


def update_first(weights: Weights) -> Weights:
    """Rows (3H, ...) of reset, update and candidate, as torch stacks them, in the file's order."""
    gates = weights.reshape(3, -1, *weights.shape[1:])[[1, 0, 2]]
    return np.ascontiguousarray(gates.reshape(weights.shape))


@dataclass(frozen=True)
class Gru:
    """H units; every matrix has the rows of three gates."""

    name: str
    inputs: Weights  # (3H, inputs)
    recurrent: Weights  # (3H, H)
    input_bias: Weights  # (3H,)
    recurrent_bias: Weights  # (3H,)

    @property
    def hidden(self) -> int:
        """Units."""
        return int(self.recurrent.shape[1])

    def sums(self, builder: Builder, state: Buffer) -> Buffer:
        """Emit the recurrent sums, of which zeros are pruned gate by gate."""
        return builder.linear(
            f"{self.name}.recurrent",
            self.recurrent,
            state,
            bias=self.recurrent_bias,
            prunable=True,
            parts=(1, 3),
        )

    def step(self, builder: Builder, state: Buffer, gate_inputs: Buffer) -> None:
        """Emit the new state; gate_inputs (3H), with their biases."""
        builder.gates(self.sums(builder, state), gate_inputs, state)


def read_gru(tensors: Tensors, name: str, n_inputs: int, hidden: int | None = None) -> Gru:
    """A GRU whose tensors are required already; hidden: its units, None for as many as it has."""
    if hidden is None:
        hidden = tensors.get(f"{name}.weight_hh_l0", None, None).shape[1]
    size = 3 * hidden
    shapes = ((size, n_inputs), (size, hidden), (size,), (size,))
    parts = (
        update_first(tensors.get(f"{name}.{part}", *shape))
        for part, shape in zip(PARTS, shapes, strict=True)
    )
    return Gru(name, *parts)
