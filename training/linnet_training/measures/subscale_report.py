"""The table and the picture of a study of subscale dependencies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def total(run: dict[str, Any]) -> float:
    """Nats per sample of both bytes."""
    return float(run["held_out_coarse"] + run["held_out_fine"])


def groups(results: list[dict[str, Any]]) -> dict[tuple[int, int], list[dict[str, Any]]]:
    """The results by (sub-tensors, places ahead), seeds together; the plain network is (1, 0)."""
    found: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for result in results:
        found.setdefault((result["sub_tensors"], result["future"]), []).append(result)
    return dict(sorted(found.items()))


def table(results: list[dict[str, Any]]) -> str:
    """A line per network: mean over the seeds, and every seed, of the nats per sample."""
    lines = [
        "| B | F | weights | nats | seeds | coarse | fine | samples each | updates |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (sub_tensors, future), runs in groups(results).items():
        name = f"{sub_tensors} | {future}" if sub_tensors > 1 else "plain | "
        mean = {k: np.mean([run[k] for run in runs]) for k in ("held_out_coarse", "held_out_fine")}
        lines.append(
            f"| {name} | {runs[0]['stored_weights']:,} | {np.mean([total(r) for r in runs]):.3f} "
            f"| {' '.join(f'{total(r):.3f}' for r in runs)} | {mean['held_out_coarse']:.3f} "
            f"| {mean['held_out_fine']:.3f} | {np.mean([r['samples'] for r in runs]) / 1e6:.1f} M "
            f"| {np.mean([r['steps'] for r in runs]):,.0f} |"
        )
    return "\n".join(lines)


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """Nats against the places ahead, a line for every number of sub-tensors, every seed a point."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(6, 4), layout="constrained")
    found = groups(results)
    plain = found.pop((1, 0), [])
    for run in plain:
        axis.axhline(total(run), color="0.6", lw=1, label="plain" if run is plain[0] else None)
    for number, sub_tensors in enumerate(sorted({b for b, _ in found})):
        mine = {f: [total(r) for r in runs] for (b, f), runs in found.items() if b == sub_tensors}
        for future, nats in mine.items():
            axis.plot([future] * len(nats), nats, "o", ms=4, color=f"C{number}")
        means = [np.mean(nats) for nats in mine.values()]
        axis.plot(list(mine), means, "-", color=f"C{number}", label=f"B = {sub_tensors}")
    axis.set_xscale("log", base=2)
    axis.set_xlabel("F, places of the earlier sub-tensors that are seen ahead")
    axis.set_ylabel("nats per sample of unseen speakers")
    axis.legend(fontsize=8)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
