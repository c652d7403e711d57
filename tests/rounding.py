"""First-order bounds of what float32 rounding does to a recurrent network's outputs.

A network is a function of perturbations, one per rounded intermediate result, written in torch and
evaluated in float64. Each result's own rounding is bounded from its sums (Higham, Accuracy and
Stability of Numerical Algorithms, chapter 3); derivatives carry it to the state and the outputs,
and the state's derivatives through time. Products of errors are left out: they are smaller by the
size of the errors themselves, for which SECOND_ORDER allows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.func import jacrev, vmap

from test_functions import SIGMOID_BOUND, TANH_BOUND, U

Float64 = npt.NDArray[np.float64]
SECOND_ORDER = 1 + 2.0**-7


def product_bound(weight: Tensor, x: Tensor, *added: Tensor) -> Tensor:
    """Of (W x + bias) + add in float32, W itself rounded: x (..., n); added like the result.

    A product takes a rounding for its weight, at most n + 3 for its sum, and one for each term
    added, whatever the order.
    """
    n = weight.shape[1] + 4 + len(added)
    terms = x.abs() @ weight.abs().T + sum(term.abs() for term in added)
    return n * U / (1 - n * U) * terms


def gates_bound(recurrent: Tensor, inputs: Tensor, state: Tensor) -> Tensor:
    """Of a GRU step as export/FORMAT.md defines it; sums (..., 3, H) in the file's gate order."""
    sums = recurrent + inputs
    update, reset = torch.sigmoid(sums[..., 0, :]), torch.sigmoid(sums[..., 1, :])
    argument = reset * recurrent[..., 2, :] + inputs[..., 2, :]
    candidate = torch.tanh(argument)
    # The slope of sigmoid is at most 1/4, that of tanh 1.
    gate = SIGMOID_BOUND + U * sums.abs() / 4
    new = TANH_BOUND + U * argument.abs() + recurrent[..., 2, :].abs() * gate[..., 1, :]
    difference = state - candidate
    return (
        gate[..., 0, :] * difference.abs()
        + (1 - update) * new
        + update * U * difference.abs()
        + U * (update * difference + candidate).abs()
    )


def output_bounds(
    step: Callable[..., tuple[Tensor, Tensor]],
    states: Tensor,  # (T, S): the state before each step
    bounds: Tensor,  # (T, N): of each step's rounded results
    extra: tuple[Tensor, ...] = (),  # (T, ...) more inputs of a step
) -> Float64:
    """Bounds (T, K) on the errors of the outputs.

    step(state (S,), perturbations (N,), *extra) -> the next state (S,) and the outputs (K,).
    """
    derivatives = vmap(jacrev(step, argnums=(0, 1)))(states, torch.zeros_like(bounds), *extra)
    (d_state, d_state_rounding), (d_output, d_output_rounding) = (
        tuple(part.numpy() for part in derivative) for derivative in derivatives
    )
    e = bounds.numpy()
    n_states = states.shape[1]
    # Columns: what the rounding of one earlier step, in one direction, has become by now.
    carried = np.zeros((n_states, 0))
    found = []
    for t in range(len(e)):
        own = np.abs(d_output_rounding[t]) @ e[t]
        found.append(own + np.abs(d_output[t] @ carried).sum(axis=1))
        fresh = np.diag(np.abs(d_state_rounding[t]) @ e[t])
        carried = np.concatenate([d_state[t] @ carried, fresh], axis=1)
    return np.array(found) * SECOND_ORDER
