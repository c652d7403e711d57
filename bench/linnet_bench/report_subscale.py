"""linnet bench subscale: speed in sub-tensors, as a table and files."""

from __future__ import annotations

import argparse

from linnet.table import table
from linnet_bench.plots import draw_subscale
from linnet_bench.results import Results
from linnet_bench.subscale import HOP_LENGTH, SAMPLE_RATE, Network, SubscaleTimes, as_dict, measure
from linnet_bench.timing import Budget


def run(options: argparse.Namespace, kernels: str) -> Results:
    network = Network(
        options.units,
        options.sparsity,
        options.block,
        options.dtype,
        options.future,
        options.past,
        options.look,
    )
    budget = Budget(options.time_limit, 1)
    times = measure(network, options.sub_tensors, options.threads, kernels, budget)
    shape = f"{network.units} units, {network.sparsity:.0%} sparse, {network.block}"
    seen = f"{network.future} places ahead and {network.past} before, seen by {network.look} units"
    print(f"WaveRNN of {shape}, {network.dtype}, with {kernels}; {seen}\n")
    print(times_table(times))
    if str(budget):
        print(f"\n{budget}")
    return Results(as_dict(network, times), lambda figure: draw_subscale(figure, times))


def times_table(times: list[SubscaleTimes]) -> str:
    titles = ["sub-tensors", "threads", "us/sample", "x real time"]
    rows: list[list[object]] = [[*titles, "x plain", "x one thread", "ms ahead"]]
    for t in times:
        rows.append(
            [
                "none" if t.sub_tensors == 1 else t.sub_tensors,
                t.threads,
                f"{t.microseconds:.2f}",
                f"{t.times_real_time:.1f}",
                f"{t.against_plain:.2f}",
                f"{t.against_one:.2f}",
                f"{1000 * t.lookahead * HOP_LENGTH / SAMPLE_RATE:.0f}",
            ]
        )
    return table(rows)
