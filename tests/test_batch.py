"""Several utterances at once: the bits of one at a time, whatever their number and lengths."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import linnet
from linnet import _core
from linnet.audio import read_wav
from linnet.cli import main
from random_programs import random_program
from varied_voices import varied_voices

VOICES = varied_voices()


def random_mels(n_mels: int, lengths: list[int]) -> list[npt.NDArray[np.float32]]:
    random = np.random.default_rng(0)
    return [random.standard_normal((n_mels, n)).astype(np.float32) for n in lengths]


@pytest.fixture
def voice() -> linnet.Voice:
    return linnet.load(VOICES["dual-4x4-fp16"])


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(list(VOICES)),
    st.sampled_from(linnet.kernels()),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2**64 - 1)), max_size=20),
    st.sampled_from([1.0, 0.6, 0.0]),
)
def test_a_batch_has_the_bits_of_one_at_a_time(
    name: str, kernels: str, utterances: list[tuple[int, int]], temperature: float
) -> None:
    voice = linnet.load(VOICES[name], kernels=kernels)
    mels = random_mels(voice.n_mels, [n for n, _ in utterances])
    seeds = [seed for _, seed in utterances]
    batch = voice.synthesize_batch(mels, seeds, temperature)
    assert len(batch) == len(mels)
    alone = linnet.load(VOICES[name])
    for mel, seed, samples in zip(mels, seeds, batch, strict=True):
        assert samples.dtype == np.int16
        np.testing.assert_array_equal(samples, alone.synthesize(mel, seed, temperature))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from(linnet.kernels()))
def test_any_program_runs_in_a_batch(seed: int, kernels: str) -> None:
    voice = linnet.load(random_program(seed), kernels=kernels)
    mels = random_mels(voice.n_mels, [3, 1, 4, 2, 3, 0, 1, 5, 2, 3])
    batch = voice.synthesize_batch(mels, range(10))
    for number, (mel, samples) in enumerate(zip(mels, batch, strict=True)):
        np.testing.assert_array_equal(samples, voice.synthesize(mel, number))


def test_seeds_are_0_unless_given(voice: linnet.Voice) -> None:
    mels = random_mels(10, [3, 4])
    for samples, mel in zip(voice.synthesize_batch(iter(mels)), mels, strict=True):
        np.testing.assert_array_equal(samples, voice.synthesize(mel))
    assert voice.synthesize_batch([]) == []


@pytest.mark.parametrize(
    ("mels", "arguments", "message"),
    [
        (
            [np.zeros((10, 2), np.float32), np.zeros((2, 10), np.float32)],
            {},
            "utterance 1: .*mel.T",
        ),
        ([np.full((10, 2), np.nan, np.float32)], {}, "utterance 0: .*nan stands at band 0"),
        ([np.zeros((10, 2), int)], {}, "utterance 0: .*floating point"),
        (random_mels(10, [1, 1]), {"seeds": [1]}, "2 utterances need as many seeds, not 1"),
        (random_mels(10, [1, 1]), {"seeds": 1}, "seeds must be 2 integers"),
        (random_mels(10, [1, 1]), {"seeds": [1, -1]}, "utterance 1: seed must lie in 0"),
        (random_mels(10, [1]), {"temperature": -1}, "temperature must be 0 or"),
    ],
)
def test_errors_name_the_utterance(
    voice: linnet.Voice, mels: Any, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        voice.synthesize_batch(mels, **arguments)


class Enough(Exception):
    pass


def test_other_threads_run_during_a_batch(voice: linnet.Voice) -> None:
    counted = 0
    stop = threading.Event()

    def count() -> None:
        nonlocal counted
        while not stop.is_set():
            counted += 1

    reports: dict[int, int] = {}  # what was counted, by the samples made

    def report(done: int) -> None:
        reports[counted] = done
        if len(reports) == 4:
            raise Enough

    frames = [np.zeros((100_000, 10), np.float32)] * 9
    counter = threading.Thread(target=count)
    counter.start()
    try:
        with pytest.raises(Enough):
            _core.synthesize_batch(voice._model, frames, [0] * 9, progress=report)
    finally:
        stop.set()
        counter.join()
    done = list(reports.values())
    assert done == sorted(done) and 0 < done[0] and done[-1] < 9 * 2_000_000


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals need the main thread"
)
def test_ctrl_c_stops_a_batch(voice: linnet.Voice) -> None:
    mels = [np.zeros((10, 500_000), np.float32)] * 3  # minutes of work
    timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            voice.synthesize_batch(mels)
    finally:
        timer.join()
        signal.signal(signal.SIGINT, previous)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory: a voice, features of three utterances, and a folder for results."""
    monkeypatch.chdir(tmp_path)
    Path("voice.linnet").write_bytes(VOICES["dual-4x4-fp16"])
    for name, mel in zip("abc", random_mels(10, [3, 7, 2]), strict=True):
        np.save(f"{name}.npy", mel)
    Path("out").mkdir()
    Path("more").mkdir()
    np.save("more/a.npy", np.zeros((10, 1), np.float32))
    yield tmp_path


def test_synth_writes_a_file_for_each_input(folder: Path, voice: linnet.Voice) -> None:
    names = ["a.npy", "b.npy", "c.npy"]
    assert main(["synth", "voice.linnet", *names, "-o", "out", "--seed", "7"]) == 0
    for name in names:
        samples, rate = read_wav(f"out/{name[0]}.wav")
        assert rate == voice.sample_rate
        np.testing.assert_array_equal(samples, voice.synthesize(np.load(name), seed=7))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("a.npy b.npy -o absent", "No such file or directory"),
        ("a.npy b.npy -o voice.linnet", "No such file or directory"),
        ("a.npy more/a.npy -o out", "a.npy and more/a.npy would both become out"),
        ("a.npy taken.wav -o .", "is an input itself"),
        ("a.npy absent.npy -o out", "absent.npy: No such file or directory"),
        ("a.npy narrow.npy -o out", "narrow.npy: features of shape (4, 9)"),
    ],
)
def test_synth_of_several_fails_before_it_writes(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    Path("taken.wav").write_bytes(b"")
    np.save("narrow.npy", np.zeros((4, 9), np.float32))
    assert main(["synth", "voice.linnet", *arguments.split()]) == 1
    assert message in capsys.readouterr().err
    assert list(Path("out").iterdir()) == []
