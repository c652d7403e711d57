"""The C library, its example and its test programs, built by CMake into build/PRESET.

`python tests/native.py native sanitize` builds them beforehand; the tests that run them bring them
up to date.
"""

from __future__ import annotations

import fcntl
import functools
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def cmake() -> str:
    """The CMake of this environment, which need not be on the path, or another one that is."""
    beside = Path(sys.executable).parent / "cmake"
    found = str(beside) if beside.exists() else shutil.which("cmake")
    if found is None:
        raise FileNotFoundError("no cmake: pip install cmake")
    return found


@functools.cache
def build(preset: str) -> Path:
    """Build one preset of src_cpp/CMakePresets.json and return its folder.

    A second process that asks waits for the first.
    """
    folder = ROOT / "build" / preset
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "CMakeCache.txt").exists():
            run([cmake(), "--preset", preset], ROOT / "src_cpp")
        run([cmake(), "--build", str(folder)], ROOT)
    return folder


def run(command: list[str], folder: Path) -> None:
    """Run a build step; its output is shown only where it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(f"{name}: {build(name)}")
