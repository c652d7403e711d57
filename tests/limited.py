"""Runs the command line in a process of its own, with little memory and little time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

MEMORY = 1 << 30  # bytes that the process may hold
SPACE = 4 << 30  # bytes of addresses, of which libraries reserve many
SECONDS = 20  # of the CPU; a whole run that refuses its file takes about one

_PROGRAM = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({SPACE}, {SPACE}))
resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS}))
from linnet.cli import main
status = main(sys.argv[1:])
try:
    with open("/proc/self/status") as file:
        (most,) = (line.split()[1] for line in file if line.startswith("VmHWM"))
except OSError:  # not Linux, whose figure here begins with that of the process before
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(most)
sys.exit(status)
"""


class Outcome(NamedTuple):
    status: int
    memory: int  # the most bytes that it held; 0 where it was ended
    error: str


def run(*arguments: str | Path) -> Outcome:
    """The command line's status, memory and errors."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *map(str, arguments)], capture_output=True, text=True
    )
    lines = done.stdout.split()
    memory = 1024 * int(lines[-1]) if lines and lines[-1].isdigit() else 0
    return Outcome(done.returncode, memory, done.stderr)
