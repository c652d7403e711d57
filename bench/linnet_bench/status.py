"""A line on stderr that says what is being measured, if stderr is a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def status_line() -> Iterator[Callable[[object], None]]:
    """Gives a function that shows a text in place of the one before."""
    terminal = sys.stderr.isatty()

    def show(text: object) -> None:
        if terminal:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        show("")
