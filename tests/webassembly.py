"""Modules of WebAssembly, built by zig into build/web-tests, and node, which runs them."""

from __future__ import annotations

import fcntl
import functools
import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import build_page
from native import ROOT

FOLDER = ROOT / "build" / "web-tests"
SCRIPTS = ROOT / "tests" / "web"
WITHOUT_FMA = "--no-enable-fma3"  # of nodes on x86: relaxed multiply-adds are rounded twice
RELAXED = "--experimental-wasm-relaxed-simd"  # of nodes before relaxed SIMD was finished
BUILDS = tuple(build_page.BUILDS)
KERNELS = {
    "simd128": ["wasm_simd128", "portable"],
    "relaxed": ["wasm_relaxed", "wasm_simd128", "portable"],
}


def missing() -> str:
    """What cannot be built or run here, or nothing."""
    if importlib.util.find_spec("ziglang") is None:
        return "needs zig (extra: web)"
    return "" if shutil.which("node") else "needs node"


@functools.cache
def node(build: str) -> list[str] | None:
    """The command that runs a script with modules of this build; None where node cannot."""
    found = (FOLDER / "linnet.js").read_text(encoding="utf-8")
    start = found.index("new Uint8Array([", found.index("const RELAXED"))
    bytes_ = found[start : found.index(");", start) + 1]
    test = f"process.exit(WebAssembly.validate({bytes_}) ? 0 : 1)"
    for command in (["node"], ["node", RELAXED]):
        if build == "simd128" or subprocess.run([*command, "-e", test]).returncode == 0:
            return command
    return None


@functools.cache
def built(build: str) -> Path:
    """The folder with linnet.js and the module; a second process that asks waits for the first."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in build_page.MODULE:
            shutil.copy(build_page.WEB / name, FOLDER)
        build_page.module(build, FOLDER)
    return FOLDER


@functools.cache
def program(build: str, name: str) -> Path:
    """A test's program, named as by CMake: tests/cross/hashes, tests/kernels_exact."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return build_page.program(build, _source(name), FOLDER)


def _source(name: str) -> Path:
    inner = ROOT / f"{name}.cpp"
    return inner if inner.exists() else ROOT / "tests" / "cpp" / f"{Path(name).name}.cpp"


def answers(build: str, requests: Sequence[dict[str, Any]], folder: Path, *flags: str) -> list[Any]:
    """What tests/web/answer.mjs answers; `folder` is for its requests, `flags` are node's."""
    path = folder / "requests.json"
    path.write_text(json.dumps(requests))
    command = node(build)
    assert command is not None
    script = [str(SCRIPTS / "answer.mjs"), str(built(build)), build, str(path)]
    done = subprocess.run([*command, *flags, *script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def run(build: str, name: str, *arguments: str | Path) -> str:
    """The standard output of a test's program."""
    command = node(build)
    assert command is not None
    whole = [*command, "--no-warnings", str(SCRIPTS / "wasi.mjs"), str(program(build, name))]
    environment = {**os.environ, "NODE_NO_WARNINGS": "1"}
    done = subprocess.run(
        [*whole, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=900,
        env=environment,
    )
    assert done.returncode == 0, f"{done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout
