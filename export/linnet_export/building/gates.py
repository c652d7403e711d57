"""The order of a GRU's gates: torch stacks reset, update, candidate; the file update, reset,
candidate."""

from __future__ import annotations

import numpy as np

from linnet_export.building.tensors import Weights


def update_first(weights: Weights) -> Weights:
    """Rows (3H, ...) in torch's order -> in the file's."""
    gates = weights.reshape(3, -1, *weights.shape[1:])[[1, 0, 2]]
    return np.ascontiguousarray(gates.reshape(weights.shape))
