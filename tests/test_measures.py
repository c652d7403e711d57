"""What `linnet-train evaluate` measures of sounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("librosa", reason="measures need it")

from linnet_training.measures.audio import clicks, level  # noqa: E402
from linnet_training.measures.recognition import Recogniser, words  # noqa: E402

Int16 = npt.NDArray[np.int16]
RATE = 16000


def tone(seconds: float, amplitude: float = 0.25) -> Int16:
    time = np.arange(round(seconds * RATE)) / RATE
    return np.rint(amplitude * 32768 * np.sin(2 * np.pi * 200 * time)).astype(np.int16)


def test_levels_are_of_the_rms() -> None:
    assert level(tone(1.0)) == pytest.approx(20 * np.log10(0.25 / np.sqrt(2)), abs=0.01)
    assert level(tone(1.0)) - level(tone(1.0, 0.025)) == pytest.approx(20, abs=0.02)
    assert level(np.zeros(100, np.int16)) == -120


def test_single_wrong_samples_are_clicks_and_loud_stretches_are_not() -> None:
    pcm = tone(2.0)
    assert clicks(pcm, RATE) == 0
    for count, at in enumerate((3000, 9000, 21000), start=1):
        pcm[at] += 4000
        assert clicks(pcm, RATE) == count
    bursts = np.random.default_rng(0).normal(size=2 * RATE) * np.repeat([0, 3000], RATE)
    assert clicks(np.asarray(bursts, np.int16), RATE) == 0
    assert clicks(pcm[:100], RATE) == 0
    faint = np.zeros(RATE, np.int16)
    faint[5000] = 100  # inaudible
    assert clicks(faint, RATE) == 0


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert words(" The right half - of the BRAIN,\ndoesn't it? ") == (
        "the right half of the brain doesn't it"
    )


def test_the_recogniser_makes_few_errors_in_the_clip_and_all_in_silence() -> None:
    pytest.importorskip("pocketsphinx", reason="the recogniser is not installed")
    from linnet.audio import read_wav

    pcm, rate = read_wav(str(Path(__file__).parents[1] / "voices" / "slt-heldout.wav"))
    text = "The right half of the brain controls the left half of the body."
    recogniser = Recogniser()
    assert recogniser.errors(pcm, rate, text) <= 3
    assert recogniser.errors(np.zeros(RATE, np.int16), rate, text) == 13
