"""How fast a voice is here, at a glance; `linnet bench` (linnet_bench) measures with care."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linnet.voice import Voice


def random_mel(voice: Voice, n_frames: int) -> npt.NDArray[np.float32]:
    """Features (n_mels, n_frames): the time of a sample does not depend on them."""
    return np.random.default_rng(0).random((voice.n_mels, n_frames), np.float32)


def sample_timer(voice: Voice) -> Callable[[int], float]:
    """Times samples of one long stream, frame after frame; seconds per sample."""
    stream = voice._stream(0, 1.0)
    frame = random_mel(voice, 1).T.copy()
    samples = np.empty(voice.hop_length, np.int16)
    for _ in range(voice.lookahead):
        stream.push(frame)

    def run(repeats: int) -> float:
        n_frames = max(1, round(repeats / voice.hop_length))
        start = time.perf_counter()
        for _ in range(n_frames):
            stream.push(frame)
            stream.pull(samples)
        return (time.perf_counter() - start) / (n_frames * voice.hop_length)

    return run


def against_real_time(times: float) -> str:
    """How fast that is, in words: `times` seconds of audio per second."""
    if times >= 1.05:
        return f"{times:.3g} x faster than real time"
    return "as fast as real time" if times > 0.95 else f"{1 / times:.3g} x slower than real time"


class Watch:
    """Notices whether other work kept this thread from its core: `with Watch() as watch: ...`."""

    ran = 1.0  # the share of the time in which the thread ran

    def __enter__(self) -> Watch:
        self._start = time.perf_counter(), time.thread_time()
        return self

    def __exit__(self, *_: object) -> None:
        wall, ran = self._start
        self.ran = (time.thread_time() - ran) / max(time.perf_counter() - wall, 1e-9)


def against_limit(ratio: float) -> str:
    """A time beside the stream limit of the same run: `ratio` of it."""
    doubt = "" if ratio >= 1 else ", which cannot be: the machine is busy, measure again"
    return f"{ratio:.2f} x that{doubt}"


def busy(ran: float) -> str:
    """A warning where a measurement ran for only so much of its time; "" where it ran for nearly
    all."""
    if ran > 0.95:
        return ""
    return f"the machine is busy: this ran for {ran:.0%} of the time, so it is faster when idle"


@dataclass(frozen=True)
class QuickSpeed:
    """A first impression of a voice's speed; `linnet bench` measures with care."""

    microseconds: float  # per sample, the frame program included
    times_real_time: float  # seconds of audio per second
    measured_seconds: float
    kernels: str
    threads: int
    ran: float  # the share of the time in which the measuring thread had its core

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        note = busy(self.ran)
        return (
            f"{self.times_real_time:.2g} x real time, {self.microseconds:.3g} us per sample "
            f"(measured for {self.measured_seconds:.1f} s; {self.kernels}, {threads})"
            + (f"; {note}" if note else "")
        )


def quick_speed(voice: Voice, seconds: float = 0.3) -> QuickSpeed:
    """Make frames for some seconds; the median of their times."""
    run = sample_timer(voice)
    run(1)
    times: list[float] = []
    with Watch() as watch:
        while sum(times) * voice.hop_length < seconds:
            times.append(run(1))
    median = float(np.median(times))
    spent = sum(times) * voice.hop_length
    real_time = 1 / (median * voice.sample_rate)
    return QuickSpeed(1e6 * median, real_time, spent, voice.kernels, voice.threads, watch.ran)
