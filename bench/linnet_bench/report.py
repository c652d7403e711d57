"""`linnet bench`: what is measured, its tables on the terminal, and its files."""

from __future__ import annotations

import argparse

import linnet
from linnet.table import facts
from linnet_bench import report_matvec, report_sample, report_sweep
from linnet_bench.machine import cpu_name
from linnet_bench.timing import core, pinned


def run(options: argparse.Namespace) -> None:
    """Measure what the command's options ask for (`linnet.cli.bench`)."""
    kernels = [options.kernels] if options.kernels else linnet.kernels()
    for voice in options.voices:
        linnet.load(voice)  # an error before anything is printed
    last = core()
    on = "not pinned" if last is None else f"pinned to core {last}"
    print(facts([("cpu", cpu_name()), ("core", on), ("kernel sets", ", ".join(kernels))]))
    print()
    if options.what == "sample":
        report_sample.run(options, kernels)
        return
    with pinned():
        if options.what == "rivals":
            from linnet_bench import report_rivals  # PyTorch and onnxruntime are imported by it

            report_rivals.run(options, kernels[0])
        elif options.what == "sweep":
            report_sweep.run(options, kernels[0])
        elif options.quick:
            report_matvec.run_quick(options, kernels[0])
        else:
            report_matvec.run(options, kernels)
