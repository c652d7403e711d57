"""Every preset gives what its project's own formula gives: librosa's transform and bands, and the
project's way to a value."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import numpy.typing as npt
import pytest

from linnet.audio import read_wav
from linnet.features import PRESETS, complete, log_mel, mel_basis
from linnet.features.definition import log_unit, to_bands
from linnet.features.presets import named

Float64 = npt.NDArray[np.float64]
CLIP = Path(__file__).resolve().parent.parent / "voices" / "slt-heldout.wav"


def clip(rate: int) -> Float64:
    """The bundled clip at this rate, from the middle of speech to the middle of speech."""
    audio, original = read_wav(CLIP)
    speech = audio[original : 3 * original] / 32768.0
    return np.asarray(librosa.resample(speech, orig_sr=original, target_sr=rate))


def magnitudes(y: Float64, n_fft: int, hop: int, win: int, **more: Any) -> Float64:
    options: dict[str, Any] = {"center": True, "pad_mode": "reflect", **more}
    return np.asarray(
        np.abs(librosa.stft(y, n_fft=n_fft, hop_length=hop, win_length=win, **options))
    )


def bands(
    spectrum: Float64, rate: int, n_mels: int, low: float, high: float | None, **more: Any
) -> Float64:
    n_fft = 2 * (len(spectrum) - 1)
    with warnings.catch_warnings():  # of bands so narrow that they hold no bin
        warnings.simplefilter("ignore", UserWarning)
        basis = librosa.filters.mel(
            sr=rate, n_fft=n_fft, n_mels=n_mels, fmin=low, fmax=high, **more
        )
    return np.asarray(basis @ spectrum)


def librosas(y: Float64) -> Float64:
    mel = librosa.feature.melspectrogram(y=y, sr=22050)
    return np.asarray(librosa.power_to_db(mel, top_db=None))


def torchaudios(y: Float64) -> Float64:
    power = magnitudes(y, 400, 200, 400) ** 2
    return bands(power, 16000, 128, 0.0, 8000.0, htk=True, norm=None)


def torchaudio_wavernn(y: Float64) -> Float64:
    mel = bands(magnitudes(y, 2048, 275, 1100), 22050, 80, 40.0, 11025.0)
    return np.log(np.maximum(mel, 1e-5))


def hifigan(y: Float64) -> Float64:
    padded = np.pad(y, (1024 - 256) // 2, mode="reflect")
    power = magnitudes(padded, 1024, 256, 1024, center=False) ** 2
    return np.log(np.maximum(bands(np.sqrt(power + 1e-9), 22050, 80, 0, 8000), 1e-5))


def tacotron2(y: Float64) -> Float64:
    return np.log(np.maximum(bands(magnitudes(y, 1024, 256, 1024), 22050, 80, 0, 8000), 1e-5))


def nemo(y: Float64) -> Float64:
    spectrum = magnitudes(y, 1024, 256, 1024, window=np.hanning(1024))
    return np.log(bands(spectrum, 22050, 80, 0, 8000) + 1e-5)


def espnet(y: Float64, rate: int, n_fft: int, hop: int, win: int) -> Float64:
    amplitude = np.sqrt(np.maximum(magnitudes(y, n_fft, hop, win) ** 2, 1e-10))
    return np.log10(np.maximum(bands(amplitude, rate, 80, 80, 7600), 1e-10))


def coqui(y: Float64) -> Float64:
    mel = bands(magnitudes(y, 1024, 256, 1024), 22050, 80, 0, None)
    decibels = 20 * np.log10(np.maximum(1e-8, mel)) - 20  # spec_gain, ref_level_db
    share = (decibels + 100) / 100  # min_level_db
    return np.clip(2 * 4 * share - 4, -4, 4)  # symmetric_norm, max_norm, clip_norm


def fatchord(y: Float64) -> Float64:
    decibels = 20 * np.log10(
        np.maximum(1e-5, bands(magnitudes(y, 2048, 275, 1100), 22050, 80, 40, None))
    )
    return np.clip((decibels + 100) / 100, 0, 1)


def voice_cloning(y: Float64) -> Float64:
    emphasised = np.append(y[0], y[1:] - 0.97 * y[:-1])
    mel = bands(magnitudes(emphasised, 800, 200, 800), 16000, 80, 55, 7600)
    decibels = 20 * np.log10(np.maximum(1e-5, mel)) - 20
    return np.clip(8 * ((decibels + 100) / 100) - 4, -4, 4)


def vocos(y: Float64) -> Float64:
    mel = bands(magnitudes(y, 1024, 256, 1024), 24000, 100, 0, 12000, htk=True, norm=None)
    return np.log(np.maximum(mel, 1e-7))


# The formula, and what the project adds to the amplitude of a bin, at most.
FORMULAS: dict[str, tuple[Callable[[Float64], Float64], float]] = {
    "librosa": (librosas, 0.0),
    "torchaudio": (torchaudios, 0.0),
    "torchaudio-wavernn": (torchaudio_wavernn, 0.0),
    "hifigan-22k": (hifigan, 1e-9**0.5),
    "tacotron2-22k": (tacotron2, 0.0),
    "nemo-22k": (nemo, 0.0),
    "espnet-22k": (lambda y: espnet(y, 22050, 1024, 256, 1024), 1e-5),
    "espnet-24k": (lambda y: espnet(y, 24000, 2048, 300, 1200), 1e-5),
    "coqui-22k": (coqui, 0.0),
    "fatchord": (fatchord, 0.0),
    "real-time-voice-cloning": (voice_cloning, 0.0),
    "vocos-24k": (vocos, 0.0),
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_its_projects_formula(name: str) -> None:
    wanted = complete(PRESETS[name])
    hop = wanted["hop_length"]
    audio = clip(wanted["sample_rate"])
    audio = audio[: len(audio) // hop * hop]
    found = log_mel(audio, wanted["sample_rate"], wanted)
    formula, added = FORMULAS[name]
    expected = formula(audio)[:, : found.shape[1]]
    assert found.shape == expected.shape == (wanted["n_mels"], len(audio) // hop)
    # float32 values, of sums with float32 weights
    tolerance = 1e-6 * np.maximum(np.abs(expected), 1.0)
    if added:  # to a band: that, times its weights
        least = to_bands(found, wanted)
        most = least + added * mel_basis(wanted).sum(1, dtype=np.float64)[:, None]
        tolerance += wanted["scale"] * np.log(most / least) / log_unit(wanted)
    assert (np.abs(found - expected) <= tolerance).all()
    # What is added matters in near silence only.
    assert np.median(tolerance) < 2e-3


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no features are called 'hifi'; known: .*hifigan-22k"):
        named("hifi")
