"""Describes what a measurement depends on: the machine, the libraries, the command."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import linnet

LIBRARIES = ("numpy", "scipy", "torch", "onnxruntime", "threadpoolctl")


def cpu_name() -> str:
    """The processor's name, as far as the system tells it."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def environment() -> dict[str, Any]:
    """Machine, CPU flags, versions, commit and command: what a file of results begins with."""
    return {
        "machine": {
            "cpu": cpu_name(),
            "cores": os.cpu_count(),
            "architecture": platform.machine(),
            "system": platform.platform(),
            "flags": (_cpuinfo("flags") or _cpuinfo("Features")).split(),
            "caches": _caches(),
            "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
        },
        "kernels": linnet.kernels(),
        "versions": {
            "linnet": linnet.__version__,
            "python": platform.python_version(),
            **{name: version for name in LIBRARIES if (version := _version(name))},
        },
        "commit": _commit(),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def _cpuinfo(key: str) -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.partition(":")[0].strip() == key:
                return line.partition(":")[2].strip()
    return ""


def _caches() -> dict[str, str]:
    """Sizes of the first core's caches, such as {"L2": "1024K"}."""
    found = {}
    for cache in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        with contextlib.suppress(OSError):
            level, kind, size = (
                (cache / name).read_text().strip() for name in ("level", "type", "size")
            )
            found[f"L{level}" + {"Data": "d", "Instruction": "i"}.get(kind, "")] = size
    return found


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the checkout that linnet runs from, "+" where files differ from it."""
    folder = Path(__file__).parent
    git = ["git", "-C", str(folder)]
    try:
        commit, changes = (
            subprocess.run([*git, *words], capture_output=True, text=True, check=True).stdout
            for words in (
                ["rev-parse", "HEAD"],
                ["status", "--porcelain", "--untracked-files=no"],
            )
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit.strip() + ("+" if changes else "")
