"""What `linnet-train evaluate` measures of sounds."""

from __future__ import annotations

import ctypes.util
import shutil
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("librosa", reason="measures need it")

from linnet_training.measures.audio import clicks, level  # noqa: E402
from linnet_training.measures.judges import (  # noqa: E402
    dnsmos,
    energy_growth,
    onsets,
    pitch_errors,
    pre_echo,
)
from linnet_training.measures.lpcnet import LPCNet  # noqa: E402
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


def glide(seconds: float, low: float, high: float) -> Int16:
    """A buzz that goes from one pitch to another."""
    n = round(seconds * RATE)
    phase = np.cumsum(np.linspace(low, high, n)) / RATE
    wave = sum(np.cos(2 * np.pi * k * phase) / k for k in range(1, 16))
    return np.rint(4000 * wave).astype(np.int16)


def test_pitch_is_compared_in_cents_and_voicing_by_frames() -> None:
    pytest.importorskip("pyworld", reason="pitch needs WORLD")
    recording, higher = glide(1.5, 120, 180), glide(1.5, 122, 183)
    voicing, cents, gross = pitch_errors(recording, higher, RATE)
    assert cents == pytest.approx(1200 * np.log2(183 / 180), abs=2)
    assert voicing < 0.05 and gross < 0.05
    half = higher.copy()
    half[len(half) // 2 :] = 0
    assert pitch_errors(recording, half, RATE)[0] == pytest.approx(0.5, abs=0.06)
    nothing = pitch_errors(recording, np.zeros_like(recording), RATE)
    assert nothing[0] > 0.85


def test_rumble_and_pre_echo_are_in_decibels() -> None:
    burst = np.concatenate([np.zeros(RATE // 2, np.int16), tone(0.5)])
    assert energy_growth(burst, burst, RATE, 0, 45) == pytest.approx(0, abs=1e-9)
    time = np.arange(len(burst)) / RATE
    rumble = np.rint(300 * np.sin(2 * np.pi * 20 * time)).astype(np.int16)
    assert energy_growth(rumble, rumble * 10, RATE, 0, 45) == pytest.approx(20, abs=0.1)
    assert len(onsets(burst, RATE)) == 1
    early = burst.copy()
    early[RATE // 2 - 400 :] += 33  # -60 dB of full scale where the recording has digital silence
    assert pre_echo(burst, burst, RATE) == pytest.approx(0)
    assert pre_echo(burst, early, RATE) == pytest.approx(20, abs=1)
    assert np.isnan(pre_echo(tone(1.0), tone(1.0), RATE))  # it begins with the tone


# The interface of LPCNet in libcodec2, with samples for features; 400 samples late.
PEER = """
#include <stdlib.h>
#include <string.h>
void *lpcnet_create(void) { return calloc(560, sizeof(float)); }
void *lpcnet_dump_create(void) { return malloc(1); }
static float now[160];
void lpcnet_dump(void *d, float *x, float *features) {
  memcpy(now, x, sizeof now);
  for (int i = 0; i < 55; i++) features[i] = 1;
}
void lpcnet_synthesize(float *past, short *out, float *features, int n, int unused) {
  memmove(past, past + n, 400 * sizeof *past);
  for (int i = 0; i < n; i++) past[400 + i] = now[i];
  for (int i = 0; i < n; i++) out[i] = features[18] || features[35] || !features[36] ? 0 : past[i];
}
"""


def test_lpcnet_gets_frames_and_is_heard_without_its_delay(tmp_path: Path) -> None:
    pytest.importorskip("pystoi", reason="the delay is found by STOI")
    from linnet.audio import read_wav

    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    (tmp_path / "peer.c").write_text(PEER)
    library = tmp_path / "libpeer.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", str(library), str(tmp_path / "peer.c")], check=True
    )
    pcm, _ = read_wav(str(Path(__file__).parents[1] / "voices" / "slt-heldout.wav"))
    np.testing.assert_array_equal(LPCNet(library).resynthesise(pcm), pcm)
    with pytest.raises(OSError, match=r"nothing\.so"):
        LPCNet(tmp_path / "nothing.so")
    without = ctypes.util.find_library("m")
    assert without is not None
    with pytest.raises(ValueError, match="has no LPCNet"):
        LPCNet(Path(without))


def test_a_predicted_mel_is_smooth_and_off_by_a_decibel() -> None:
    pytest.importorskip("scipy", reason="its smoothing is scipy's")
    from linnet.features import complete, log_mel
    from linnet_training.measures.evaluate import predicted

    for definition in ({}, {"log": "db", "power": 2.0, "floor": 1e-10, "offset": 0, "scale": 1}):
        full = complete({"sample_rate": RATE, **definition})
        rng = np.random.default_rng(0)
        mel = log_mel(rng.normal(0, 3000, 2 * RATE).astype(np.int16), RATE, full)
        decibel = 0.01 if not definition else 1.0
        even = np.repeat(mel.mean(axis=1, keepdims=True), mel.shape[1], axis=1)
        even[:] = even.mean()
        errors = (predicted(even, full) - even) / decibel
        assert 0.99 < np.abs(errors).max() < 1.01 and abs(errors.mean()) < 0.05
        made = predicted(mel, full)
        np.testing.assert_array_equal(made, predicted(mel, full))
        assert np.diff(made, axis=1).std() < 0.6 * np.diff(mel, axis=1).std()
        assert np.abs(made.mean() - mel.mean()) < 0.2 * decibel


def test_dnsmos_prefers_speech_to_noise() -> None:
    pytest.importorskip("speechmos", reason="DNSMOS's weights are in it")
    pytest.importorskip("onnxruntime", reason="DNSMOS's network needs it")
    from linnet.audio import read_wav

    pcm, rate = read_wav(str(Path(__file__).parents[1] / "voices" / "slt-heldout.wav"))
    noise = np.random.default_rng(0).normal(0, 3000, 2 * rate).astype(np.int16)
    assert dnsmos(pcm, rate) > dnsmos(noise, rate) + 1


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
