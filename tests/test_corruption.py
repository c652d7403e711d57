"""Damaged files: always a typed error, or a model that runs; never a crash, under sanitizers."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from native import build
from varied_voices import varied_voices

CHECKED_FROM = 32  # the checksum covers the file from here
OK, ERROR_FORMAT = 0, 3


@dataclass(frozen=True)
class Answer:
    status: int
    hash: int
    offset: int
    message: str


class Runner:
    """One process with sanitizers that opens and runs every file it is sent."""

    def __init__(self) -> None:
        program = build("sanitize") / "tests" / "run_files"
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, file: bytes, seal: bool) -> Answer:
        """The answer to a file; `seal` gives it the right size and checksum first."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(struct.pack("<IB", len(file), seal) + file)
        self.process.stdin.flush()
        line = self.process.stdout.readline().decode(errors="replace")
        assert line, "the process died; what it printed stands above"
        status, number, offset, message = line.rstrip("\n").split(" ", 3)
        return Answer(int(status), int(number), int(offset), message)

    def close(self) -> None:
        self.process.communicate(timeout=60)
        assert self.process.returncode == 0


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    runner = Runner()
    yield runner
    runner.close()


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A voice's name, and its file with a few bytes changed and perhaps its end cut off."""
    name = draw(st.sampled_from(sorted(varied_voices())))
    file = bytearray(varied_voices()[name])
    directory, operations = struct.unpack_from("<QQ", file, 96)
    # Most of a file is weights; what describes them is where damage can do harm.
    place = st.one_of(
        st.integers(CHECKED_FROM, 127),
        st.integers(directory, len(file) - 1),
        st.integers(operations, len(file) - 1),
        st.integers(0, len(file) - 1),
    )
    value = st.sampled_from([0, 1, 2, 16, 127, 128, 255]) | st.integers(0, 255)
    for at, byte in draw(st.lists(st.tuples(place, value), min_size=1, max_size=4)):
        file[at] = byte
    if draw(st.integers(0, 4)) == 0:
        del file[draw(st.integers(0, len(file))) :]
    return name, bytes(file)


@settings(deadline=None, max_examples=300)
@given(damaged())
def test_damage_is_a_typed_error_or_the_same_model(
    runner: Runner, damage: tuple[str, bytes]
) -> None:
    name, file = damage
    original = runner.run(varied_voices()[name], seal=False)
    assert original.status == OK
    answer = runner.run(file, seal=False)
    if file == varied_voices()[name]:
        assert answer == original
    elif file[CHECKED_FROM:] != varied_voices()[name][CHECKED_FROM:]:
        assert answer.status == ERROR_FORMAT
    assert answer == original or (answer.status == ERROR_FORMAT and answer.message)


@settings(deadline=None, max_examples=500)
@given(damaged())
def test_damage_under_a_right_checksum_is_a_typed_error_or_a_model_that_runs(
    runner: Runner, damage: tuple[str, bytes]
) -> None:
    answer = runner.run(damage[1], seal=True)
    assert answer.status == OK or (answer.status == ERROR_FORMAT and answer.message)
    assert answer.offset <= len(damage[1])


def test_every_truncation_is_a_typed_error(runner: Runner) -> None:
    file = varied_voices()["dual-4x4-fp16"]
    for size in [*range(200), *range(200, len(file), 997), len(file) - 1]:
        for seal in (False, True):
            answer = runner.run(file[:size], seal)
            assert answer.status == ERROR_FORMAT, (size, seal)
