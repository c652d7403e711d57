"""The machines that QEMU and Wine stand in for, and what the library must choose on each."""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

import linnet
import webassembly
import zig
from native import build

X86_SETS = {"avx512_vnni", "avx512", "avx_vnni", "avx2"}
ARM_SETS = {"neon_i8mm", "neon_dotprod", "neon", "neon_little", "neon_vfpv4"}
WASM_SETS = {name for names in webassembly.KERNELS.values() for name in names}
KERNEL_SETS = {*X86_SETS, *ARM_SETS, *WASM_SETS, "rvv256", "rvv", "portable"}


@dataclass(frozen=True)
class Level:
    name: str
    preset: str  # of src_cpp/CMakePresets.json; a Linux among zig's targets; or wasm-BUILD
    emulator: tuple[str, ...]
    kernels: tuple[str, ...]  # best first
    ending: str = ""  # of programs

    def run(self, program: str, *arguments: str | Path, preset: str | None = None) -> str:
        """The standard output of a program of the build; any failure is an AssertionError."""
        name = preset or self.preset
        if name.startswith("wasm-"):
            return webassembly.run(name.removeprefix("wasm-"), program, *arguments)
        if name == "riscv64-clang" and shutil.which("clang++-19") is None:
            pytest.skip("needs clang++-19 for RISC-V's vectors")
        if "-linux-" in name:  # not all programs: one of them replaces glibc's malloc
            folder = zig.build(name, "Linux", Path(program).name)
        else:
            folder = build(name)
        environment = {
            **os.environ,
            "ASAN_OPTIONS": "detect_leaks=0",  # ptrace, which QEMU lacks
            "WINEPREFIX": str(folder / "wine"),
            "WINEDEBUG": "-all",
        }
        command = [
            *self.emulator,
            str(folder / (program + self.ending)),
            *map(str, arguments),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
        assert done.returncode == 0, f"{done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout


def _arm64(name: str, cpu: str, *kernels: str) -> Level:
    emulator = ("qemu-aarch64", "-cpu", cpu, "-L", "/usr/aarch64-linux-gnu")
    return Level(name, "arm64", emulator, (*kernels, "neon", "portable"))


def _armv7(cpu: str, *kernels: str) -> Level:
    emulator = ("qemu-arm", "-cpu", cpu, "-L", "/usr/arm-linux-gnueabihf")
    return Level(cpu, "armv7", emulator, kernels)


def _riscv64(name: str, preset: str, cpu: str, *kernels: str) -> Level:
    emulator = ("qemu-riscv64", "-cpu", f"rv64,{cpu}", "-L", "/usr/riscv64-linux-gnu")
    return Level(f"riscv64-{name}", preset, emulator, (*kernels, "portable"))


# Before AVX, which QEMU's Nehalem does not know either.
NEHALEM = Level("nehalem", "native", ("qemu-x86_64", "-cpu", "Nehalem"), ("portable",))
ARM64 = (
    _arm64("cortex-a53", "cortex-a53", "neon_little"),  # little cores, old phones
    _arm64("cortex-a76", "cortex-a76", "neon_dotprod"),  # most phones since 2019
    _arm64("armv9-without-sve", "max,sve=off", "neon_i8mm", "neon_dotprod"),
    _arm64("armv9-sve2", "max,sve128=on,sve256=off,sve512=off", "neon_i8mm", "neon_dotprod"),
)
ARMV7 = (
    _armv7("cortex-a7", "neon_vfpv4", "portable"),
    _armv7("cortex-a9", "portable"),  # NEON without fused multiply-add
)
X86 = (NEHALEM,) if platform.machine() == "x86_64" else ()
_VECTORS = "v=true,vext_spec=v1.0"
# Windows and musl have the kernels of the CPU below.
OTHERS = (
    _riscv64("gcc", "riscv64", _VECTORS),
    _riscv64("without-vectors", "riscv64-clang", "v=false"),
    _riscv64("vectors-of-128", "riscv64-clang", f"{_VECTORS},vlen=128", "rvv"),
    _riscv64("vectors-of-256", "riscv64-clang", f"{_VECTORS},vlen=256", "rvv256", "rvv"),
    Level(
        "ppc64le", "ppc64le", ("qemu-ppc64le", "-L", "/usr/powerpc64le-linux-gnu"), ("portable",)
    ),
    Level("windows", "windows", ("wine",), tuple(linnet.kernels()), ".exe"),
    Level("musl", f"{platform.machine()}-linux-musl", (), tuple(linnet.kernels())),
)
WASM = tuple(
    Level(f"wasm-{build}", f"wasm-{build}", (), tuple(kernels))
    for build, kernels in webassembly.KERNELS.items()
)
_CHOSEN = {"others": OTHERS, "web": WASM}
_NAMED = os.environ.get("LINNET_TEST_CROSS", "")
LEVELS = {level.name: level for level in _CHOSEN.get(_NAMED, (*ARM64, *ARMV7, *X86))}


@functools.cache
def native_level() -> Level:
    """This machine itself; its kernel sets are whatever it says."""
    return Level("native", "native", (), ())
