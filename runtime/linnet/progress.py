"""Progress of long work, on stderr: tqdm where it is installed, else a line of percents."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def reporter(
    total: int, show: bool, unit: str = "sample"
) -> Iterator[Callable[[int], None] | None]:
    """A function to call with how many of `total` units are done; None where nothing is shown."""
    if not show:
        yield None
        return
    try:
        tqdm: Any = importlib.import_module("tqdm").tqdm
    except ImportError:
        yield from _plain(total)
        return
    with tqdm(total=total, unit=unit, unit_scale=True, file=sys.stderr) as bar:

        def report(done: int) -> None:
            bar.update(done - bar.n)

        yield report
        report(total)


def _plain(total: int) -> Iterator[Callable[[int], None]]:
    shown = -1

    def report(done: int) -> None:
        nonlocal shown
        percent = 100 * done // total if total else 100
        if percent != shown:
            shown = percent
            print(f"\r{percent:3d} %", end="", file=sys.stderr, flush=True)

    try:
        yield report
        report(total)
    finally:
        print(file=sys.stderr)
