"""The files of a measurement: OUT.json and OUT.png."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

from linnet.errors import install
from linnet.files import write_atomic
from linnet_bench.machine import environment


def write_results(out: str, results: Any, draw: Callable[[Any], None] | None) -> list[str]:
    """Write OUT.json and, where matplotlib is installed, OUT.png; returns what was written.

    draw: fills a matplotlib figure.
    """
    text = json.dumps({**environment(), "results": results}, indent=1)
    write_atomic(f"{out}.json", text.encode())
    if draw is None:
        return [f"{out}.json"]
    try:
        figures: Any = importlib.import_module("matplotlib.figure")
    except ImportError:
        return [f"{out}.json", f"no picture: it needs matplotlib ({install('bench')})"]
    figure = figures.Figure(layout="constrained")
    draw(figure)
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    write_atomic(f"{out}.png", picture.getvalue())
    return [f"{out}.json", f"{out}.png"]
