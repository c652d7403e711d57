"""Build the page and the modules of WebAssembly with zig (PyPI's ziglang): `make web`.

`python web/build_page.py [FOLDER]` writes the whole site to FOLDER, build/web unless told
otherwise; `module` and `program` build what tests and benchmarks run.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "web"
SOURCES = ROOT / "src_cpp"
PAGE = ("index.html", "style.css", "page.js", "drawing.js", "worklet.js")
MODULE = ("linnet.js", "features.js", "resampling.js", "fourier.js")
VOICES = ("slt", "tiny")
CLIPS = ("slt-heldout.wav", "human.wav")

# WebAssembly is validated whole, and a machine cannot be asked within it: so unlike elsewhere the
# build says which instructions there are, and linnet.js chooses the module.
BUILDS = {
    "simd128": ["-msimd128"],
    "relaxed": ["-msimd128", "-mrelaxed-simd"],
}
FLAGS = [
    *("-target", "wasm32-wasi", "-std=c++17", "-Os", "-DNDEBUG"),
    *("-ffp-contract=off", "-fno-math-errno", "-fno-rtti", "-fno-exceptions"),
    *("-fno-threadsafe-statics", "-Wall", "-Wextra", "-Werror", "-Wl,--gc-sections", "-s"),
    *("-I", str(SOURCES), "-I", str(SOURCES / "include")),
]
ROOMS = ("file", "operations", "run", "matching", "products", "cpu", "kernels")


def sources() -> list[Path]:
    """The C library."""
    found = [path for room in ROOMS for path in sorted((SOURCES / room).rglob("*.cpp"))]
    return [*sorted(SOURCES.glob("*.cpp")), *found]


def exports(*scripts: Path) -> list[str]:
    """The functions of C that scripts call."""
    text = "".join(script.read_text(encoding="utf-8") for script in scripts)
    return sorted(set(re.findall(r"\.(linnet_\w+)\(", text)))


def compile_with_zig(build: str, more: Sequence[str | Path], output: Path) -> Path:
    """The library and `more` in one module. Raises RuntimeError with what the compiler says."""
    output.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "ziglang", "c++", *FLAGS, *BUILDS[build]]
    command += [*map(str, [*sources(), *more]), "-o", str(output)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"zig c++ for {output.name}:\n{done.stdout}{done.stderr}")
    return output


def module(build: str, folder: Path, *scripts: Path) -> Path:
    """The library as linnet.js loads it, with what other scripts call."""
    wanted = [f"-Wl,--export={name}" for name in exports(WEB / "linnet.js", *scripts)]
    glue = SOURCES / "bindings" / "web" / "web.cpp"
    more = ["-mexec-model=reactor", *wanted, str(glue)]
    return compile_with_zig(build, more, folder / f"linnet-{build}.wasm")


def program(build: str, source: Path, folder: Path) -> Path:
    """A test's program and the library, to be run with WASI."""
    return compile_with_zig(build, [source], folder / f"{source.stem}-{build}.wasm")


def site(folder: Path) -> None:
    """Everything that the page needs, and nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "voices").mkdir(parents=True)
    for name in (*PAGE, *MODULE):
        shutil.copy(WEB / name, folder)
    for name in [*(f"{voice}.linnet" for voice in VOICES), *CLIPS]:
        shutil.copy(ROOT / "voices" / name, folder / "voices")
    for build in BUILDS:
        module(build, folder)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "web"
    site(target)
    files = sorted(path for path in target.rglob("*") if path.is_file())
    for path in files:
        print(f"{path.stat().st_size:9,} {path.relative_to(target)}")
