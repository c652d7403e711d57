"""Training for int8: losses and gradients are those of rounded weights, updates go to the weights
themselves (a straight-through estimate, Jacob et al. 2018).

The operands of the output layers are rounded too. Inside the recurrence a state is not: only its
matrix is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from linnet.format.dtypes import INT8_MOST, quantise
from linnet_export.families import known
from linnet_export.writing.storage import LEAST_INT8_COLUMNS

EVERY = 50  # updates between two choices of the scales
INPUT_WEIGHTS = "gru.weight_ih_l0"


class Quantiser:
    """Rounds the weights of a network that its family stores as int8.

    inputs: the first columns of the GRU's input weights, which a voice stores apart.
    """

    def __init__(self, network: nn.Module, architecture: str, inputs: int) -> None:
        spared = next(f.spared for f in known.FAMILIES if f.name == architecture)
        self._parts = {
            name: inputs if name == INPUT_WEIGHTS else 0
            for name, weight in network.named_parameters()
            if weight.dim() >= 2
            and weight[0].numel() >= LEAST_INT8_COLUMNS
            and not any(fnmatchcase(name, pattern) for pattern in spared)
        }
        self._scales: dict[str, Tensor] = {}
        self._calls = 0

    @torch.no_grad()
    def round_weights(
        self, network: nn.Module, source: nn.Module, scales: dict[str, Tensor] | None = None
    ) -> None:
        """Puts the weights of `source`, rounded, into a network of its shape; scales (rows, 1) by
        name, None for the exporter's choice."""
        weights = dict(source.named_parameters())
        for name, target in network.named_parameters():
            if name in self._parts:
                matrix = self._matrix(name, weights[name])
                scale = self._scale(matrix) if scales is None else scales[name]
                steps = (matrix / scale).round().clamp(-INT8_MOST, INT8_MOST)
                self._matrix(name, target).copy_(steps * scale)

    def _matrix(self, name: str, weight: Tensor) -> Tensor:
        return weight.view(len(weight), -1)[:, self._parts[name] :]

    @contextlib.contextmanager
    def rounded(self, network: nn.Module) -> Iterator[None]:
        """Gives a network rounded weights for a while; gradients from then are kept."""
        weights = {n: p for n, p in network.named_parameters() if n in self._parts}
        with torch.no_grad():
            if self._calls % EVERY == 0:
                self._scales = {n: self._scale(self._matrix(n, w)) for n, w in weights.items()}
            before = {name: weight.clone() for name, weight in weights.items()}
        self._calls += 1
        self.round_weights(network, network, self._scales)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, weight in weights.items():
                    weight.copy_(before[name])

    @staticmethod
    def _scale(matrix: Tensor) -> Tensor:
        """The scales (rows, 1) that the exporter would choose; rows of zeros have 1."""
        _, scales = quantise(matrix.detach().cpu().numpy())
        found = torch.from_numpy(scales).to(matrix)[:, None]
        return torch.where(found > 0, found, torch.ones_like(found))


def round_operands(network: nn.Module) -> None:
    """From now on its linear layers take operands as int8 products do: rounded to 255 steps within
    each vector's greatest magnitude. Gradients pass as if they were not."""

    def rounded(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Tensor, ...]:
        (x,) = inputs
        step = x.detach().abs().amax(-1, keepdim=True) / INT8_MOST
        near = torch.where(step > 0, (x / step).round() * step, x)
        return (x + (near - x).detach(),)

    for layer in network.children():
        if isinstance(layer, nn.Linear):
            layer.register_forward_pre_hook(rounded)
