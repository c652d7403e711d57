"""Voices of sub-tensors: what each of them sees, in which order samples come, and that neither the
schedule of the lanes nor anything else changes a bit."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba", reason="the reference needs Numba")

import linnet  # noqa: E402
from linnet import FormatError, _core  # noqa: E402
from linnet.cli import main  # noqa: E402
from linnet.format import blocks, reading
from linnet.format.operation_bytes import encode
from linnet.format.operations import (
    Draw,
    Linear,
    Operand,
    Operation,
    Output,
    Source,
    SubBands,
    Subscale,
)
from linnet.format.tensor import Tensor
from linnet.format.voice_file import Header, VoiceFile
from linnet.reference.engine import ReferenceVoice
from linnet_export.writing.writer import to_bytes
from random_programs import SUB_TENSORS, random_program
from voices import SUBSCALE, tiny_voice

Floats = npt.NDArray[np.float32]

seeds = st.integers(0, 2**32 - 1)
sub_tensors = st.sampled_from(SUB_TENSORS)
futures = st.sampled_from([0, 1, 4])
kernel_sets = st.sampled_from(linnet.kernels())
threads = st.integers(1, 3)


def random_frames(voice: ReferenceVoice, n_frames: int, seed: int) -> Floats:
    """(n_frames, n_features)"""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (n_frames, voice.header.n_features)).astype(np.float32)


def random_tokens(voice: ReferenceVoice, n_frames: int, seed: int) -> npt.NDArray[np.uint16]:
    rng, n = np.random.default_rng(seed), n_frames * voice.header.hop_length
    tokens = np.zeros(n, np.uint16)
    for draw in (op for op in voice.file.sample_program if isinstance(op, Draw)):
        tokens = tokens * np.uint16(256) + rng.integers(0, draw.classes, n).astype(np.uint16)
    return tokens


@settings(deadline=None, max_examples=60)
@given(
    seeds,
    sub_tensors,
    futures,
    st.booleans(),
    kernel_sets,
    threads,
    st.integers(0, 6),
    st.sampled_from([1.0, 0.5, 0.0]),
    st.data(),
)
def test_any_pieces_are_the_sub_tensors_one_after_the_other(
    seed: int,
    b: int,
    future: int,
    match: bool,
    kernels: str,
    n_threads: int,
    n_frames: int,
    temperature: float,
    data: st.DataObject,
) -> None:
    """The reference makes every sub-tensor from start to end before the next one begins. Few frames
    are shorter than the pipeline of lanes."""
    file = random_program(seed, b, future, match)
    voice = ReferenceVoice(file)
    frames = random_frames(voice, n_frames, seed)
    expected = voice.synthesize(frames.T, seed, 1, temperature)
    model = _core.Model.from_buffer(file)
    stream = _core.Stream(model, seed, 1, temperature, kernels, n_threads)
    if data.draw(st.booleans(), "a reset in the middle"):
        stream.push(random_frames(voice, 1 + voice.file.lookahead, seed + 1))
        stream.pull(np.zeros(data.draw(st.integers(0, 2 * b)), np.int16))
        stream.reset(seed, 1)
    parts = []
    for t in range(n_frames + 1):
        if t == n_frames:
            stream.finish()
        else:
            assert stream.push(frames[t : t + 1]) == 1
        while stream.available:
            part = np.zeros(data.draw(st.integers(1, 3 * b)), np.int16)
            parts.append(part[: stream.pull(part)])
    np.testing.assert_array_equal(np.concatenate([np.zeros(0, np.int16), *parts]), expected)


@settings(deadline=None, max_examples=40)
@given(seeds, sub_tensors, futures, kernel_sets, threads, st.integers(0, 4))
def test_a_score_is_that_of_the_sub_tensors_one_after_the_other(
    seed: int, b: int, future: int, kernels: str, n_threads: int, n_frames: int
) -> None:
    file = random_program(seed, b, future)
    voice = ReferenceVoice(file)
    frames, tokens = random_frames(voice, n_frames, seed), random_tokens(voice, n_frames, seed)
    nats = voice.score(frames.T, tokens).sum()
    stream = _core.Stream(_core.Model.from_buffer(file), kernels=kernels, threads=n_threads)
    # Of float64 sums in another order, as in test_equality_programs.
    assert stream.score(frames, tokens) == pytest.approx(nats, rel=1e-12, abs=1e-9, nan_ok=True)


CLASSES, SCALE, OFFSET = 8, 0.25, -0.875
VALUES = np.arange(CLASSES) * SCALE + OFFSET
OF_ZERO = 3  # the first token whose value is nearest to 0


def voice_of(
    *before: Operation,
    weights: dict[str, npt.NDArray[Any]],
    logits: int,
    samples_per_step: int,
    **header: Any,
) -> VoiceFile:
    """A voice that draws one of CLASSES tokens. weights: dense matrices, and vectors; logits: where
    in the arena."""
    layouts = {1: "vector", 2: "dense"}
    tensors = tuple(
        Tensor(name, blocks.pack(w.astype(np.float32), layouts[w.ndim], "float32"))
        for name, w in weights.items()
    )
    draw = Draw(CLASSES, 0, 0, Operand(logits), Operand(logits + 16), SCALE, OFFSET, 0.0, 0)
    output = Output(0, None, 0, Operand(logits + 17), SCALE, OFFSET, 0.0, 0.0, 0.0, 0.0)
    numbers = {"hop_length": 4 * samples_per_step, "n_features": 2, "lookahead": 0, **header}
    return VoiceFile(
        Header(
            16000,
            priming=0,
            arena_size=logits + 32,
            n_slots=1,
            features_at=0,
            samples_per_step=samples_per_step,
            **numbers,
        ),
        {"name": "x"},
        tensors,
        (),
        (*before, draw, output),
    )


def copying_voice(b: int, future: int, past: int, distance: int, place: int) -> bytes:
    """At temperature 0 the first sub-tensor holds the feature of its frame, and each other one what
    it sees of the one that is `distance` before, at `place` of its window."""
    subscale = Subscale(b, future, past, Operand(0), Operand(16), 2)
    n, span = subscale.window, past + future + 1
    # h = relu(+- feature) in the first sub-tensor, 0 in the others: features are within -1 .. 1.
    hidden = np.zeros((2, n))
    hidden[:, (b - 1) * span] = 8
    # The nearest value v to x has the greatest 2 v x - v v.
    logits = np.zeros((CLASSES, n + 2))
    logits[:, (distance - 1) * span + place] = 2 * VALUES
    logits[:, n], logits[:, n + 1] = 2 * VALUES, -2 * VALUES
    at = 16 + n + 16
    voice = voice_of(
        subscale,
        Linear(0, 1, 1, Operand(16), Operand(16 + n), Operand(0)),
        Linear(2, 3, 0, Operand(16), Operand(at)),
        weights={"h": hidden, "hb": np.full(2, -8.0), "l": logits, "lb": -(VALUES**2)},
        logits=at,
        samples_per_step=b,
        lookahead=-(-subscale.lag // 4),
    )
    return to_bytes(voice)


@settings(deadline=None, max_examples=60)
@given(sub_tensors, st.integers(0, 5), st.integers(0, 3), threads, st.integers(0, 5), st.data())
def test_each_sub_tensor_sees_the_places_of_those_before_it(
    b: int, future: int, past: int, n_threads: int, n_frames: int, data: st.DataObject
) -> None:
    distance = data.draw(st.integers(1, b - 1), "distance")
    place = data.draw(st.integers(0, past + future), "place")
    tokens = data.draw(st.lists(st.integers(0, CLASSES - 1), min_size=n_frames, max_size=n_frames))
    file = copying_voice(b, future, past, distance, place)

    expected = np.full((b, 4 * n_frames), OF_ZERO)
    expected[0] = np.repeat(tokens, 4)
    for s in range(distance, b):
        for i in range(4 * n_frames):
            seen = i - past + place
            if 0 <= seen < 4 * n_frames:
                expected[s, i] = expected[s - distance, seen]
    frames = np.array([[VALUES[token], -VALUES[token]] for token in tokens], np.float32)
    stream = _core.Stream(_core.Model.from_buffer(file), temperature=0.0, threads=n_threads)
    samples = np.zeros(expected.size, np.int16)
    assert stream.synthesize(frames.reshape(n_frames, 2), samples) == len(samples)
    np.testing.assert_array_equal(samples, (VALUES[expected.T.ravel()] * 32768).astype(np.int16))


@pytest.mark.parametrize("b", SUB_TENSORS)
def test_a_sample_has_the_random_number_of_its_place_in_the_signal(b: int) -> None:
    """Draws that depend on nothing else are the same with sub-tensors as without."""
    bias = np.random.default_rng(0).normal(0, 1, CLASSES)
    weights = {"w": np.zeros((CLASSES, 2)), "b": bias}
    made = []
    for n in (1, b):
        subscale = Subscale(b, 1, 0, Operand(0), Operand(16), 2)
        at = 32 + subscale.window
        logits = Linear(0, 1, 0, Operand(0), Operand(at))
        before = (logits,) if n == 1 else (subscale, logits)
        voice = voice_of(
            *before,
            weights=weights,
            logits=at,
            samples_per_step=n,
            hop_length=4 * b,
            lookahead=-(-subscale.lag // 4),
        )
        made.append(linnet.load(to_bytes(voice)).synthesize(np.zeros((2, 30), np.float32), seed=5))
    np.testing.assert_array_equal(made[0], made[1])
    assert len(set(made[0])) > 1


VOICE = reading.read(copying_voice(4, 2, 1, 1, 0))
FIRST = VOICE.subscale
assert FIRST is not None
DRAW, OUTPUT = VOICE.sample_program[-2:]
assert isinstance(OUTPUT, Output)


def program(*operations: Operation, **header: Any) -> VoiceFile:
    return replace(VOICE, header=replace(VOICE.header, **header), sample_program=operations)


@pytest.mark.parametrize(
    ("voice", "message"),
    [
        (program(replace(FIRST, sub_tensors=1), DRAW, OUTPUT), "sub_tensors is 1, outside 2 .. 16"),
        (program(replace(FIRST, sub_tensors=17), DRAW, OUTPUT), "sub_tensors is 17, outside"),
        (program(replace(FIRST, future=1025), DRAW, OUTPUT), "future is 1025, outside 0 .. 1024"),
        (program(replace(FIRST, past=1025), DRAW, OUTPUT), "past is 1025, outside 0 .. 1024"),
        (program(replace(FIRST, size=0), DRAW, OUTPUT), "size is 0, outside"),
        (program(replace(FIRST, size=999), DRAW, OUTPUT), "conditions leaves the arena"),
        (program(replace(FIRST, out=Operand(70)), DRAW, OUTPUT), "out leaves the arena"),
        (program(replace(FIRST, out=Operand(1)), DRAW, OUTPUT), "out overlaps conditions"),
        (program(DRAW, FIRST, OUTPUT), "sample operation 1: it is not the first of its program"),
        (program(FIRST, FIRST, DRAW, OUTPUT), "sample operation 1: it is not the first"),
        (program(DRAW, FIRST), "its code is not one of those that may stand there"),
        (
            program(FIRST, SubBands(2, None, Operand(0), Operand(0), 0.0), n_slots=0),
            "the program does not end in an output",
        ),
        (program(FIRST, DRAW, OUTPUT, samples_per_step=2), "its sub-tensors are not a step's"),
        (program(DRAW, OUTPUT), "one sample where a step has several"),
        (
            program(FIRST, DRAW, OUTPUT, lookahead=2),
            "further ahead of the last than the look-ahead",
        ),
        (
            program(FIRST, DRAW, replace(OUTPUT, companding=2, log1p_mu=1.0, past=Operand(9))),
            "an excitation of sub-tensors",
        ),
        (
            program(
                FIRST,
                Source(1, 4, 0, Operand(0), Operand(8), Operand(0), Operand(12)),
                DRAW,
                OUTPUT,
            ),
            "a source of sub-tensors",
        ),
        (replace(VOICE, frame_program=(FIRST,)), "frame operation 0: its code is not one of"),
    ],
)
def test_other_programs_are_refused(voice: VoiceFile, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        reading.read(to_bytes(voice))


def test_reserved_words_are_zero() -> None:
    data = bytearray(to_bytes(VOICE))
    at = data.index(encode(VOICE.sample_program[0]))
    for word in range(9, 16):
        changed = bytearray(data)
        changed[at + 4 * word] = 1
        with pytest.raises(FormatError, match=f"word {word} is 1, not 0"):
            reading.read(sealed(changed))


def sealed(data: bytearray) -> bytes:
    data[24:28] = zlib.crc32(memoryview(data)[32:]).to_bytes(4, "little")
    return bytes(data)


def test_a_stream_is_scored_or_pulled_until_it_is_reset() -> None:
    data = tiny_voice(architecture=SUBSCALE)
    voice = ReferenceVoice(data)
    frames = random_frames(voice, 9, 0)
    tokens = random_tokens(voice, 9, 0)
    samples = np.zeros(len(tokens), np.int16)
    stream = _core.Stream(_core.Model.from_buffer(data))
    nats = stream.score(frames, tokens)
    with pytest.raises(RuntimeError, match="not in a state that allows"):
        stream.pull(samples)
    stream.reset()
    stream.push(frames)
    assert stream.pull(samples[:1]) == 1
    with pytest.raises(RuntimeError, match="not in a state that allows"):
        stream.score(frames, tokens)
    stream.reset()
    assert stream.score(frames, tokens) == nats
    stream.reset()
    stream.synthesize(frames, samples)
    np.testing.assert_array_equal(samples, voice.synthesize(frames.T))


def test_a_recording_is_filled_up_with_silence() -> None:
    voice = linnet.load(tiny_voice(architecture=SUBSCALE))
    mel = np.random.default_rng(0).random((10, 7), np.float32)
    pcm = np.random.default_rng(1).integers(-99, 99, 7 * 20).astype(np.int16)
    pcm[-13:] = 0
    assert voice.score(mel, pcm[:-13]) == voice.score(mel, pcm)


def test_a_voice_tells_what_its_sub_tensors_cost_in_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "voice.linnet"
    path.write_bytes(tiny_voice(architecture=SUBSCALE))
    voice = linnet.load(path)
    assert main(["inspect", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "4, the first ahead of the last by 36 samples, 2.25 ms" in shown
    info = voice.info()
    # Sample n = 4 i + s; each of three sub-tensors is 2 + 1 places behind the one before.
    assert info["sub_tensors"] == 4 and info["lead_samples"] == 36
    assert info["lookahead_frames"] == linnet.load(tiny_voice()).lookahead + 2
    plain = linnet.load(tiny_voice()).info()
    assert plain["sub_tensors"] == 1 and plain["lead_samples"] == 0
