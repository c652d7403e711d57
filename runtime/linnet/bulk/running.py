"""A run over a corpus: what is left to do, the engine that does it, and what came of it."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from linnet.arguments import checked_seed, checked_temperature
from linnet.bulk import ray_engine, workers
from linnet.bulk.progress import Progress
from linnet.bulk.record import Errors, check_settings, finished
from linnet.bulk.utterances import Source, Utterance, find, shard
from linnet.bundled import find as find_voice
from linnet.features import PRESETS
from linnet.files import require_apart
from linnet.voice import load

ENGINES = ("local", "ray")
Results = Generator[dict[str, Any], None, None]


@dataclass
class Report:
    """What a run did. audio_seconds: of what it made; seconds: that it took.

    failed: name -> error. skipped: utterances whose files were there before. stopped: empty, or
    why the run ended before its last utterance.
    """

    made: int = 0
    skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    audio_seconds: float = 0.0
    seconds: float = 0.0
    stopped: str = ""
    errors_path: str = ""


def vocode(
    source: Source,
    voice: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    jobs: int | None = None,
    batch: int = 8,
    seed: int = 0,
    temperature: float = 1.0,
    mel_from: str | None = None,
    strict: bool = False,
    kernels: str | None = None,
    part: tuple[int, int] = (1, 1),
    engine: str = "local",
    address: str | None = None,
    progress: bool = False,
) -> Report:
    """Vocode a corpus into the folder `output`: NAME.wav for each utterance.

    source: as `linnet.bulk.utterances.find`. voice: a `.linnet` file or a bundled voice's name.
    jobs: workers, one core each (None: all cores). batch: utterances of similar length that a
    worker makes together. seed: of the run; that of an utterance comes from it and from its name,
    so the samples do not depend on jobs, batch, part or engine. mel_from: the preset of
    `linnet.features.PRESETS` whose the features are that come in files. strict: features that can
    hardly be the voice's fail, instead of warning. part: (i, n), the i-th of n parts.
    engine: "local" (processes of this machine) or "ray" (a cluster, at `address` as in `ray.init`).

    What is in `output` already is skipped, so a run that was stopped goes on. What fails is in the
    report and in `output`/errors.jsonl, and the others go on. Raises ValueError for bad arguments,
    for a source without utterances and for an output made with other settings, OSError and
    linnet.FormatError for the voice. KeyboardInterrupt leaves whole files only.
    """
    number, heat = checked_seed(seed), checked_temperature(temperature)
    if mel_from is not None and mel_from not in PRESETS:
        raise ValueError(f"mel_from {mel_from!r}: one of {', '.join(PRESETS)}")
    if engine not in ENGINES:
        raise ValueError(f"engine {engine!r}: one of {', '.join(ENGINES)}")
    if batch < 1 or (jobs is not None and jobs < 1):
        raise ValueError("batch and jobs must be at least 1")
    load(voice, kernels=kernels)  # before any work: its errors are the caller's
    folder, voice_path = os.path.abspath(output), os.path.abspath(find_voice(voice))
    utterances = shard(_absolute(find(source, folder)), *part)
    os.makedirs(folder, exist_ok=True)
    with open(voice_path, "rb") as file:
        check_settings(folder, file.read(), number, heat, mel_from)
    outputs = [utterance.output(folder) for utterance in utterances]
    require_apart(outputs, [utterance.path for utterance in utterances])
    there = finished(folder, utterances)
    left = [utterance for utterance in utterances if utterance.name not in there]
    name = "errors.jsonl" if part[1] == 1 else f"errors.{part[0]}-of-{part[1]}.jsonl"
    report = Report(skipped=len(there), errors_path=os.path.join(folder, name))
    arguments = (voice_path, folder, number, heat, mel_from, strict, kernels)
    if engine == "ray" and left:
        results = ray_engine.run(_by_length(left), batch, jobs, arguments, address)
    else:
        n_jobs = jobs or _cores()
        groups = _groups(_by_length(left), min(batch, 1 + len(left) // n_jobs))
        results = workers.run(groups, min(n_jobs, len(groups)), arguments)
    _collect(results, report, Errors(folder, name), there, Progress(len(left), progress))
    return report


def _collect(
    results: Results,
    report: Report,
    errors: Errors,
    done: set[str],
    progress: Progress,
) -> None:
    start = time.monotonic()
    try:
        for result in results:
            columns = (result[key] for key in ("name", "path", "seconds", "error", "stop"))
            for name, path, seconds, error, stop in zip(*columns, strict=True):
                if stop:
                    report.stopped = str(error)
                elif error:
                    report.failed[str(name)] = str(error)
                    errors.add(str(name), str(path), str(error))
                else:
                    report.made += 1
                    report.audio_seconds += float(seconds)
                    done.add(str(name))
            progress.show(report.made, len(report.failed), report.audio_seconds)
            if report.stopped:
                break
    finally:
        results.close()
        report.seconds = time.monotonic() - start
        progress.end()
        errors.close(done)


def _absolute(utterances: list[Utterance]) -> list[Utterance]:
    """Paths as every worker reads them, whatever its working folder."""
    return [Utterance(u.name, os.path.abspath(u.path)) for u in utterances]


def _by_length(utterances: list[Utterance]) -> list[Utterance]:
    """The longest first, so that all workers end alike; a file's size stands for its length."""
    return sorted(utterances, key=lambda utterance: (-_size(utterance.path), utterance.name))


def _groups(utterances: list[Utterance], size: int) -> list[list[Utterance]]:
    return [utterances[i : i + size] for i in range(0, len(utterances), size)]


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0  # the worker says what is wrong


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
