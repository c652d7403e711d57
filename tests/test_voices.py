"""Voices that speak: the bundled one, and a third party's that nobody here trained."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import linnet
from linnet.audio import read_wav
from linnet.reference.engine import ReferenceVoice
from linnet_export import export
from linnet_training.measures.audio import log_spectrum_correlation

Int16 = npt.NDArray[np.int16]
ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("LINNET_TEST_DATA", ROOT.parent / "shared" / "data")) / "geneing-wavernn"
VOICE, CLIP = ROOT / "voices" / "slt.linnet", ROOT / "voices" / "slt-heldout.wav"


def clip(voice: linnet.Voice) -> tuple[Int16, npt.NDArray[np.float32]]:
    """The held-out clip and its features."""
    audio, rate = read_wav(CLIP)
    assert rate == voice.sample_rate and audio.dtype == np.int16
    return audio.astype(np.int16), voice.features(audio, rate)


def test_the_bundled_voice_is_as_small_and_sparse_as_it_says() -> None:
    info = linnet.load(VOICE).info()
    assert info["architecture"] == "lpc-wavernn"
    assert (info["sample_rate"], info["signal"]["bits"]) == (16000, 8)
    assert info["hidden_size"] >= 256
    assert (info["block"], info["sparsity"] >= 0.85) == ("4x4", True)
    assert info["file_bytes"] <= 1 << 20


def test_the_bundled_voice_resembles_what_it_vocodes() -> None:
    """0.96 at the time of writing, 0.94 without matching; white noise under the clip's envelope
    reaches 0.63."""
    voice = linnet.load(VOICE)
    audio, mel = clip(voice)
    again = voice.synthesize(mel)[: audio.size]
    assert log_spectrum_correlation(audio, again, voice.sample_rate) > 0.9


def test_silence_stays_silent() -> None:
    voice = linnet.load(VOICE)
    samples = voice.synthesize(np.zeros((voice.n_mels, 80), np.float32))
    assert np.sqrt(np.mean(np.square(samples / 32768))) < 1e-3  # -60 dB of full scale


@pytest.mark.parametrize("kernels", linnet.kernels())
def test_the_bundled_voice_gives_the_references_bits(kernels: str) -> None:
    voice = linnet.load(VOICE, kernels=kernels)
    assert voice.kernels == kernels
    mel = clip(voice)[1][:, 20:28]
    expected = ReferenceVoice(VOICE).synthesize(mel, seed=1)
    np.testing.assert_array_equal(voice.synthesize(mel, seed=1), expected)


@pytest.mark.skipif(not (DATA / "model.bin").exists(), reason=f"no third-party weights in {DATA}")
def test_a_third_partys_voice_says_its_sentence(tmp_path: Path) -> None:
    """A free run over the whole mel beside the recording, whole and streamed."""
    report = export(DATA / "model.bin", tmp_path / "voice.linnet")
    voice = linnet.load(tmp_path / "voice.linnet")
    assert (voice.lookahead, report.lookahead, voice.info()["latency_ms"]) == (2, 2, 25.0)
    mel = np.load(DATA / "mel.npy").T
    audio, rate = read_wav(DATA / "mel.wav")
    recording = np.rint(audio * 32768).clip(-32768, 32767).astype(np.int16)
    whole = voice.synthesize(mel)
    assert log_spectrum_correlation(recording, whole, rate) >= 0.8
    assert voice.score(mel, recording) == pytest.approx(1.88, abs=0.01)
    np.testing.assert_array_equal(np.concatenate(list(voice.stream(mel.T))), whole)
