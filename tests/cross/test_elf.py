"""Cross-built libraries hold what Android and small programs ask of them; the checks do bite."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from elf import complaints
from native import build


@pytest.mark.parametrize(
    ("preset", "name"),
    [("arm64", "liblinnet.so"), ("armv7", "liblinnet.so"), ("jni-arm64", "liblinnet_jni.so")],
)
def test_libraries_are_small_and_stand_alone(preset: str, name: str) -> None:
    assert complaints(build(preset) / name) == []


def test_every_fault_is_found(tmp_path: Path) -> None:
    source, library = tmp_path / "bad.cpp", tmp_path / "bad.so"
    source.write_text("struct A { virtual ~A(); }; A::~A() {} char stray[1 << 18] = {1};")
    flags = "-shared -fPIC -Wl,-rpath,/nowhere -Wl,-z,max-page-size=4096".split()
    subprocess.run(["aarch64-linux-gnu-g++", *flags, source, "-o", library], check=True)
    found = "\n".join(complaints(library))
    for fault in ("stripped", "LOAD", "NEEDED", "SONAME", "RUNPATH", "exports", "C++ runtime"):
        assert fault in found
