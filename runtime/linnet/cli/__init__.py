"""The command `linnet`. Errors are one line on stderr: status 2 for arguments, 1 for all else."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import linnet
from linnet.cli import bench, export, inspect, score, synth


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="linnet", description="Sparse WaveRNN vocoders on one CPU core, in real time."
    )
    root.add_argument("--version", action="version", version=f"linnet {linnet.__version__}")
    parsers = root.add_subparsers(metavar="COMMAND", required=True)
    for command in (synth, export, inspect, bench, score):
        command.add(parsers)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (default: sys.argv); returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        with _terminated_as_interrupted():
            options.run(options)
            sys.stdout.flush()
    except (ValueError, OSError, ImportError, MemoryError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        print(f"linnet: {text}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("linnet: interrupted", file=sys.stderr)
        return 130
    return 0


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the program, with its usual status, so that what is half
    written goes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: Any) -> None:
        raise SystemExit(128 + number)

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    numbers = [n for n in (getattr(signal, name) for name in names) if signal.getsignal(n) == 0]
    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
