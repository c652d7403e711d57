"""Gradual magnitude block pruning (Kalchbrenner et al. 2018, section 3; schedule of Zhu and Gupta
2017) for any PyTorch network:

    pruner = Pruner(model, sparsity=0.95, block="4x4", start=1000, steps=200_000)
    ...
    optimizer.step()
    pruner.step()

A block is rows x columns of y = W x. Blocks are ranked by their mean magnitude, by default within
each gate of a recurrent layer separately, so that every gate gets the same sparsity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from linnet.format.dtypes import Bool
from linnet.pruning import (
    block_scores,
    expand_mask,
    keep_largest,
    protect_diagonal,
    split_gates,
)
from linnet_training.prunable import Matrix, matrices

GRANULARITIES = ("per_gate", "per_matrix", "global")


def cubic(now: float, start: float, steps: float) -> float:
    """The share of the final sparsity: 1 - (1 - (now - start) / steps)^3, 0 before, 1 behind."""
    if now < start:
        return 0.0
    if now >= start + steps:
        return 1.0
    return 1.0 - (1.0 - (now - start) / steps) ** 3


class Pruner:
    """Keeps a mask per pruned weight; call `step` after every optimizer step.

    network: a module, or its parameters: a dict by name, (name, tensor) pairs, or tensors.
    sparsity: the final share of masked blocks: one number for every weight of the module's
        recurrent layers (of parameters without their module: for all of them), or a dict of
        parameter names (or patterns such as "*.weight_hh_l*"; the first that matches counts), then
        those are pruned, of linear layers and convolutions too. A tuple gives each gate its own, in
        the order of the rows (torch.nn.GRU: r, z, n).
    block: "4x4", "16x1", any ROWSxCOLUMNS, "1x1" for unstructured; or a dict likewise.
    start, steps: when pruning begins and how long the masks grow, in calls of `step` (or in the
        units of `now` that `step` is given).
    every: calls of `step` between two growths of the masks.
    granularity: what is ranked together and so reaches `sparsity` exactly: "per_gate",
        "per_matrix", or "global" (all weights together; layers then differ).
    keep_diagonal: never mask the diagonal blocks of recurrent (square) gates: True for all that
        there are, or names or patterns. They count as kept.
    gates: gates stacked in the rows of a weight, by name or pattern, where the module's type does
        not tell: parameters without their module, layers of one's own.

    A block once masked stays masked. Raises ValueError, naming the parameter, for what cannot be.
    """

    def __init__(
        self,
        network: nn.Module | Mapping[str, Tensor] | Iterable[tuple[str, Tensor]] | Iterable[Tensor],
        sparsity: float | Mapping[str, float | tuple[float, ...]],
        block: str | Mapping[str, str] = "4x4",
        start: float = 1000,
        steps: float = 200_000,
        every: int = 500,
        granularity: str = "per_gate",
        keep_diagonal: bool | Iterable[str] = False,
        gates: Mapping[str, int] | None = None,
    ) -> None:
        if granularity not in GRANULARITIES:
            raise ValueError(f"granularity {granularity!r} is none of {', '.join(GRANULARITIES)}")
        if start < 0 or steps < 0:
            raise ValueError(f"start {start} and steps {steps} must not be negative")
        if every < 1:
            raise ValueError(f"every must be at least 1, not {every}")
        self.start, self.steps, self.every, self.granularity = start, steps, every, granularity
        self.calls, self.done = 0, False
        self.matrices = matrices(network, sparsity, block, keep_diagonal, gates or {})
        wanted = {s for m in self.matrices.values() for s in m.sparsity}
        if granularity == "global" and len(wanted) > 1:
            raise ValueError(f"global pruning has one sparsity, not {sorted(wanted)}")
        for name, m in self.matrices.items():
            if granularity == "per_matrix" and len(set(m.sparsity)) > 1:
                raise ValueError(f"{name}: gates of their own sparsity need granularity per_gate")
        self.kept: dict[str, Bool] = {}  # (gates, block rows, block columns)
        for name, m in self.matrices.items():
            try:
                self.kept[name] = np.ones_like(self._scores(m), dtype=bool)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        self.masks = {n: torch.ones_like(m.parameter.detach()) for n, m in self.matrices.items()}

    def _scores(self, m: Matrix) -> Any:
        """Mean magnitudes (gates, block rows, block columns); infinite where always kept."""
        dense = m.as_matrix(m.parameter.detach()).float().cpu().numpy()
        scores = split_gates(block_scores(dense, m.block), dense.shape[0], m.block, m.gates)
        if m.keep_diagonal:
            scores = protect_diagonal(scores, dense.shape, m.block, max(m.sparsity))
        return scores

    @torch.no_grad()
    def update(self, now: float) -> None:
        """Masks the weakest blocks so that their share follows the schedule at `now`."""
        share = cubic(now, self.start, self.steps)
        # A masked block ranks below every other.
        scores = {n: np.where(self.kept[n], self._scores(m), -1) for n, m in self.matrices.items()}
        if self.granularity == "global":
            (final,) = {s for m in self.matrices.values() for s in m.sparsity}
            together = np.concatenate([s.ravel() for s in scores.values()])
            flat = keep_largest(together, share * final)
            ends = np.cumsum([s.size for s in scores.values()])[:-1]
            parts = zip(scores.items(), np.split(flat, ends), strict=True)
            keep = {name: part.reshape(s.shape) for (name, s), part in parts}
        elif self.granularity == "per_matrix":
            keep = {n: keep_largest(s, share * m.sparsity[0]) for (n, m), s in self._with(scores)}
        else:
            keep = {
                n: np.stack([keep_largest(s[g], share * m.sparsity[g]) for g in range(m.gates)])
                for (n, m), s in self._with(scores)
            }
        for name, kept in keep.items():
            self.kept[name] &= kept
            self._fill(name)
        self.done = share >= 1

    def _with(self, scores: dict[str, Any]) -> Iterable[tuple[tuple[str, Matrix], Any]]:
        return zip(self.matrices.items(), scores.values(), strict=True)

    def _fill(self, name: str) -> None:
        """Sets the mask of the weights from that of the blocks."""
        m, kept = self.matrices[name], self.kept[name]
        shape = m.as_matrix(m.parameter).shape
        mask = expand_mask(kept.reshape(-1, kept.shape[2]), (shape[0], shape[1]), m.block)
        self.masks[name].copy_(m.from_matrix(torch.from_numpy(mask)))

    @torch.no_grad()
    def apply(self, named: Mapping[str, Tensor] | None = None) -> None:
        """Zeroes the masked weights of the network, or of another dict of the same names (such as
        averaged weights)."""
        for name, m in self.matrices.items():
            weight = m.parameter if named is None else named[name]
            # The network may have moved since.
            self.masks[name] = mask = self.masks[name].to(weight)
            weight.mul_(mask)

    def mask_zeros(self) -> None:
        """Masks the blocks that hold nothing but zeros: for weights that were pruned before."""
        for name, m in self.matrices.items():
            self.kept[name] &= self._scores(m) > 0
            self._fill(name)

    def step(self, now: float | None = None) -> None:
        """To be called after every optimizer step.

        now: where the training is, in the units of `start` and `steps`; the calls so far without.
        """
        at = self.calls if now is None else now
        due = self.calls % self.every == 0 or (at >= self.start + self.steps and not self.done)
        if at >= self.start and due:
            self.update(at)
        self.apply()
        self.calls += 1

    def sparsity(self) -> float:
        """The masked share of all weights that are pruned."""
        kept, total = self._kept_and_total()
        return 1.0 - kept / max(total, 1)

    def _kept_and_total(self) -> tuple[int, int]:
        masks = self.masks.values()
        return sum(int(m.count_nonzero()) for m in masks), sum(int(m.numel()) for m in masks)

    def report(self) -> str:
        """One line per gate: name, shape, block, share of masked blocks reached and wanted."""
        lines = []
        for name, m in self.matrices.items():
            rows, columns = m.as_matrix(m.parameter).shape
            for gate in range(m.gates):
                label = f"{name} {m.labels[gate]}" if m.gates > 1 else name
                reached = 1.0 - float(self.kept[name][gate].mean())
                lines.append(
                    f"{label:28} {rows // m.gates:5} x {columns:<5} {m.block:>5} "
                    f"{reached:7.2%} of {m.sparsity[gate]:.2%}"
                    + (", diagonal kept" if m.keep_diagonal else "")
                )
        kept, total = self._kept_and_total()
        return "\n".join([*lines, f"{kept} of {total} weights kept, {self.sparsity():.2%} masked"])

    def state_dict(self) -> dict[str, Any]:
        """The calls so far and which blocks are kept, for `torch.save` (also with weights_only)."""
        kept = {name: torch.from_numpy(k.copy()) for name, k in self.kept.items()}
        return {"calls": self.calls, "done": self.done, "kept": kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores masks; ValueError where they belong to other parameters, gates or blocks."""
        kept = state["kept"]
        if set(kept) != set(self.kept):
            raise ValueError(f"masks are of {sorted(kept)}, not {sorted(self.kept)}")
        for name, mask in kept.items():
            if tuple(mask.shape) != self.kept[name].shape:
                raise ValueError(
                    f"{name}: a mask of {tuple(mask.shape)} gates, block rows and block columns, "
                    f"not {self.kept[name].shape}"
                )
        self.calls, self.done = int(state["calls"]), bool(state["done"])
        for name, mask in kept.items():
            self.kept[name] = mask.cpu().numpy().astype(bool)
            self._fill(name)
        self.apply()
