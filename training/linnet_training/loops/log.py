"""log.csv of a run, and curves.png drawn from it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def columns(parts: Sequence[str]) -> list[str]:
    """Of log.csv, for a loss of several parts."""
    losses = [f"{which}_{part}" for which in ("train", "held_out") for part in parts]
    return ["step", "samples", "seconds", *losses, "sparsity", "learning_rate", "saturated"]


class Log:
    """log.csv; rows that a resumed run will write again are dropped first."""

    def __init__(self, path: Path, parts: Sequence[str], step: int) -> None:
        self.path, self.parts = path, parts
        kept = []
        if path.exists():
            with path.open(newline="") as file:
                kept = [r for r in list(csv.reader(file))[1:] if r and int(r[0]) <= step]
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([columns(parts), *kept])

    def write(self, row: Sequence[Any]) -> None:
        """Appends a row of its columns."""
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow(row)

    def draw(self) -> None:
        """curves.png beside the log: nats per sample of each part, sparsity, learning rate, over
        millions of samples."""
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        with self.path.open(newline="") as file:
            rows = list(csv.DictReader(file))

        def column(name: str) -> tuple[list[float], list[float]]:
            filled = [r for r in rows if r[name]]
            return [int(r["samples"]) / 1e6 for r in filled], [float(r[name]) for r in filled]

        n = len(self.parts) + 2
        figure, axes = pyplot.subplots(1, n, figsize=(4 * n, 3.5), layout="constrained")
        for axis, part in zip(axes, self.parts, strict=False):
            axis.plot(*column(f"train_{part}"), lw=0.6, label="training")
            axis.plot(*column(f"held_out_{part}"), marker=".", label="held out")
            axis.set_title(f"{part}, nats per sample")
            axis.legend()
        for axis, name in zip(axes[-2:], ("sparsity", "learning_rate"), strict=True):
            axis.plot(*column(name))
            axis.set_title(name.replace("_", " "))
        for axis in axes:
            axis.set_xlabel("million samples")
        figure.savefig(self.path.with_name("curves.png"), dpi=100)
        pyplot.close(figure)
