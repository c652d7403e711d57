"""Voices that ask for too much: refused when opened, by the name of the limit. What is allowed ends
soon, and Python goes on meanwhile."""

from __future__ import annotations

import re
import struct
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import linnet
from linnet import FormatError, _core
from linnet.format.blocks import pack
from linnet.format.operations import (
    Add,
    Draw,
    History,
    Linear,
    Operand,
    Operation,
    Output,
    Subscale,
    Upsample,
)
from linnet.format.reading import read
from linnet.format.tensor import Tensor
from linnet.format.voice_file import Header, VoiceFile
from linnet_export.writing.writer import to_bytes
from varied_voices import varied_voices

ROOT = Path(__file__).resolve().parent.parent
FORMAT = (ROOT / "export" / "FORMAT.md").read_text()
LIMITS = {name: 1 << int(power) for name, power in re.findall(r"\| `(\w+)` \| 2\^(\d+) \|", FORMAT)}

ARENA = 1 << 20
HEADER = Header(16000, 10, 1, 0, 0, ARENA, 1, 0)
SAMPLE_PROGRAM = (
    Draw(2, 0, 0, Operand(0), Operand(4), 1.0, -1.0, 0.0, 0),
    Output(0, None, 0, Operand(5), 1.0, -1.0, 0.0, 0.0, 0.0, 0.0),
)


def voice(
    *frame_program: Operation,
    before: tuple[Operation, ...] = (),
    tensors: dict[str, Any] | None = None,
    **header: Any,
) -> bytes:
    """A small voice with these operations; `before`: the sample program's first ones."""
    packed = tuple(Tensor(name, pack(*how)) for name, how in (tensors or {}).items())
    return to_bytes(
        VoiceFile(
            replace(HEADER, **header),
            {"name": "x"},
            packed,
            frame_program,
            (*before, *SAMPLE_PROGRAM),
        )
    )


def add(size: int) -> Add:
    """An operation whose work is 3 size + 1."""
    return Add(size, 0, Operand(0), Operand(0), Operand(0))


def adds(work: int) -> Iterator[Add]:
    """Operations of exactly that work."""
    most = ARENA - 16
    while work > 3 * most:
        yield add(most)
        work -= 3 * most + 1
    while work % 3 != 1:
        yield add(1)
        work -= 4
    yield add(work // 3)


def work_of(operation: Operation) -> int:
    """Of an operation without tensors."""
    return 1 + sum(floats for _, _, floats in operation.operands({}, 1))


OWN_WORK = sum(map(work_of, SAMPLE_PROGRAM))
DENSE = (np.ones((1024, 1024), np.float32), "dense", "float32")
RAMP = (np.ones(10 * 4096, np.float32), "vector", "float32")


def in_sub_tensors(future: int, work: int, arena_size: int = 1 << 16) -> bytes:
    """16 of them, with additions of that work in each."""
    subscale = Subscale(16, future, 0, Operand(0), Operand(64), 1)
    return voice(
        before=(subscale, *[Add(1 << 15, 0, *[Operand(0)] * 3)] * (work // (3 << 15))),
        hop_length=1 << 16,
        samples_per_step=16,
        lookahead=4,
        arena_size=arena_size,
    )


def refusal(data: bytes) -> str:
    with pytest.raises(FormatError) as error:
        linnet.load(data)
    return str(error.value)


def test_the_document_names_every_limit() -> None:
    source = (ROOT / "src_cpp" / "file" / "limits.h").read_text()
    stated = {
        name: 1 << int(power)
        for name, power in re.findall(r'"(\w+)", uint64_t\{1\} << (\d+)', source)
    }
    assert stated == LIMITS and len(LIMITS) == 5


def test_work_is_counted_to_the_float() -> None:
    frame, step = LIMITS["frame_work"], LIMITS["step_work"] - OWN_WORK
    linnet.load(voice(*adds(frame)))
    linnet.load(voice(before=tuple(adds(step))))
    assert "limit frame_work: " in refusal(voice(*adds(frame + 1)))
    assert "limit step_work: " in refusal(voice(before=tuple(adds(step + 1))))


@pytest.mark.parametrize(
    ("limit", "data"),
    [
        # 200 additions of 2^26 floats, 1024 times before the first sample: hours.
        (
            "frame_work",
            voice(
                *[Add(1 << 24, 0, Operand(0), Operand(0), Operand(0))] * 200,
                priming=1024,
                arena_size=1 << 26,
            ),
        ),
        ("frame_work", voice(*[History(64, 1 << 12, None, Operand(0), Operand(64))] * 256)),
        (
            "frame_work",
            voice(
                *[Upsample(0, 512, 4096, Operand(0), Operand(1 << 21, 512))] * 4,
                tensors={"ramp": RAMP},
                arena_size=1 << 22,
            ),
        ),
        ("silent_work", voice(*adds(1 << 20), priming=257)),
        ("silent_work", voice(*adds(1 << 20), lookahead=257)),
        (
            "step_work",
            voice(
                before=(Linear(0, None, 0, Operand(0), Operand(2048), None),) * 64,
                tensors={"dense": DENSE},
            ),
        ),
        # Each of 16 lanes does the work.
        ("step_work", in_sub_tensors(0, 5 << 20)),
        # 15375 steps of 16 lanes before the first sample.
        ("ahead_work", in_sub_tensors(1024, 1 << 18)),
        ("stream_bytes", in_sub_tensors(0, 1, 1 << 20)),
        ("stream_bytes", voice(arena_size=1 << 24)),
        ("stream_bytes", voice(before=(add(1),) * 40_000)),
    ],
)
def test_a_voice_that_asks_for_too_much_is_refused_by_the_limit(limit: str, data: bytes) -> None:
    assert f"limit {limit}: " in refusal(data)


@pytest.mark.parametrize("rounds", [1, 16])
def test_a_match_counts_as_work_of_a_frame(rounds: int) -> None:
    """As do its iterations and the look-ahead that they ask for."""
    file = read(varied_voices()["matched-once"])
    assert file.match is not None
    many = replace(file, match=replace(file.match, iterations=4, rounds=rounds))
    linnet.load(to_bytes(many))
    (index, bands), (other, bins) = (
        (i, file.tensors[i].dense) for i in (file.match.to_bands, file.match.to_bins)
    )
    size = 16384
    shapes = {
        file.match.twiddles: (np.ones(size, np.float32), "vector", "float32"),
        index: (np.ones((len(bands), size // 2 + 1), np.float32), "dense", "float16"),
        other: (np.ones((size // 2 + 1, bins.shape[1]), np.float32), "dense", "float16"),
    }
    tensors = list(file.tensors)
    for i, how in shapes.items():
        tensors[i] = Tensor(tensors[i].name, pack(*how))
    data = to_bytes(replace(many, tensors=tuple(tensors)))
    if rounds == 16:
        assert "limit frame_work: " in refusal(data)
    else:
        linnet.load(data)


def test_tensors_that_share_a_section_are_refused_before_it_is_read_again() -> None:
    """Otherwise a file takes time and space that grow with the square of its size."""
    file = bytearray(
        voice(tensors={f"t{i}": DENSE if i == 0 else (DENSE[0][:1], *DENSE[1:]) for i in range(2)})
    )
    directory = struct.unpack_from("<Q", file, 96)[0]
    file[directory + 128 + 48 : directory + 256] = file[directory + 48 : directory + 128]
    struct.pack_into("<I", file, 24, zlib.crc32(file[32:]))
    assert "limit section_bytes: " in refusal(bytes(file))


def test_known_voices_need_a_small_part_of_each_limit() -> None:
    """The limits must not be met by honest voices that are some times larger."""
    known = [*varied_voices().values(), (ROOT / "voices" / "slt.linnet").read_bytes()]
    for data in known:
        file = read(data)
        numbers = replace(file.header, priming=8 * file.header.priming + 8)
        linnet.load(to_bytes(replace(file, header=numbers, frame_program=file.frame_program * 8)))


def test_python_goes_on_while_a_stream_is_made() -> None:
    model = linnet.load(voice(*adds(1 << 20), priming=200))._model
    stop, turns = threading.Event(), [0]

    def count() -> None:
        while not stop.is_set():
            turns[0] += 1
            time.sleep(0.001)  # gives the GIL away

    other = threading.Thread(target=count)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # nobody is made to give it away
    try:
        other.start()
        before = turns[0]
        # On a busy machine the other thread may miss its turn, but not every time.
        streams = (_core.Stream(model) for _ in range(200))
        stream = next(stream for stream in streams if turns[0] > before)
        created = turns[0]
        for _ in range(200):
            stream.reset()
            if turns[0] > created:
                break
        assert turns[0] > created
    finally:
        stop.set()
        other.join()
        sys.setswitchinterval(interval)


def test_a_copy_does_not_care_what_becomes_of_its_file(tmp_path: Path) -> None:
    data = varied_voices()["dual-4x4-fp16"]
    path = tmp_path / "voice.linnet"
    path.write_bytes(data)
    copied = linnet.load(path, copy=True)
    path.write_bytes(b"")
    mel = np.ones((10, 4), np.float32)
    np.testing.assert_array_equal(copied.synthesize(mel), linnet.load(data).synthesize(mel))
    assert copied.info()["file_bytes"] == len(data)
