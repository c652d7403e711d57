"""The command `linnet`. Errors are one line on stderr: status 2 for arguments, 1 for all else."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import linnet
from linnet.cli import bench, bulk, completion, export, inspect, score, synth, voices
from linnet.errors import Note, one_line


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="linnet", description="Sparse WaveRNN vocoders on one CPU core, in real time."
    )
    root.add_argument("--version", action="version", version=f"linnet {linnet.__version__}")
    parsers = root.add_subparsers(metavar="COMMAND", required=True)
    for command in (synth, bulk, voices, export, inspect, bench, score, completion):
        command.add(parsers)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (default: sys.argv); returns the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(bench.with_mode(words))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", Note)
            warnings.showwarning = _show
            status = options.run(options)
        sys.stdout.flush()
    except (ValueError, OSError, ImportError, MemoryError) as error:
        print(f"linnet: {one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("linnet: interrupted", file=sys.stderr)
        return 130
    return status or 0


def _show(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"linnet: {' '.join(str(message).split())}", file=sys.stderr)
