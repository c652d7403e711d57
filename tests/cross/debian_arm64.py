"""An arm64 Python with NumPy and an extension module for it, in build/arm64-python.

Debian's packages are downloaded and unpacked beside the system, without being installed or
changing what apt knows; NumPy comes from PyPI.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from native import ROOT, run

TREE = ROOT / "build" / "arm64-python"
SYSTEM = TREE / "system"
PACKAGES = TREE / "packages"  # NumPy
LINNET = TREE / "linnet"  # the extension module

VERSION = (3, 11)  # of Debian 12's Python

# That Python, its headers and the libraries that it needs.
DEBIAN = (
    "python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libpython3.11-dev "
    "libc6 libgcc-s1 libstdc++6 libexpat1 libffi8 zlib1g"
).split()


def download_and_unpack(packages: list[str], into: Path) -> None:
    """Unpack Debian's arm64 packages of these names; needs network, dpkg and apt, but not root."""
    state, archives = TREE / "apt", TREE / "archives"
    for folder in (state / "lists" / "partial", state / "cache" / "archives" / "partial", archives):
        folder.mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "",
        "Dir::State": state,
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
    }
    apt = ["apt-get", "-q", *(f"-o{key}={value}" for key, value in settings.items())]
    run([*apt, "update"], archives)
    run([*apt, "download", *packages], archives)
    for archive in archives.glob("*.deb"):
        run(["dpkg", "-x", str(archive), str(into)], archives)


def install_numpy(into: Path) -> None:
    platform = ["--platform", "manylinux2014_aarch64", "--platform", "manylinux_2_27_aarch64"]
    wheels = ["--only-binary=:all:", "--python-version", "3.11", "--implementation", "cp"]
    pip = [sys.executable, "-m", "pip", "install", "-q", "--target", str(into)]
    run([*pip, *platform, *wheels, "numpy>=1.26,<3"], ROOT)


def build_extension(into: Path) -> None:
    """setup.py with a cross compiler and the headers of the other Python."""
    headers = SYSTEM / "usr" / "include"
    compiler = "aarch64-linux-gnu-g++"
    environment = {
        **os.environ,
        "CC": compiler,
        "CXX": compiler,
        "LDSHARED": f"{compiler} -shared",
        "LDCXXSHARED": f"{compiler} -shared",
        "CPPFLAGS": f"-I{headers / 'python3.11'} -I{headers}",
        "CFLAGS": "",
        "LDFLAGS": "",
        "SETUPTOOLS_EXT_SUFFIX": ".cpython-311-aarch64-linux-gnu.so",
    }
    folders = ["--build-lib", str(into), "--build-temp", str(TREE / "objects")]
    command = [sys.executable, "setup.py", "-q", "build_ext", *folders]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)


def python_command(cpu: str) -> tuple[list[str], dict[str, str]]:
    """How to start that Python under QEMU with the checkout: command and environment."""
    command, environment = emulated(cpu, LINNET)
    build_extension(LINNET)
    for source in (ROOT / "runtime" / "linnet").rglob("*.py"):
        copy = LINNET / source.relative_to(ROOT / "runtime")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read_bytes())
    return command, environment


def emulated(cpu: str, packages: Path) -> tuple[list[str], dict[str, str]]:
    """How to start that Python under QEMU with packages that stand in a folder: command and
    environment. The Python and NumPy are fetched once."""
    if not (SYSTEM / "usr" / "bin" / "python3.11").exists():
        download_and_unpack(DEBIAN, SYSTEM)
    if not (PACKAGES / "numpy").exists():
        install_numpy(PACKAGES)
    emulator = ["qemu-aarch64", "-cpu", cpu, "-L", str(SYSTEM)]
    environment = {
        "PYTHONHOME": str(SYSTEM / "usr"),
        "PYTHONPATH": f"{packages}:{PACKAGES}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    return [*emulator, str(SYSTEM / "usr" / "bin" / "python3.11"), "-s"], environment
