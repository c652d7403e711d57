"""Nothing compiled for a wider instruction set can run, or be linked in, where it is missing."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from native import build

pytestmark = pytest.mark.skipif(
    shutil.which("objdump") is None or shutil.which("nm") is None, reason="needs binutils"
)


def objects() -> dict[str, Path]:
    folder = build("native") / "CMakeFiles" / "linnet_objects.dir"
    found = {path.name.split(".")[0]: path for path in folder.rglob("*.o")}
    assert {"engine", "dispatch", "portable"} <= found.keys()
    return found


def output(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


WIDE = ["avx2", "avx2_matvecs", "avx512", "avx512_matvecs", "avx2_int8", "avx_vnni", "avx512_vnni"]


@pytest.mark.parametrize("name", WIDE)
def test_a_kernel_set_shares_nothing_but_its_entry(name: str) -> None:
    """A linker that merges inline functions may keep the copy with the wider instructions."""
    if name not in objects():
        pytest.skip(f"{name} is no file of this library")
    symbols = output("nm", "--defined-only", "--extern-only", objects()[name]).splitlines()
    shared = [symbol for symbol in symbols if f"overlay_{name}" not in symbol]
    assert len(symbols) == 1 and not shared, symbols


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="x86 only")
def test_only_the_kernel_sets_hold_vector_extensions() -> None:
    # AVX and all after it: names that begin with v, and mask instructions.
    extension = re.compile(
        r"^\s+[0-9a-f]+:\s+(v[a-z0-9]+|k(mov|or|and|xn?or)[bwdq]*)\s", re.MULTILINE
    )
    holding = {
        name
        for name, path in objects().items()
        if extension.search(output("objdump", "-d", "--no-show-raw-insn", path))
    }
    assert holding == set(WIDE)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="x86 only")
def test_avx_vnni_has_the_encoding_of_cpus_without_avx512() -> None:
    code = output("objdump", "-d", objects()["avx_vnni"])
    found = re.findall(r"^\s+[0-9a-f]+:\t([0-9a-f]{2}) [0-9a-f ]*\t(?:\{vex\} )?(\w+)", code, re.M)
    # C4 begins a VEX prefix of three bytes; 62 an EVEX one, which is AVX-512's.
    assert {first for first, name in found if name == "vpdpbusd"} == {"c4"}
    assert "62" not in {first for first, _ in found}
