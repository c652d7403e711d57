"""Batch norms, which go into the convolutions before them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linnet_export.building.tensors import Weights

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BatchNorm:
    eps: float
    weight: Weights  # (n,), as the others
    bias: Weights
    mean: Weights
    variance: Weights


def fold(weight: Weights, bias: Weights | None, norm: BatchNorm) -> tuple[Float64, Float64]:
    """A convolution (out, in, k) and the batch norm after it as one convolution, in float64."""
    if norm.weight.shape != (weight.shape[0],):
        raise ValueError(
            f"a batch norm of {norm.weight.size} channels follows a convolution with "
            f"{weight.shape[0]}"
        )
    if (norm.variance < 0).any():
        raise ValueError("a batch norm has a negative variance")
    factor = norm.weight / np.sqrt(norm.variance.astype(np.float64) + norm.eps)
    shift = norm.bias - norm.mean * factor
    if bias is not None:
        shift = shift + bias * factor
    return weight * factor[:, None, None], shift
