"""The command `linnet`. Errors are one line on stderr: status 2 for arguments, 1 for all else."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
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
        with _terminated_as_interrupted(), warnings.catch_warnings():
            warnings.simplefilter("always", Note)
            warnings.showwarning = _show
            status = options.run(options)
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, ImportError, MemoryError) as error:
        print(f"linnet: {one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("linnet: interrupted", file=sys.stderr)
        return 130
    return status or 0


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the program, with its usual status, so that what is half
    written goes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: Any) -> None:
        raise SystemExit(128 + number)

    numbers = [getattr(signal, n) for n in ("SIGTERM", "SIGHUP") if hasattr(signal, n)]
    numbers = [n for n in numbers if signal.getsignal(n) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _show(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"linnet: {' '.join(str(message).split())}", file=sys.stderr)
