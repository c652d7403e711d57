"""Compilers of systems that cannot be run here take the sources, and what they link is right."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

import zig
from native import ROOT

X86_64, ARM64 = 0x01000007, 0x0100000C  # CPU types of Mach-O


@pytest.mark.parametrize(("target", "cpu"), [("x86_64-macos", X86_64), ("aarch64-macos", ARM64)])
def test_macos_compiles_and_links(target: str, cpu: int) -> None:
    folder = zig.build(target, "Darwin")
    for name in ("liblinnet.dylib", "vocode", "tests/cross/hashes"):
        magic, found = struct.unpack("<2I", (folder / name).resolve().read_bytes()[:8])
        assert (magic, found) == (0xFEEDFACF, cpu)


def microsofts_flags() -> set[str]:
    """What CMake and setup.py give to Microsoft's compiler."""
    cmake = (ROOT / "src_cpp" / "CMakeLists.txt").read_text(encoding="utf-8")
    branch = re.search(r"^if\(MSVC\)\n(.*?)^else", cmake, re.M | re.S)
    assert branch is not None
    found = set(re.findall(r"/[A-Za-z][\w:]*", branch[1]))
    return found | set(re.findall(r'"(/[^"]+)"', (ROOT / "setup.py").read_text(encoding="utf-8")))


@pytest.mark.skipif(shutil.which("clang") is None, reason="needs clang")
@pytest.mark.parametrize(("more", "accepted"), [([], True), (["/fp:exactly"], False)])
def test_microsofts_flags_are_known(more: list[str], accepted: bool, tmp_path: Path) -> None:
    flags = microsofts_flags()
    assert {"/fp:precise", "/std:c++17", "/O2"} <= flags
    source = tmp_path / "empty.cpp"
    source.write_text("int main() { return 0; }\n")
    command = ["clang", "--driver-mode=cl", "--target=x86_64-pc-windows-msvc", "-fsyntax-only"]
    command += ["-Werror=unknown-argument", "-Werror=unused-command-line-argument", "/WX"]
    done = subprocess.run([*command, *sorted(flags), *more, source], capture_output=True, text=True)
    assert (done.returncode == 0) == accepted, done.stderr
