"""Gradual magnitude block pruning (Kalchbrenner et al. 2018, section 3; schedule of Zhu and Gupta).

A `Pruner` works on any network with named 2-D (or convolution) weights:

    pruner = Pruner(model, [Rule("gru.weight_hh_l0", "4x4", 0.9, groups=3)], start=0.12, end=0.65)
    ...
    optimizer.step()
    pruner.step(progress)        # progress: the fraction 0..1 of the training that is done

A block is rows x columns of y = W x. Blocks are ranked by their mean magnitude, within each group
of rows separately: a GRU's recurrent matrix stacks three gates, and each gets the same sparsity.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Rule:
    """Prunes parameter `name` to the fraction `sparsity` of masked blocks in each of `groups`."""

    name: str
    block: str
    sparsity: float
    groups: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        rows, _, columns = self.block.partition("x")
        if not (rows.isdigit() and columns.isdigit() and int(rows) and int(columns)):
            raise ValueError(f"block must read like '4x4', not {self.block!r}")
        return int(rows), int(columns)


def cubic(progress: float, start: float, end: float) -> float:
    """The share 0..1 of the final sparsity: 1 - (1 - (t - t0) / S)^3, 0 before, 1 behind."""
    if progress < start:
        return 0.0
    if progress >= end:
        return 1.0
    return 1.0 - (1.0 - (progress - start) / (end - start)) ** 3


class Pruner:
    """Keeps one boolean mask per pruned parameter; call `step` after every optimizer step."""

    def __init__(
        self,
        model: nn.Module,
        rules: Iterable[Rule],
        start: float,
        end: float,
        interval: int = 100,
    ) -> None:
        if not 0 <= start <= end:
            raise ValueError(f"pruning must start before it ends, not {start} to {end}")
        self.rules = {rule.name: rule for rule in rules}
        self.start, self.end, self.interval = start, end, interval
        self.calls = 0
        named = dict(model.named_parameters())
        missing = sorted(set(self.rules) - set(named))
        if missing:
            raise ValueError(f"no parameters {missing}; the network has {sorted(named)}")
        self.parameters = {name: named[name] for name in self.rules}
        for name, rule in self.rules.items():
            if not 0 <= rule.sparsity < 1:
                raise ValueError(f"{name}: sparsity must lie in [0, 1), not {rule.sparsity}")
            matrix = self.parameters[name].flatten(1)
            rows, columns = rule.shape
            if matrix.shape[0] % (rows * rule.groups) or matrix.shape[1] % columns:
                raise ValueError(
                    f"{name}: {tuple(matrix.shape)} in {rule.groups} groups of rows does not "
                    f"divide into {rule.block} blocks"
                )
        self.masks = {n: torch.ones_like(p, dtype=torch.bool) for n, p in self.parameters.items()}

    def _blocks(self, rule: Rule, matrix: Tensor) -> Tensor:
        """(R, C) -> (groups, R / groups / rows, C / columns, rows, columns), a view."""
        rows, columns = rule.shape
        r, c = matrix.shape
        shape = (rule.groups, r // rule.groups // rows, rows, c // columns, columns)
        return matrix.reshape(shape).transpose(2, 3)

    @torch.no_grad()
    def update(self, progress: float) -> None:
        """Masks the weakest blocks so that each group's masked count is the schedule's."""
        for name, rule in self.rules.items():
            share = cubic(progress, self.start, self.end)
            parameter, mask = self.parameters[name], self.masks[name]
            scores = self._blocks(rule, parameter.flatten(1).abs()).mean((3, 4))
            alive = self._blocks(rule, mask.flatten(1)).amax((3, 4))
            # A block once masked stays masked: it ranks below every other.
            scores = torch.where(alive, scores, -1.0).flatten(1)
            count = max(round(share * rule.sparsity * scores.shape[1]), int((~alive[0]).sum()))
            keep = torch.ones_like(scores, dtype=torch.bool)
            keep.scatter_(1, scores.argsort(dim=1, stable=True)[:, :count], False)
            rows, columns = rule.shape
            grid = keep.view(-1, parameter.flatten(1).shape[1] // columns)
            full = grid.repeat_interleave(rows, 0).repeat_interleave(columns, 1)
            mask.copy_(full.view_as(mask))

    @torch.no_grad()
    def apply(self, named: dict[str, Tensor] | None = None) -> None:
        """Zeroes the masked weights of the network, or of another dict of the same names."""
        for name, mask in self.masks.items():
            tensor = self.parameters[name] if named is None else named[name]
            tensor.mul_(mask)

    def step(self, progress: float) -> None:
        """To be called after every optimizer step: masks grow every `interval` calls and once the
        schedule has ended, and always hold."""
        due = self.calls % self.interval == 0 or (progress >= self.end and not self.done)
        if progress >= self.start and due:
            self.update(progress)
        self.apply()
        self.calls += 1

    @property
    def done(self) -> bool:
        """Whether every parameter has its final sparsity."""
        for rule in self.rules.values():
            kept = self._blocks(rule, self.masks[rule.name].flatten(1)).amax((3, 4)).flatten(1)
            if int((~kept[0]).sum()) < round(rule.sparsity * kept.shape[1]):
                return False
        return True

    def sparsity(self) -> float:
        """The masked fraction of all weights that rules name."""
        total = sum(mask.numel() for mask in self.masks.values())
        kept = sum(int(mask.sum()) for mask in self.masks.values())
        return 1.0 - kept / max(int(total), 1)

    def report(self) -> str:
        """One line per parameter: shape, block, sparsity reached and wanted."""
        lines = []
        for name, rule in self.rules.items():
            mask = self.masks[name]
            reached = 1.0 - float(mask.float().mean())
            lines.append(
                f"{name:24} {tuple(mask.shape)!s:14} {rule.block:5} x {rule.groups} groups: "
                f"{reached:.4f} of {rule.sparsity:.4f}"
            )
        return "\n".join(lines)

    def state_dict(self) -> dict[str, Any]:
        return {"calls": self.calls, "masks": {n: m.clone() for n, m in self.masks.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if set(state["masks"]) != set(self.masks):
            raise ValueError(f"masks are of {sorted(state['masks'])}, not {sorted(self.masks)}")
        self.calls = int(state["calls"])
        for name, mask in state["masks"].items():
            self.masks[name].copy_(mask)
