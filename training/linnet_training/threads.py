"""Chooses the number of threads while training runs, on a machine that others use too.

Two threads meet several times per sample. Where another program takes one core, each meeting
waits for it and two threads are far slower than one; on an idle machine they are 1.5 times faster.
"""

from __future__ import annotations

import os

import torch


class Threads:
    """Call `tick` with the seconds of each update: tries 1 and all cores for a few updates each,
    keeps the faster for a minute, or until it is far slower than it was."""

    def __init__(self, fixed: int = 0, updates: int = 4, period: float = 60.0) -> None:
        self.options = [fixed] if fixed else sorted({1, os.cpu_count() or 1})
        self.updates, self.period = updates, period
        self.trial = 0
        self.times: list[list[float]] = [[] for _ in self.options]
        self.recent: list[float] = []
        self.expected = self.left = 0.0
        torch.set_num_threads(self.options[0])

    def tick(self, seconds: float) -> None:
        if len(self.options) == 1:
            return
        if self.trial < len(self.options):
            self.times[self.trial].append(seconds)
            if len(self.times[self.trial]) < self.updates:
                return
            self.trial += 1
            if self.trial == len(self.options):
                best = min(range(len(self.options)), key=lambda i: sum(self.times[i]))
                self.expected, self.left, self.recent = sum(self.times[best]), self.period, []
                torch.set_num_threads(self.options[best])
            else:
                torch.set_num_threads(self.options[self.trial])
            return
        self.left -= seconds
        self.recent = [*self.recent, seconds][-self.updates :]
        slower = len(self.recent) == self.updates and sum(self.recent) > 1.6 * self.expected
        if self.left <= 0 or (slower and self.left < self.period - 5):
            self.trial, self.times = 0, [[] for _ in self.options]
            torch.set_num_threads(self.options[0])
