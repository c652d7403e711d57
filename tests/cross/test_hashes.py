"""The same bits on every CPU: audio, products and functions, with every kernel set of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import linnet
from cases import frames, voices, write_cases
from levels import KERNEL_SETS, LEVELS, Level, native_level

Hashes = dict[str, dict[str, str]]  # kernel set -> case -> hash


def parse(output: str) -> tuple[list[str], set[str], Hashes]:
    """Kernel sets, refused ones, hashes."""
    usable, refused, hashes = [], set(), Hashes()
    for kind, *fields in map(str.split, output.splitlines()):
        if kind == "set":
            usable.append(fields[0])
        elif kind == "refused":
            refused.add(fields[0])
        else:
            kernels, case, value = fields
            hashes.setdefault(kernels, {})[case] = value
    return usable, refused, hashes


@pytest.fixture(scope="session")
def case_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_cases(tmp_path_factory.mktemp("cases"))


@pytest.fixture(scope="session")
def expected(case_files: list[Path]) -> dict[str, str]:
    """By case, the hashes of this machine's best kernels."""
    usable, _, hashes = parse(native_level().run("tests/cross/hashes", "", *case_files))
    assert usable == linnet.kernels()
    assert all(hashes[name] == hashes["portable"] for name in usable)
    return hashes["portable"]


def fnv1a(data: bytes) -> str:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def test_hashes_are_those_of_the_samples_in_python(expected: dict[str, str]) -> None:
    for name, data in voices().items():
        voice = linnet.load(data)
        samples = voice.synthesize(np.ascontiguousarray(frames(voice.n_mels).T), seed=12345)
        hashed = fnv1a(samples.astype("<i2").tobytes())
        assert expected[f"{name}.linnet"] == expected[f"{name}.linnet/host-flushes"] == hashed


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_every_cpu_computes_the_bits_of_this_one(
    level: Level, case_files: list[Path], expected: dict[str, str]
) -> None:
    known = KERNEL_SETS | {"none"}
    output = level.run("tests/cross/hashes", ",".join(sorted(known)), *case_files)
    usable, refused, hashes = parse(output)
    assert tuple(usable) == level.kernels
    assert refused == known - set(usable)
    assert len(expected) > 300
    for name in usable:
        assert hashes[name] == expected


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_kernels_touch_exactly_what_they_promise(level: Level) -> None:
    assert tuple(level.run("tests/kernels_exact").split()) == level.kernels


needs_arm = pytest.mark.skipif("cortex-a53" not in LEVELS, reason="of Arm alone")


@needs_arm
def test_under_address_sanitizer(case_files: list[Path], expected: dict[str, str]) -> None:
    level = LEVELS["cortex-a76"]
    preset = "arm64-sanitize"
    assert tuple(level.run("tests/kernels_exact", preset=preset).split()) == level.kernels
    few = [path for path in case_files if "grid" not in path.name]
    _, _, hashes = parse(level.run("tests/cross/hashes", "", *few, preset=preset))
    for name in level.kernels:
        assert hashes[name].items() <= expected.items()


@needs_arm
@pytest.mark.parametrize("name", ["cortex-a53", "cortex-a7"])
def test_processing_neither_allocates_nor_locks(name: str, case_files: list[Path]) -> None:
    level = LEVELS[name]
    voice = next(path for path in case_files if path.name == "dual-4x4-fp16.linnet")
    lines = level.run("tests/process_is_quiet", voice).splitlines()
    counted = [f"{kernels}: 0 allocations, 0 frees, 0 locks" for kernels in level.kernels]
    assert [line for line in lines if "seccomp" not in line] == counted
