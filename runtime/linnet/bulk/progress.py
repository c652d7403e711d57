"""How far a run is, on stderr: one line that changes, or a line every ten seconds in a log."""

from __future__ import annotations

import sys
import time
from datetime import timedelta


class Progress:
    """Files done of `total`, the speed and the time left."""

    def __init__(self, total: int, shown: bool) -> None:
        self._total = total
        self._shown = shown
        self._terminal = sys.stderr.isatty()
        self._start = self._last = time.monotonic()
        self._written = False

    def show(self, made: int, failed: int, audio_seconds: float) -> None:
        now = time.monotonic()
        done = made + failed
        pause = 0.2 if self._terminal else 10.0
        if not self._shown or (now - self._last < pause and done < self._total):
            return
        self._last = now
        spent = now - self._start
        left = timedelta(seconds=round(spent / done * (self._total - done))) if done else "?"
        text = (
            f"{done} of {self._total} files, {failed} failed, {audio_seconds / spent:.1f} x real"
            f" time, {left} left"
        )
        end = "" if self._terminal else "\n"
        print(f"\r{text:<78}" if self._terminal else text, end=end, file=sys.stderr, flush=True)
        self._written = self._terminal

    def end(self) -> None:
        if self._written:
            print(file=sys.stderr)
