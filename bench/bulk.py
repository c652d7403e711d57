"""Audio hours per core hour of `linnet bulk`: workers, batches and engines in one run.

The start of workers counts, that of Ray does not.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import linnet
from linnet.audio import read_wav
from linnet.bulk import vocode
from linnet.table import table

CONFIGURATIONS = [("local", jobs, batch) for batch in (1, 4, 8) for jobs in (1, 2)] + [
    ("ray", jobs, 8) for jobs in (1, 2)
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("voice", nargs="?", default="voices/slt.linnet")
    parser.add_argument("recording", nargs="?", default="voices/slt-heldout.wav")
    parser.add_argument("--utterances", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3, help="medians of as many (default 3)")
    options = parser.parse_args()
    configurations = (
        CONFIGURATIONS if _start_ray() else [c for c in CONFIGURATIONS if c[0] != "ray"]
    )
    seconds: dict[tuple[str, int, int], list[float]] = {c: [] for c in configurations}
    audio = 0.0
    memory = WorkerMemory()
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus")
        make_corpus(corpus, options.voice, options.recording, options.utterances)
        for number in range(options.rounds):
            for engine, jobs, batch in configurations:
                output = Path(folder, f"{engine}-{jobs}-{batch}-{number}")
                start = time.monotonic()
                report = vocode(
                    corpus, options.voice, output, engine=engine, jobs=jobs, batch=batch
                )
                seconds[engine, jobs, batch].append(time.monotonic() - start)
                audio = report.audio_seconds
    rows = [["engine", "workers", "batch", "audio h per core h", "of twice one worker's"]]
    for engine, jobs, batch in configurations:
        spent = statistics.median(seconds[engine, jobs, batch])
        one = statistics.median(seconds[engine, 1, batch])
        share = f"{one / spent / jobs:.2f}" if jobs > 1 else ""
        rows.append([engine, str(jobs), str(batch), f"{audio / spent / jobs:.2f}", share])
    print(f"{options.utterances} utterances, {audio:.0f} s of audio")
    print(table(rows))
    print(f"load of this machine: {os.getloadavg()[0]:.1f}; workers: {memory.most} MB resident")


class WorkerMemory:
    """The most that a local worker holds, looked up in Linux's /proc while they work."""

    def __init__(self) -> None:
        self.most = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while os.path.isdir("/proc/self"):
            for worker in multiprocessing.active_children():
                try:
                    lines = Path(f"/proc/{worker.pid}/status").read_text().splitlines()
                except OSError:  # it has ended
                    continue
                sizes = [int(line.split()[1]) // 1024 for line in lines if "VmHWM" in line]
                self.most = max([self.most, *sizes])
            time.sleep(0.05)


def make_corpus(folder: Path, voice_path: str, recording: str, count: int) -> None:
    """Features of excerpts of a recording, 0.5 s to all of it."""
    voice = linnet.load(voice_path)
    mel = voice.features(*read_wav(recording))
    random = np.random.default_rng(0)
    shortest = voice.sample_rate // voice.hop_length // 2
    folder.mkdir()
    for n in range(count):
        frames = int(random.integers(shortest, mel.shape[1]))
        start = int(random.integers(0, mel.shape[1] - frames + 1))
        np.save(folder / f"{n:04}.npy", mel[:, start : start + frames])


def _start_ray() -> bool:
    try:
        import ray.data
    except ImportError:
        print("without Ray: pip install 'ray[data]'")
        return False
    ray.init(log_to_driver=False)  # starting Ray is not what is measured
    return True


if __name__ == "__main__":
    main()
