"""The targets of the kernels, as ratios measured in one run on one core: `make bench`.

python bench/targets.py [-o OUT.json]

The real model is the 1024-unit one in LINNET_TEST_DATA, else ../shared/data beside the checkout.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is loaded

import numpy as np  # noqa: E402

import linnet  # noqa: E402
from linnet.matrix import SparseMatrix  # noqa: E402
from linnet.speed import random_mel, sample_timer  # noqa: E402
from linnet.table import table  # noqa: E402
from linnet_bench.machine import cpu_name, environment  # noqa: E402
from linnet_bench.products import (  # noqa: E402
    limit_timer,
    product_timer,
    random_matrix,
    random_weights,
)
from linnet_bench.rivals import rivals  # noqa: E402
from linnet_bench.sample import weights_limit_timer  # noqa: E402
from linnet_bench.timing import (  # noqa: E402
    Timer,
    core,
    interleaved,
    one_library_thread,
    pinned,
    timer,
)
from linnet_export import export  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("LINNET_TEST_DATA", ROOT.parent / "shared" / "data"))
MODEL = Path("lyra-sparse-wavernn-1024") / "wavernn_1024_95_4x4.npz"
ROUNDS = 31
SIZE, SPARSITY = (3072, 1024), 0.95
DENSE_SIZE = (684, 228)  # as many weights as the sparse matrix stores: 155,952 against 157,280
SMALL_SIZE, SMALL_SPARSITY = (1152, 384), 0.9  # the recurrent matrix of the voice slt
SMALL_VOICE = Path("voices") / "slt.linnet"
BATCH = 8
BATCH_FRAMES = 4


@dataclass(frozen=True)
class Row:
    """One target. `least` is None where the figure is only reported."""

    what: str
    measured: float | None
    least: float | None
    unit: str = ""
    note: str = ""  # why nothing was measured

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return self.note
        if self.least is None:
            return ""
        return (
            "reached" if self.measured >= self.least else f"{self.measured / self.least:.0%} of it"
        )


def products() -> Iterator[Row]:
    """The rows that compare products, all timed in one interleaved run."""
    weights = {block: random_weights(*SIZE, SPARSITY, block) for block in ("4x4", "16x1")}
    sparse = {block: SparseMatrix(w, block) for block, w in weights.items()}
    few = random_weights(*DENSE_SIZE, 0.0, "dense")
    alternatives: dict[str, Timer] = {
        "linnet dense, few": product_timer(SparseMatrix(few, "dense")),
        "numpy, few": rivals(few, "dense")["numpy"],
    }
    for block, matrix in sparse.items():
        alternatives[block] = product_timer(matrix)
        alternatives[f"limit {block}"] = limit_timer(matrix.packed)
        alternatives |= {f"{name} {block}": t for name, t in rivals(weights[block], block).items()}
    with one_library_thread(), pinned():
        t = interleaved(alternatives, ROUNDS)
    for block, least in (("4x4", 0.65), ("16x1", 0.70)):
        what = f"fp16 {block} {SIZE[0]} x {SIZE[1]} {SPARSITY:.0%}"
        yield Row(f"{what}: fraction of the stream limit", t[f"limit {block}"] / t[block], least)
    for block in sparse:
        for library in ("scipy BSR", "scipy CSR"):
            if f"{library} {block}" in t:
                yield Row(
                    f"{block} against {library}", t[f"{library} {block}"] / t[block], 15, " x"
                )
            else:
                yield Row(f"{block} against {library}", None, 15, " x", "scipy is not installed")
    for block in sparse:
        what = f"{block} against numpy dense, same size"
        yield Row(what, t[f"numpy {block}"] / t[block], 30, " x")
    size = "{} x {}".format(*DENSE_SIZE)
    for block in sparse:
        yield Row(f"{block} against numpy dense {size}", t["numpy, few"] / t[block], 1.6, " x")
    for block in sparse:
        what = f"{block} against linnet's dense {size}, fp16"
        yield Row(what, t["linnet dense, few"] / t[block], 0.95, " x")
    yield Row("16x1 against 4x4", t["4x4"] / t["16x1"], 1.05, " x")


def storages() -> Iterator[Row]:
    """The rows that compare block shapes and types of weights, all timed in one interleaved run."""
    sets = [name for name in linnet.kernels() if name in ("avx2", linnet.kernels()[0])]
    shapes = (("4x4", "float16"), ("8x4", "float16"), ("4x4", "int8"), ("8x4", "int8"))
    small = (("4x4", "float16"), ("8x4", "float16"), ("16x1", "float16"), ("8x4", "int8"))
    for kernels in sets:
        t = _interleaved_products(SIZE, SPARSITY, shapes, kernels)
        what = f"{kernels}, {SIZE[0]} x {SIZE[1]} {SPARSITY:.0%}"
        base = t["4x4 float16"]
        yield Row(f"{what}: fp16 8x4 against fp16 4x4", base / t["8x4 float16"], 1.35, " x")
        limit = t["limit 8x4 float16"] / t["8x4 float16"]
        yield Row(f"{what}: fp16 8x4, fraction of the stream limit", limit, 0.75)
        for block, least in (("4x4", None), ("8x4", 2.2)):
            gained = base / t[f"{block} int8"]
            yield Row(f"{what}: int8 {block} against fp16 4x4", gained, least, " x")
        t = _interleaved_products(SMALL_SIZE, SMALL_SPARSITY, small, kernels)
        what = f"{kernels}, {SMALL_SIZE[0]} x {SMALL_SIZE[1]} {SMALL_SPARSITY:.0%}"
        base = t["4x4 float16"]
        best = min(("8x4", "16x1"), key=lambda block: t[f"{block} float16"])
        gained = base / t[f"{best} float16"]
        yield Row(f"{what}: fp16 {best} against fp16 4x4", gained, 1.3, " x")
        yield Row(f"{what}: int8 8x4 against fp16 4x4", base / t["8x4 int8"], None, " x")


def _interleaved_products(
    size: tuple[int, int], sparsity: float, shapes: tuple[tuple[str, str], ...], kernels: str
) -> dict[str, float]:
    alternatives: dict[str, Timer] = {}
    for block, dtype in shapes:
        matrix = random_matrix(*size, sparsity, block, dtype, kernels)
        alternatives[f"{block} {dtype}"] = product_timer(matrix)
        alternatives[f"limit {block} {dtype}"] = limit_timer(matrix.packed)
    with pinned():
        return interleaved(alternatives, ROUNDS)


def real_model() -> Iterator[Row]:
    """The rows that need the real model."""
    step = "one step of the real model: fraction of the stream limit of its weights"
    speed = "its speed on one core, times real time at 24 kHz"
    two, batch = "2 threads on it", f"batch of {BATCH} against {BATCH} alone"
    source = DATA / MODEL
    if not source.exists():
        for what, least in ((step, 0.55), (speed, None), (two, 1.5), (batch, 2.5)):
            yield Row(what, None, least, note=f"skipped: no {MODEL} in LINNET_TEST_DATA")
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.linnet"
        export(source, path)
        voice = linnet.load(path)
        timers = {"step": sample_timer(voice), "limit": weights_limit_timer(voice)}
        with pinned():
            t = interleaved(timers, ROUNDS)
        yield Row(step, t["limit"] / t["step"], 0.55)
        yield Row(speed, 1 / (t["step"] * voice.sample_rate), None, " x")
        yield two_threads(two, path)
        yield batches(batch, voice, 2.5)
        yield batches(f"{batch}, {SMALL_VOICE}", linnet.load(ROOT / SMALL_VOICE), None)


def two_threads(what: str, path: Path) -> Row:
    timers = {str(n): sample_timer(linnet.load(path, threads=n)) for n in (1, 2)}
    for run in timers.values():
        run(1)  # the other thread starts now, free to use the other cores
    with pinned():
        t = interleaved(timers, ROUNDS)
    return Row(what, t["1"] / t["2"], 1.5, " x")


def batches(what: str, voice: linnet.Voice, least: float | None) -> Row:
    mels, seeds = [random_mel(voice, BATCH_FRAMES)] * BATCH, list(range(BATCH))
    timers = {
        "batch": timer(lambda: voice.synthesize_batch(mels, seeds)),
        "alone": timer(
            lambda: [voice.synthesize(mel, seed) for mel, seed in zip(mels, seeds, strict=True)]
        ),
    }
    with pinned():
        t = interleaved(timers, ROUNDS)
    return Row(what, t["alone"] / t["batch"], least, " x")


def cells(row: Row) -> list[str]:
    measured = "" if row.measured is None else f"{row.measured:.2f}{row.unit}"
    least = "report" if row.least is None else f"{row.least:g}{row.unit}"
    return [row.what, measured, least, row.verdict]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", default=ROOT / "out" / "bench-targets.json", type=Path)
    options = parser.parse_args()
    last = core()
    on = "not pinned" if last is None else f"one thread pinned to core {last}"
    print(f"{cpu_name()}, {on}, kernels {linnet.kernels()[0]}, numpy {np.__version__}")
    print(f"medians of {ROUNDS} interleaved rounds\n", flush=True)
    rows = [*products(), *storages(), *real_model()]
    print(table([["what", "measured", "at least", ""], *map(cells, rows)]))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    results = {"rounds": ROUNDS, "rows": [{**asdict(row), "verdict": row.verdict} for row in rows]}
    options.output.write_text(json.dumps({**environment(), "results": results}, indent=1))
    print(f"\nwrote {os.path.relpath(options.output)}")
    sys.stdout.flush()
