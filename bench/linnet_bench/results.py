"""The figures of a measurement, as text, in a file, as a picture."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from linnet.errors import install
from linnet.files import write_atomic
from linnet_bench.machine import environment


@dataclass(frozen=True)
class Results:
    """What a run found. draw: fills a matplotlib figure; None where there is nothing to draw."""

    values: Any
    draw: Callable[[Any], None] | None

    def json(self) -> str:
        """With what the figures depend on: machine, versions, commit, command."""
        return json.dumps({**environment(), "results": self.values}, indent=1)


def write_results(path: str, results: Results, picture: str | None = None) -> list[str]:
    """Write the figures and, where matplotlib is installed, a picture; returns what was written."""
    write_atomic(path, results.json().encode())
    if results.draw is None or picture is None:
        return [path]
    try:
        figures: Any = importlib.import_module("matplotlib.figure")
    except ImportError:
        return [path, f"no picture: it needs matplotlib ({install('bench')})"]
    figure = figures.Figure(layout="constrained")
    results.draw(figure)
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=120)
    write_atomic(picture, drawn.getvalue())
    return [path, picture]
