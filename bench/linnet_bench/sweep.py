"""`linnet bench sweep`: at which sparsity the sparse products overtake the dense ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from linnet.format import blocks
from linnet.matrix import SparseMatrix
from linnet_bench.products import product_timer, random_weights
from linnet_bench.rivals import rivals
from linnet_bench.timing import Budget, Timer, interleaved, one_library_thread

SPARSITIES = (0.0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99)
BLOCKS = ("4x4", "16x1")
LINNET_DENSE = "linnet dense"
DENSE = (LINNET_DENSE, "numpy", "torch", "onnxruntime")


@dataclass(frozen=True)
class Sweep:
    """Seconds per product of one size over sparsities, by alternative."""

    rows: int
    cols: int
    dtype: str  # of linnet's weights
    kernels: str
    sparsities: list[float]
    seconds: dict[str, list[float]]

    def crossover(self, sparse: str, dense: str) -> float | None:
        """The least sparsity from which on `sparse` is faster, None where it never is.

        Linear between the measured sparsities.
        """
        gaps = [a - b for a, b in zip(self.seconds[sparse], self.seconds[dense], strict=True)]
        if gaps[-1] > 0:
            return None
        i = len(gaps) - 1
        while i > 0 and gaps[i - 1] <= 0:
            i -= 1
        if i == 0:
            return self.sparsities[0]
        share = gaps[i - 1] / (gaps[i - 1] - gaps[i])
        return self.sparsities[i - 1] + share * (self.sparsities[i] - self.sparsities[i - 1])

    def crossovers(self) -> dict[str, dict[str, float | None]]:
        """`crossover` of every sparse alternative with every dense one."""
        dense = [name for name in DENSE if name in self.seconds]
        return {
            sparse: {name: self.crossover(sparse, name) for name in dense}
            for sparse in self.seconds
            if sparse not in DENSE
        }

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "crossovers": self.crossovers()}


def measure(
    rows: int,
    cols: int,
    dtype: str,
    kernels: str,
    report: Callable[[str], None],
    sparsities: Sequence[float] | None = None,
    budget: Budget | None = None,
) -> Sweep:
    """Time every alternative at every sparsity (default: SPARSITIES), or at as many as the budget
    leaves time for; `report` is told of each.

    scipy and PyTorch multiply the matrix that was pruned in 4x4 blocks.
    """
    seconds: dict[str, list[float]] = {}
    measured: list[float] = []
    for sparsity in sparsities or SPARSITIES:
        if budget and budget.spent() and measured:
            break
        measured.append(sparsity)
        report(f"{rows} x {cols} {sparsity:.1%}")
        alternatives: dict[str, Timer] = {}
        for block in BLOCKS:
            weights = random_weights(rows, cols, sparsity, block)
            alternatives[f"linnet {block}"] = product_timer(
                SparseMatrix(weights, block, dtype, kernels)
            )
            if block == BLOCKS[0]:
                dense = SparseMatrix(weights, blocks.DENSE, dtype, kernels)
                alternatives |= {LINNET_DENSE: product_timer(dense), **rivals(weights, block)}
        with one_library_thread():
            times = interleaved(alternatives, budget=budget)
        for name, time in times.items():
            seconds.setdefault(name, []).append(time)
    return Sweep(rows, cols, dtype, kernels, measured, seconds)
