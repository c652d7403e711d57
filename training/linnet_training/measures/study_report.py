"""The table and the picture of a study's results, beside the paper's figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

DENSE = "dense"
STRUCTURES = {"1x1": "unstructured", "4x4": "4x4", "16x1": "16x1", "8x4": "8x4"}

# Kalchbrenner et al. 2018, Figure 2, read off to +-0.005: networks as large as a dense one
# of 224 units in weights, (sparsity, nats per sample).
PAPER_DENSE = 5.675
PAPER: dict[str, tuple[tuple[float, float], ...]] = {
    "1x1": ((0.807, 5.610), (0.914, 5.539), (0.951, 5.502), (0.977, 5.480)),
    "4x4": ((0.807, 5.599), (0.914, 5.559), (0.953, 5.519), (0.963, 5.517), (0.977, 5.539)),
    "16x1": ((0.808, 5.580), (0.913, 5.549), (0.951, 5.540), (0.969, 5.559)),
}


def groups(results: list[dict[str, Any]]) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """The results by (block, units), seeds together."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for result in results:
        found.setdefault((result["block"], result["hidden_size"]), []).append(result)
    return found


def table(results: list[dict[str, Any]]) -> str:
    """A line per network: mean over the seeds, and every seed, of the held-out nats per sample."""
    lines = [
        "| blocks | units | sparsity of R | weights | coarse | seeds | fine | samples each |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (block, size), runs in groups(results).items():
        coarse = [run["held_out_coarse"] for run in runs]
        lines.append(
            f"| {STRUCTURES.get(block, block)} | {size} | {runs[0]['recurrent_sparsity']:.1%} "
            f"| {runs[0]['stored_weights']:,} | {np.mean(coarse):.3f} "
            f"| {' '.join(f'{x:.3f}' for x in coarse)} "
            f"| {np.mean([run['held_out_fine'] for run in runs]):.3f} "
            f"| {runs[0]['samples'] / 1e6:.1f} M |"
        )
    return "\n".join(lines)


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """Nats of the coarse byte against sparsity, every seed a point; the paper's beside it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (ours, theirs) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    weights = min(r["stored_weights"] for r in results)
    for (block, size), runs in groups(results).items():
        if block == DENSE and runs[0]["stored_weights"] == weights:
            ours.axhline(np.mean([r["held_out_coarse"] for r in runs]), color="0.6", lw=1)
            style: dict[str, Any] = {"color": "0.4", "label": f"dense, {size} units"}
            points = [(0.0, r["held_out_coarse"]) for r in runs]
            ours.plot(*zip(*points, strict=True), "o", ms=4, **style)
    for number, (block, label) in enumerate(STRUCTURES.items()):
        color = f"C{number}"
        mine = sorted(
            (r["recurrent_sparsity"], r["held_out_coarse"]) for r in results if r["block"] == block
        )
        if mine:
            ours.plot(*zip(*mine, strict=True), "o", ms=4, color=color)
            at = sorted({s for s, _ in mine})
            means = [np.mean([y for s, y in mine if s == x]) for x in at]
            ours.plot(at, means, "-", color=color, label=label)
        if block in PAPER:
            theirs.plot(*zip(*PAPER[block], strict=True), "o-", ms=4, color=color, label=label)
    theirs.axhline(PAPER_DENSE, color="0.6", lw=1, label="dense, 224 units")
    ours.set_title(f"here: {weights:,} weights, coarse byte")
    theirs.set_title("the paper's Figure 2: weights of 224 units, both bytes")
    for axis in (ours, theirs):
        axis.set_xlabel("sparsity of the recurrent matrix")
        axis.set_ylabel("held-out nats per sample")
        axis.legend(fontsize=8)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
