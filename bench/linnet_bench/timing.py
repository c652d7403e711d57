"""Timing alternatives against each other, on one core."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

ROUNDS = 15
# Of one alternative. Shorter than a time slice of the system, so that most rounds are undisturbed.
ROUND_SECONDS = 0.003
RETRIES = 5
LEAST_SHARE = 0.97  # of a round in which this thread was running

Timer = Callable[[int], float]  # n repetitions -> seconds per repetition


def timer(work: Callable[[], object]) -> Timer:
    """Times a Python callable, the call included; it runs once beforehand, to fill the caches."""

    def run(repeats: int) -> float:
        work()
        start = time.perf_counter()
        for _ in range(repeats):
            work()
        return (time.perf_counter() - start) / repeats

    return run


class Budget:
    """The seconds that a run of so many measurements may take, dealt out to them evenly.

    seconds: 0 for no limit. start: when they began (time.perf_counter; None: now).
    least_rounds: of all measurements so far, ROUNDS where none was cut short.
    """

    def __init__(self, seconds: float, measurements: int, start: float | None = None) -> None:
        self.seconds = seconds
        begun = time.perf_counter() if start is None else start
        self.end = begun + seconds if seconds else float("inf")
        self.left = measurements
        self.least_rounds = ROUNDS

    def share(self) -> float:
        """When the next measurement is to end."""
        now = time.perf_counter()
        self.left = max(self.left, 1)
        until = now + (self.end - now) / self.left
        self.left -= 1
        return until

    def spent(self) -> bool:
        """Whether no time is left: what was not measured yet had better be left out."""
        return time.perf_counter() > self.end

    def __str__(self) -> str:
        """What the limit cut; empty where nothing."""
        if self.least_rounds == ROUNDS and not self.spent():
            return ""
        left_out = f", and {self.left} measurements left out" if self.left else ""
        return (
            f"the time limit of {self.seconds:g} s: {self.least_rounds} rounds of {ROUNDS} at "
            f"least{left_out}; --time-limit SECONDS gives more"
        )


def interleaved(
    alternatives: Mapping[str, Timer], rounds: int | None = None, budget: Budget | None = None
) -> dict[str, float]:
    """Median seconds of each alternative over the rounds (default: ROUNDS, or as many as `budget`
    leaves time for, at least one).

    Where the system gave the core to another process meanwhile, a round is taken again, up to
    RETRIES times.
    """
    until = budget.share() if budget else float("inf")
    repeats = {
        name: max(1, min(1_000_000, int(ROUND_SECONDS / max(run(1), 1e-9))))
        for name, run in alternatives.items()
    }
    times: dict[str, list[float]] = {name: [] for name in alternatives}
    for done in range(rounds or ROUNDS):
        if done and time.perf_counter() > until:
            assert budget is not None
            budget.least_rounds = min(budget.least_rounds, done)
            break
        for name, run in alternatives.items():
            times[name].append(_undisturbed(run, repeats[name], until))
    return {name: float(np.median(of)) for name, of in times.items()}


def _undisturbed(run: Timer, repeats: int, until: float) -> float:
    for _ in range(RETRIES):
        if time.perf_counter() > until:
            break
        start, start_running = time.perf_counter(), time.thread_time()
        seconds = run(repeats)
        running = time.thread_time() - start_running
        if running > LEAST_SHARE * (time.perf_counter() - start):
            return seconds
    return run(repeats)


def core() -> int | None:
    """The core that measurements are pinned to, the last that the calling thread may use.

    None where the system has no way to pin.
    """
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


@contextlib.contextmanager
def pinned() -> Iterator[None]:
    """Keeps the calling thread on `core()`; threads that it started before stay free."""
    chosen = core()
    if chosen is None:
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {chosen})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@contextlib.contextmanager
def one_library_thread() -> Iterator[None]:
    """Keeps the products of numpy, scipy and PyTorch on one thread.

    BLAS libraries need threadpoolctl for that (`linnet[bench]`), or OMP_NUM_THREADS=1 and
    OPENBLAS_NUM_THREADS=1 in the environment.
    """
    torch: Any = sys.modules.get("torch")
    torch_threads = torch.get_num_threads() if torch else 0
    if torch:
        torch.set_num_threads(1)
    try:
        limits: Any = importlib.import_module("threadpoolctl").threadpool_limits(1)
    except ImportError:
        limits = contextlib.nullcontext()
    try:
        with limits:
            yield
    finally:
        if torch:
            torch.set_num_threads(torch_threads)
