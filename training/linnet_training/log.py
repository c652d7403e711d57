"""log.csv of a run, and curves.png drawn from it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

COLUMNS = [
    "step",
    "samples",
    "seconds",
    "train_coarse",
    "train_fine",
    "held_out_coarse",
    "held_out_fine",
    "sparsity",
    "learning_rate",
    "saturated",
]


class Log:
    """log.csv; rows that a resumed run will write again are dropped first."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        kept = []
        if path.exists():
            with path.open(newline="") as file:
                kept = [r for r in list(csv.reader(file))[1:] if r and int(r[0]) <= step]
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *kept])

    def write(self, row: Sequence[Any]) -> None:
        """Appends values of COLUMNS."""
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow(row)

    def draw(self) -> None:
        """curves.png beside the log: nats per sample of both bytes, sparsity, learning rate, over
        millions of samples."""
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        with self.path.open(newline="") as file:
            rows = list(csv.DictReader(file))

        def column(name: str) -> tuple[list[float], list[float]]:
            filled = [r for r in rows if r[name]]
            return [int(r["samples"]) / 1e6 for r in filled], [float(r[name]) for r in filled]

        figure, axes = pyplot.subplots(2, 2, figsize=(10, 6), sharex=True, layout="constrained")
        for axis, byte in zip(axes[0], ("coarse", "fine"), strict=True):
            axis.plot(*column(f"train_{byte}"), lw=0.6, label="training")
            axis.plot(*column(f"held_out_{byte}"), marker=".", label="held out")
            axis.set_title(f"{byte} byte, nats per sample")
            axis.legend()
        for axis, name in zip(axes[1], ("sparsity", "learning_rate"), strict=True):
            axis.plot(*column(name))
            axis.set_title(name.replace("_", " "))
            axis.set_xlabel("million samples")
        figure.savefig(self.path.with_name("curves.png"), dpi=100)
        pyplot.close(figure)
