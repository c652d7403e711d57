"""Debian packages that work on other machines needs: installed where possible, named where not.

`python tests/cross/packages.py PROGRAM...` looks for the programs, which are keys of PACKAGES.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

PACKAGES = {
    "aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu",
    "arm-linux-gnueabihf-g++": "g++-arm-linux-gnueabihf",
    "qemu-aarch64": "qemu-user",
    "llvm-mca-19": "llvm-19",
    "javac": "default-jdk-headless",
    "node": "nodejs",
    "chromium": "chromium",
    "clang": "clang",
    "llvm-profdata": "llvm",
    "riscv64-linux-gnu-g++": "g++-riscv64-linux-gnu",
    "powerpc64le-linux-gnu-g++": "g++-powerpc64le-linux-gnu",
    "x86_64-w64-mingw32-g++-posix": "g++-mingw-w64-x86-64-posix",
    "wine": "wine wine64",
}


def main(programs: list[str]) -> int:
    absent = [name for name in programs if shutil.which(name) is None]
    missing = sorted({package for name in absent for package in PACKAGES[name].split()})
    if not missing:
        return 0
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], env=environment, stdin=subprocess.DEVNULL)
        return subprocess.run(install, env=environment, stdin=subprocess.DEVNULL).returncode
    print(f"missing: {' '.join(missing)}\nsudo {' '.join(install)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
