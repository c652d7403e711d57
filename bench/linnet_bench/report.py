"""`linnet bench`: what is measured, its tables on the terminal, and its files."""

from __future__ import annotations

import argparse
import contextlib
import io

import linnet
from linnet.speed import Watch, busy
from linnet.table import facts
from linnet_bench import report_matvec, report_sample, report_sweep
from linnet_bench.machine import cpu_name
from linnet_bench.results import Results, write_results
from linnet_bench.timing import core, pinned


def run(options: argparse.Namespace) -> None:
    """Measure what the command's options ask for (`linnet.cli.bench`)."""
    to_stdout = options.json == "-"
    with contextlib.redirect_stdout(io.StringIO()) if to_stdout else contextlib.nullcontext():
        with Watch() as watch:
            results = _measure(options)
        if note := busy(watch.ran):
            print(f"\n{note}")
        written = [] if options.json in (None, "-") else write_results(options.json, results)
        if options.output is not None and results.draw is not None:
            written += write_results(f"{options.output}.json", results, f"{options.output}.png")
        if written:
            print("\nwrote", ", ".join(written))
    if to_stdout:
        print(results.json())


def _measure(options: argparse.Namespace) -> Results:
    kernels = [options.kernels] if options.kernels else linnet.kernels()
    for voice in options.voices if options.what == "rivals" else ():
        linnet.load(voice)  # an error before anything is printed
    if options.what == "sample":
        linnet.load(options.voice)  # an error before anything is printed
    last = core()
    on = "not pinned" if last is None else f"pinned to core {last}"
    print(facts([("cpu", cpu_name()), ("core", on), ("kernel sets", ", ".join(kernels))]))
    print()
    if options.what == "sample":
        return report_sample.run(options, kernels)
    if options.what == "subscale":
        from linnet_bench import report_subscale  # the exporter is imported by it

        return report_subscale.run(options, kernels[0])
    with pinned():
        if options.what == "rivals":
            from linnet_bench import report_rivals  # PyTorch and onnxruntime are imported by it

            return report_rivals.run(options, kernels[0])
        if options.what == "sweep":
            return report_sweep.run(options, kernels[0])
        if options.quick:
            return report_matvec.run_quick(options, kernels[0])
        return report_matvec.run(options, kernels)
