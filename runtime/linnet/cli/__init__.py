"""The command `linnet`. Errors are one line on stderr: status 2 for arguments, 1 for all else."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import linnet
from linnet.cli import bench, bulk, export, inspect, score, synth, voices


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="linnet", description="Sparse WaveRNN vocoders on one CPU core, in real time."
    )
    root.add_argument("--version", action="version", version=f"linnet {linnet.__version__}")
    parsers = root.add_subparsers(metavar="COMMAND", required=True)
    for command in (synth, bulk, voices, export, inspect, bench, score):
        command.add(parsers)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (default: sys.argv); returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", linnet.FeatureWarning)
            warnings.showwarning = _warn
            status = options.run(options)
        sys.stdout.flush()
    except (ValueError, OSError, ImportError, MemoryError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        print(f"linnet: {text}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("linnet: interrupted", file=sys.stderr)
        return 130
    return status or 0


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"linnet: warning: {message}", file=sys.stderr)
