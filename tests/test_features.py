"""Features: frame counts and alignment, silence, and refusals that say why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from linnet.features import DEFAULT, log_mel

librosa = pytest.importorskip("librosa", reason="features need librosa (extra: audio)")


@pytest.mark.parametrize("samples", [0, 1, 199, 200, 201, 3999, 4000])
@pytest.mark.parametrize("center", [True, False])
def test_every_started_hop_has_one_frame(samples: int, center: bool) -> None:
    mel = log_mel(np.zeros(samples, np.float32), 16000, {"center": center})
    assert mel.shape == (80, -(-samples // 200)) and mel.dtype == np.float32


def test_silence_is_exactly_zero() -> None:
    assert not log_mel(np.zeros(4000, np.int16), 16000, DEFAULT).any()


def test_a_click_peaks_in_its_own_frame() -> None:
    audio = np.zeros(8000, np.float32)
    audio[20 * 200] = 1.0
    assert log_mel(audio, 16000, {}).sum(0).argmax() == 20


def test_equals_librosas_own_mel_spectrogram() -> None:
    audio = np.random.default_rng(0).standard_normal(4000).astype(np.float32) * 0.1
    mel = librosa.feature.melspectrogram(
        y=audio, sr=16000, n_fft=1024, hop_length=200, win_length=800, n_mels=80, fmin=50.0,
        fmax=8000.0, power=1.0,
    )  # fmt: skip
    expected = (np.log10(np.maximum(mel, 1e-5)) + 5.0) * 0.2
    np.testing.assert_allclose(log_mel(audio, 16000, {}), expected[:, :20], atol=1e-5)


def test_pre_emphasis_comes_before_the_transform() -> None:
    audio = np.random.default_rng(3).standard_normal(3000).astype(np.float32) * 0.1
    filtered = audio - np.float32(0.97) * np.append(np.float32(0), audio[:-1])
    before = audio.copy()
    found = log_mel(audio, 16000, {"pre_emphasis": 0.97})
    assert np.array_equal(found, log_mel(filtered, 16000, {})) and np.array_equal(audio, before)
    with pytest.raises(ValueError, match="pre_emphasis"):
        log_mel(audio, 16000, {"pre_emphasis": 1.0})


def test_int16_equals_float() -> None:
    pcm = np.random.default_rng(1).integers(-9000, 9000, 3000).astype(np.int16)
    assert np.array_equal(
        log_mel(pcm, 16000, {}), log_mel(pcm.astype(np.float32) / 32768, 16000, {})
    )


def test_other_rates_are_resampled() -> None:
    t = np.arange(48000) / 48000
    audio = np.sin(2 * np.pi * 1000 * t).astype(np.float32)
    mel = log_mel(audio, 48000, {})
    same = log_mel(audio[::3], 16000, {})
    assert mel.shape == same.shape == (80, 80)
    assert mel[:, 40].argmax() == same[:, 40].argmax()


def test_logarithms_agree_up_to_their_factor() -> None:
    audio = np.random.default_rng(2).standard_normal(2000).astype(np.float32)
    plain: dict[str, Any] = {"offset": 0.0, "scale": 1.0}
    bels = log_mel(audio, 16000, plain)
    np.testing.assert_allclose(log_mel(audio, 16000, {**plain, "log": "db"}), 20 * bels, atol=1e-4)
    natural = log_mel(audio, 16000, {**plain, "log": "ln"})
    np.testing.assert_allclose(natural, np.log(10) * bels, atol=1e-4)


def test_clipping_is_last() -> None:
    audio = np.random.default_rng(3).standard_normal(2000).astype(np.float32)
    middle = float(np.median(log_mel(audio, 16000, {})))
    mel = log_mel(audio, 16000, {"clip_min": middle - 0.01, "clip_max": middle + 0.01})
    assert mel.min() == np.float32(middle - 0.01) and mel.max() == np.float32(middle + 0.01)


@pytest.mark.parametrize(
    ("audio", "definition", "word"),
    [
        (np.zeros((2, 100), np.float32), {}, "mono"),
        (np.array([0.0, np.nan], np.float32), {}, "NaN"),
        (np.array([0.0, np.inf]), {}, "infinite"),
        (np.zeros(100, np.int64), {}, "int64"),
        (np.zeros(100, np.float32), {"mels": 80}, "mels"),
        (np.zeros(100, np.float32), {"kind": "mfcc"}, "mfcc"),
        (np.zeros(100, np.float32), {"hop_length": 0}, "hop_length"),
    ],
)
def test_refusals_name_the_reason(audio: Any, definition: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        log_mel(audio, 16000, definition)
