"""linnet bench rivals: vocoders side by side, as a table and a file."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import asdict

from linnet.table import table
from linnet_bench import vocoder_times
from linnet_bench.plots import draw_vocoders
from linnet_bench.results import Results
from linnet_bench.status import status_line
from linnet_bench.vocoder_times import VocoderTimes


def run(options: argparse.Namespace, kernels: str) -> Results:
    with status_line() as show:
        limit = options.time_limit
        until = options.start + limit if limit else math.inf
        found, rounds = vocoder_times.measure(options.voices, kernels, show, until)
    print(f"Times real time on one thread, voices with kernels {kernels}\n")
    print(speed_table(found))
    if rounds < vocoder_times.ROUNDS:
        print(f"\nthe time limit of {limit:g} s: {rounds} rounds of {vocoder_times.ROUNDS}")
    return Results(
        {"rounds": rounds, "vocoders": [asdict(times) for times in found]},
        lambda figure: draw_vocoders(figure, found),
    )


def speed_table(found: Sequence[VocoderTimes]) -> str:
    """A line per vocoder."""
    rows: list[list[object]] = [
        [
            "vocoder",
            "kHz",
            "weights",
            "MB",
            "whole",
            "in chunks",
            "without context",
            "look-ahead ms",
        ]
    ]
    for times in found:
        bare = "" if times.bare_chunks is None else f"{times.bare_chunks:.1f}"
        rows.append(
            [
                times.name,
                f"{times.sample_rate / 1000:g}",
                f"{times.parameters / 1e6:.2f} M",
                f"{times.file_bytes / 1e6:.2f}",
                f"{times.whole:.1f}",
                f"{times.chunks:.1f}",
                bare,
                f"{times.lookahead_milliseconds:.0f}",
            ]
        )
    return table(rows)
