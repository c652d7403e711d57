"""linnet bench sample: a voice's speed and profile, as tables and files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import linnet
import linnet_bench
from linnet.table import facts, table
from linnet_bench import sample
from linnet_bench.plots import draw_profiles
from linnet_bench.report_matvec import product_facts
from linnet_bench.results import Results
from linnet_bench.sample import Profile, SampleTimes
from linnet_bench.timing import Budget, pinned


def run(options: argparse.Namespace, kernels: Sequence[str]) -> Results:
    voices = [linnet.load(options.voice, kernels=name) for name in kernels]
    matrix = linnet_bench.voice_matrix(voices[0])
    measurements = 1 + len(voices) + (matrix is not None)
    budget = Budget(options.time_limit, measurements, options.start)
    times = sample.measure(options.voice, kernels, options.threads, budget)
    print(speed_table(times))
    with pinned():
        profiles = sample.profiles(voices, budget)
    n = profiles[0].samples_per_step
    unit = "sample" if n == 1 else f"step of {n} samples"
    print(f"\nMicroseconds per {unit} by operation, one thread\n")
    print(profile_table(profiles))
    if matrix is not None:
        with pinned():
            product = linnet_bench.time_products(matrix, budget=budget)
        print()
        print(facts([("matrix", "recurrent matrix"), *product_facts(product)]))
    if str(budget):
        print(f"\n{budget}")
    return Results(
        {"voice": str(options.voice), **sample.as_dict(times, profiles)},
        lambda figure: draw_profiles(figure, profiles),
    )


def speed_table(times: Sequence[SampleTimes]) -> str:
    rows: list[list[object]] = [
        [
            "kernels",
            "threads",
            "samples/s",
            "x real time",
            "real-time factor",
            "us/sample",
            "us/step",
        ]
    ]
    for t in times:
        rows.append(
            [
                t.kernels,
                t.threads,
                f"{t.samples_per_second:.0f}",
                f"{t.times_real_time:.2f}",
                f"{1 / t.times_real_time:.3f}",
                f"{t.microseconds:.2f}",
                f"{t.microseconds * t.samples_per_step:.2f}",
            ]
        )
    return table(rows)


def profile_table(profiles: Sequence[Profile]) -> str:
    """Operations down, kernel sets across, in microseconds per step; the sum of the parts against
    the whole below."""
    rows: list[list[object]] = [["program", "operation", *(p.kernels for p in profiles)]]
    for i, part in enumerate(profiles[0].parts):
        figures = [f"{p.parts[i].microseconds * p.samples_per_step:.3f}" for p in profiles]
        rows.append([part.program, part.operation, *figures])
    rows.append(["", "sum", *(f"{p.sum * p.samples_per_step:.3f}" for p in profiles)])
    whole = [f"{p.microseconds * p.samples_per_step:.3f}" for p in profiles]
    rows.append(["", "whole, timed apart", *whole])
    rows.append(["", "sum / whole", *(f"{p.sum / p.microseconds:.3f}" for p in profiles)])
    return table(rows, left=2)
