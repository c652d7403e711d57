"""`linnet bench sample`: a voice's speed, and where the time of a sample goes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import linnet
from linnet import _hooks
from linnet.format.blocks import ceil_div
from linnet.format.operations import Linear, Operation
from linnet.format.voice_file import VoiceFile
from linnet.speed import random_mel, sample_timer
from linnet.voice import Source, Voice
from linnet_bench.products import limit_timer
from linnet_bench.timing import Budget, Timer, interleaved, pinned

PROFILE_SECONDS = 0.5
TOGETHER = 8  # vectors at most that one product takes together


@dataclass(frozen=True)
class VoiceTimes:
    """Speed of a whole voice."""

    seconds_per_sample: float
    real_time_factor: float  # seconds of work per second of audio: below 1 is faster than real time


@dataclass(frozen=True)
class Part:
    """One operation's share of a sample, in microseconds."""

    program: str  # "frame" or "after" (its time spread over the frame's samples), or "sample"
    operation: str
    microseconds: float


@dataclass(frozen=True)
class Profile:
    """Where the time of one sample goes, on one thread.

    The parts come from frames in which the clock was read after every operation, less what a
    reading costs; `microseconds` from the frames between them, timed as wholes. What
    matches samples to features is timed by itself, afterwards.
    """

    kernels: str
    parts: list[Part]
    microseconds: float
    reading_microseconds: float  # cost of one reading of the clock
    samples_per_step: int  # that the network makes at a time

    @property
    def sum(self) -> float:
        """The parts together, in microseconds: to compare with `microseconds`."""
        return sum(part.microseconds for part in self.parts)


@dataclass(frozen=True)
class SampleTimes:
    """Speed of a voice with one kernel set and number of threads."""

    kernels: str
    threads: int
    microseconds: float  # per sample, the frame program included
    samples_per_second: float
    times_real_time: float  # seconds of audio per second
    samples_per_step: int  # that the network makes at a time


def time_voice(voice: Voice, seconds: float = 1.0, rounds: int = 5) -> VoiceTimes:
    """Time `synthesize` on random features that last about `seconds`."""
    mel = random_mel(voice, max(1, round(seconds * voice.sample_rate / voice.hop_length)))
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        samples = voice.synthesize(mel)
        times.append((time.perf_counter() - start) / samples.size)
    per_sample = float(np.median(times[1:]))
    return VoiceTimes(per_sample, per_sample * voice.sample_rate)


def measure(
    source: Source, kernels: Sequence[str], threads: Sequence[int], budget: Budget | None = None
) -> list[SampleTimes]:
    """Time a voice with each kernel set and each number of threads, all in turn.

    Raises ValueError for a number of threads that this version does not run.
    """
    voices = {
        (name, n): linnet.load(source, threads=n, kernels=name) for name in kernels for n in threads
    }
    timers = {f"{name} {n}": sample_timer(voice) for (name, n), voice in voices.items()}
    for run in timers.values():
        run(1)  # a stream's other threads start now, free to use the other cores
    with pinned():
        times = interleaved(timers, budget=budget)
    found = []
    for (name, n), voice in voices.items():
        seconds = times[f"{name} {n}"]
        speed = 1 / seconds
        per_step = voice.file().header.samples_per_step
        found.append(
            SampleTimes(name, n, 1e6 * seconds, speed, speed / voice.sample_rate, per_step)
        )
    return found


def weights_limit_timer(voice: Voice) -> Timer:
    """Times the stream limit of all weights that the sample program multiplies with once."""
    file = voice.file()
    linears = (op for op in file.sample_program if isinstance(op, Linear))
    return limit_timer(*(file.tensors[op.weights].packed for op in linears))


def profile(voice: Voice, seconds: float = PROFILE_SECONDS) -> Profile:
    """Profile a voice with its kernel set for about `seconds`, on one thread."""
    file, hop = voice.file(), voice.hop_length
    data = voice._bytes.tobytes()

    def run(n_pairs: int) -> dict[str, Any]:
        frames = random_mel(voice, 2 * (n_pairs + voice.lookahead)).T.copy()
        return _hooks.profile(data, frames, 0, voice.kernels)

    def medians(times: dict[str, Any], name: str) -> npt.NDArray[np.float64]:
        """Over the rows that were measured."""
        rows = times[name][times[name].any(axis=1)]
        return np.asarray(np.median(rows, axis=0) if len(rows) else np.zeros(rows.shape[1]))

    trial = hop * float(medians(run(2), "sample_whole")[0])
    times = run(max(5, min(2000, round(seconds / (2 * trial)))))
    reading = float(times["reading"])
    parts = []
    per_step = file.header.samples_per_step
    # The frame's parts come per frame, the sample's per sample, and were read once per step, or per
    # group of sub-tensors that run together.
    readings = 1 if file.subscale is None else ceil_div(per_step, TOGETHER)
    for program, operations, samples, cost in (
        ("frame", file.frame_program, hop, reading),
        ("sample", file.sample_program, 1, readings * reading / per_step),
    ):
        spent = np.maximum(medians(times, f"{program}_parts") - cost, 0) / samples
        parts += [
            Part(program, operation_name(op, file), 1e6 * float(s))
            for op, s in zip(operations, spent, strict=True)
        ]
    after = 0.0
    if file.match is not None:
        after = float(medians(times, "match_whole")[0]) / hop
        parts.append(Part("after", operation_name(file.match, file), 1e6 * after))
    whole = float(medians(times, "sample_whole")[0] + medians(times, "frame_whole")[0] / hop)
    whole += after
    return Profile(voice.kernels, parts, 1e6 * whole, 1e6 * reading, per_step)


def profiles(voices: Sequence[Voice], budget: Budget) -> list[Profile]:
    """`profile` of each voice, or of as many as the budget leaves time for, one at least."""
    found: list[Profile] = []
    for voice in voices:
        if found and budget.spent():
            break
        left = budget.share() - time.perf_counter()
        found.append(profile(voice, min(PROFILE_SECONDS, max(0.0, left))))
    return found


def operation_name(op: Operation, file: VoiceFile) -> str:
    """An operation and what it works on, such as "linear gru.recurrent 3072 x 1024 4x4"."""
    return f"{op.name} {op.label(file.tensors_of(op))}".rstrip()


def as_dict(times: Sequence[SampleTimes], profiles: Sequence[Profile]) -> dict[str, Any]:
    return {
        "speeds": [asdict(t) for t in times],
        "profiles": [{**asdict(p), "sum_of_parts": p.sum} for p in profiles],
    }
