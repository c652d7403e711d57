"""Wheels of this Python, in build/wheels: built from the sdist, checked, and tried where possible.

`python tests/wheels.py` makes all of TARGETS, or those named. The compiler is zig's (PyPI's
ziglang), which brings the C libraries of every target, so that one machine builds for all of them.
auditwheel tells which systems a wheel really runs on. What is tried: a wheel of this machine's kind
in an empty environment, an aarch64 one in Debian's arm64 Python under QEMU; both must make the
samples that the checkout makes.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import debian_arm64
from native import ROOT, run

FOLDER = ROOT / "build" / "wheels"
TOOLS = ("ziglang>=0.14,<0.18", "auditwheel>=6.1,<7")
UNTRACKED = {"PKG-INFO", "setup.cfg"}  # of an sdist, besides its egg-info


@dataclass(frozen=True)
class Target:
    machine: str
    zig: str
    platform: str  # of the wheel's name


TARGETS = {
    "manylinux-x86_64": Target("x86_64", "x86_64-linux-gnu.2.17", "manylinux2014_x86_64"),
    "manylinux-aarch64": Target("aarch64", "aarch64-linux-gnu.2.17", "manylinux2014_aarch64"),
}

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
    print(f"{archive.name}: every tracked file, {archive.stat().st_size:,} bytes")
    return source


def build(source: Path, name: str) -> Path:
    """The wheel of a target, compiled by zig from the sources of the sdist."""
    target = TARGETS[name]
    zig = f"{shlex.quote(str(tools()))} -m ziglang"
    compiler = f"{zig} c++ -target {target.zig}"
    suffix = f".cpython-{sys.version_info[0]}{sys.version_info[1]}-{target.machine}-linux"
    environment = {
        **os.environ,
        "CC": compiler,
        "CXX": compiler,
        "LDSHARED": f"{compiler} -shared -s",
        "LDCXXSHARED": f"{compiler} -shared -s",
        "AR": f"{zig} ar",
        "CFLAGS": "-g0 -Wno-macro-redefined",  # by the headers of this Python
        "SETUPTOOLS_EXT_SUFFIX": f"{suffix}-gnu.so",
    }
    shutil.rmtree(source / "build", ignore_errors=True)
    folders = ["-d", str(FOLDER), "--plat-name", target.platform]
    command = [sys.executable, "setup.py", "-q", "bdist_wheel", *folders]
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{name}:\n{done.stdout}{done.stderr}")
    return max(FOLDER.glob(f"linnet-*{target.platform}.whl"), key=os.path.getmtime)


def check(wheel: Path, target: Target) -> None:
    """auditwheel finds the wheel fit for the systems that its name promises."""
    done = subprocess.run(
        [str(tools()), "-m", "auditwheel", "show", str(wheel)], capture_output=True, text=True
    )
    text = " ".join((done.stdout + done.stderr).split())
    if done.returncode != 0 or not any(tag in text for tag in promised(target)):
        raise RuntimeError(f"{wheel.name}: {text}")
    with zipfile.ZipFile(wheel) as files:
        names = files.namelist()
    for needed in ("linnet/voices/slt.linnet", "linnet/py.typed", "linnet_bench/py.typed"):
        if needed not in names:
            raise RuntimeError(f"{wheel.name}: lacks {needed}")
    print(f"{wheel.name}: {wheel.stat().st_size:,} bytes; fits {target.platform}")


def promised(target: Target) -> list[str]:
    """Quoted tags of auditwheel's that are the target's, under either of its names."""
    other = target.platform.replace("manylinux2014", "manylinux_2_17")
    return [f'"{target.platform}"', f'"{other}"']


def trial(wheel: Path, target: Target) -> str | None:
    """The machine and the hash of samples that the installed wheel makes; None: not tried."""
    environment: dict[str, str] = {}
    if target.machine == platform.machine():
        place = FOLDER / "empty"
        venv.create(place, clear=True, with_pip=True)
        run([str(place / "bin" / "pip"), "install", "-q", str(wheel)], FOLDER)
        command = [str(place / "bin" / "python")]
    elif target.machine == "aarch64" and shutil.which("qemu-aarch64"):
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


def tools() -> Path:
    """A Python that has TOOLS, in an environment of its own."""
    place = FOLDER / "tools"
    python = place / "bin" / "python"
    if not (place / "ready").exists():
        venv.create(place, clear=True, with_pip=True)
        run([str(python), "-m", "pip", "install", "-q", *TOOLS], FOLDER)
        (place / "ready").touch()
    return python


def main(names: list[str]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    expected = made([sys.executable, "-c", TRIAL, str(CLIP)], dict(os.environ)).split()[1]
    source = sdist()
    for name in names or TARGETS:
        target = TARGETS[name]
        wheel = build(source, name)
        check(wheel, target)
        found = trial(wheel, target)
        if found is None:
            print(f"{wheel.name}: not tried, this machine has no Python for it")
        elif found.split() != [target.machine, expected]:
            raise RuntimeError(f"{wheel.name}: makes {found}, not {target.machine} {expected}")
        else:
            print(f"{wheel.name}: makes the samples of this checkout, on {target.machine}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (RuntimeError, OSError, KeyError) as error:
        sys.exit(f"wheels: {error}")
