"""Features: librosa's values, frame counts and alignment, silence, and refusals that say why."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linnet.audio import read_wav
from linnet.features import DEFAULT, complete, log_mel, mel_basis, mel_centres
from linnet.features.bands import BandSums
from linnet.features.definition import to_bands, to_features
from linnet.features.log_mel import first_centre, hann
from linnet.resampling import resample

VOICES = Path(__file__).resolve().parent.parent / "voices"


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


# What librosa can express: whole definitions beside the arguments that it takes.
scales = st.sampled_from(["slaney", "htk"])
norms = st.sampled_from(["slaney", "none"])


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 3000),
    st.sampled_from([(1024, 800, 200), (512, 512, 128), (400, 400, 160), (300, 251, 77)]),
    st.integers(1, 40),
    scales,
    norms,
    st.sampled_from([1.0, 2.0, 1.5]),
    st.booleans(),
    st.sampled_from([(0.0, 8000.0), (55.0, 7600.0)]),
)
def test_equals_librosas_mel_spectrogram(
    n: int,
    sizes: tuple[int, int, int],
    n_mels: int,
    scale: str,
    norm: str,
    power: float,
    center: bool,
    edges: tuple[float, float],
) -> None:
    n_fft, window, hop = sizes
    audio = np.random.default_rng(n).uniform(-0.5, 0.5, n).astype(np.float32)
    definition = {
        **{"n_fft": n_fft, "win_length": window, "hop_length": hop, "n_mels": n_mels},
        **{"mel_scale": scale, "mel_norm": norm, "power": power, "center": center},
        **{"fmin": edges[0], "fmax": edges[1], "log": "none", "floor": 1e-30, "offset": 0.0},
        "scale": 1.0,
    }
    n_frames = -(-n // hop)
    needed = n_frames * hop if center else (n_frames - 1) * hop + n_fft
    with warnings.catch_warnings():  # of bands so narrow that they hold no bin
        warnings.simplefilter("ignore", UserWarning)
        expected = librosa.feature.melspectrogram(
            y=np.pad(audio, (0, max(0, needed - n))), sr=16000, n_fft=n_fft, hop_length=hop,
            win_length=window, n_mels=n_mels, fmin=edges[0], fmax=edges[1], power=power,
            center=center, htk=scale == "htk", norm=None if norm == "none" else norm,
        )[:, :n_frames]  # fmt: skip
    # librosa rounds bins, weights and sums to float32: a rounding each, and one per bin of a sum.
    bins = (mel_basis(complete(definition)) != 0).sum(1).max()
    tolerance = (power + 3 + bins) * np.finfo(np.float32).eps
    expected = np.maximum(expected, 1e-30)
    found = log_mel(audio, 16000, definition)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * expected.max())


@given(st.sampled_from([256, 1000, 2048]), st.integers(1, 128), scales, norms)
@settings(deadline=None, max_examples=25)
def test_weights_equal_librosas(n_fft: int, n_mels: int, scale: str, norm: str) -> None:
    wanted = complete(
        {"n_fft": n_fft, "win_length": 200, "n_mels": n_mels, "mel_scale": scale, "mel_norm": norm}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        expected = librosa.filters.mel(
            sr=16000, n_fft=n_fft, n_mels=n_mels, fmin=50.0, fmax=8000.0,
            htk=scale == "htk", norm="slaney" if norm == "slaney" else None,
        )  # fmt: skip
    # A weight is small where two frequencies nearly cancel, which librosa also takes in float64.
    np.testing.assert_allclose(mel_basis(wanted), expected, rtol=3e-7, atol=1e-7 * expected.max())
    centres = librosa.mel_frequencies(
        n_mels=n_mels + 2, fmin=50.0, fmax=8000.0, htk=scale == "htk"
    )[1:-1]
    np.testing.assert_allclose(mel_centres(wanted), centres, rtol=1e-12)


def test_the_bundled_clip_has_librosas_features() -> None:
    audio, rate = read_wav(VOICES / "slt-heldout.wav")
    mel = librosa.feature.melspectrogram(
        y=audio / np.float32(32768), sr=rate, n_fft=1024, hop_length=200, win_length=800, n_mels=80,
        fmin=50.0, fmax=8000.0, power=1.0,
    )  # fmt: skip
    expected = (np.log10(np.maximum(mel, 1e-5)) + 5.0) * 0.2
    found = log_mel(audio, rate, {})
    np.testing.assert_allclose(found, expected[:, : found.shape[1]], atol=2e-6)


def test_the_number_of_threads_changes_no_bit() -> None:
    program = (
        "import hashlib, numpy as np, linnet;"
        "x = np.random.default_rng(0).uniform(-1, 1, 44100);"
        "mel = linnet.features.log_mel(x, 44100, {});"
        "print(hashlib.sha256(mel.tobytes()).hexdigest())"
    )
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    hashes = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, **dict.fromkeys(names, threads)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for threads in ("1", "2", "7")
    ]
    assert len(hashes[0]) > 60 and len(set(hashes)) == 1


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_sums_of_bands_are_the_product(n_bands: int, n_bins: int, data: st.DataObject) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 1000)))
    basis = random.standard_normal((n_bands, n_bins))
    basis[random.random(basis.shape) < data.draw(st.floats(0, 1))] = 0
    spectrum = random.standard_normal((n_bins, 3))
    found = BandSums(basis)(spectrum)
    bound = n_bins * np.finfo(np.float64).eps * (np.abs(basis) @ np.abs(spectrum))
    assert (np.abs(found - basis @ spectrum) <= bound).all()


def test_pre_emphasis_comes_before_the_transform() -> None:
    audio = np.random.default_rng(3).standard_normal(3000) * 0.1
    filtered = audio - 0.97 * np.append(0.0, audio[:-1])
    before = audio.copy()
    found = log_mel(audio, 16000, {"pre_emphasis": 0.97})
    assert np.array_equal(found, log_mel(filtered, 16000, {})) and np.array_equal(audio, before)
    with pytest.raises(ValueError, match="pre_emphasis"):
        log_mel(audio, 16000, {"pre_emphasis": 1.0})


@pytest.mark.parametrize("center", [True, False, "hop"])
def test_a_click_is_loudest_where_its_frame_is_centred(center: Any) -> None:
    audio = np.zeros(8000)
    audio[4000] = 1.0
    wanted = complete({"center": center})
    loudest = log_mel(audio, 16000, wanted).sum(0).argmax()
    assert abs(first_centre(wanted) + 200 * loudest - 4000) <= 100


@pytest.mark.parametrize("log", ["log10", "ln", "db", "none"])
@pytest.mark.parametrize("floor_by", ["max", "add"])
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_bands_come_back_from_features(log: str, floor_by: str, power: float) -> None:
    definition = {"log": log, "floor_by": floor_by, "power": power, "scale": 0.3, "offset": 2.0}
    wanted = complete(definition)
    mel = np.random.default_rng(4).uniform(1e-3, 5, (80, 7))
    np.testing.assert_allclose(to_bands(to_features(mel, wanted), wanted), mel, rtol=3e-5)


def test_a_symmetric_window_ends_as_it_begins() -> None:
    window = hann(complete({"window": "symmetric"}))[112:912]
    np.testing.assert_allclose(window, np.hanning(800), atol=1e-15)


def test_int16_equals_float() -> None:
    pcm = np.random.default_rng(1).integers(-9000, 9000, 3000).astype(np.int16)
    assert np.array_equal(
        log_mel(pcm, 16000, {}), log_mel(pcm.astype(np.float32) / 32768, 16000, {})
    )


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 24000, 44100, 48000])
def test_resampling_gives_what_a_periodic_signal_is_between_its_samples(rate: int) -> None:
    """Noise below 0.9 of the lower rate's band, which its Fourier series tells at any time."""
    spectrum = np.fft.rfft(np.random.default_rng(5).standard_normal(rate))
    spectrum[int(0.9 * min(rate, 16000) / 2) :] = 0  # a second: bins are 1 Hz wide
    audio = np.fft.irfft(spectrum, rate)
    expected = np.fft.irfft(spectrum, 16000) * (16000 / rate)
    found = resample(audio, rate, 16000)
    assert found.shape == (16000,)
    middle, loudest = slice(1000, -1000), np.abs(audio).max()  # at the ends it is not periodic
    np.testing.assert_allclose(found[middle], expected[middle], atol=4e-6 * loudest)
    librosas = librosa.resample(audio, orig_sr=rate, target_sr=16000, res_type="soxr_hq")
    np.testing.assert_allclose(found[middle], librosas[middle], atol=3e-4 * loudest)


@pytest.mark.parametrize(("rate", "wanted"), [(44100, 16000), (16000, 22050), (16001, 8000)])
def test_a_tone_keeps_its_place_and_what_lies_beyond_goes(rate: int, wanted: int) -> None:
    seconds, lower = 0.7, min(rate, wanted)
    n = round(seconds * rate)
    for frequency, stays in ((0.3 * lower, True), (0.45 * lower, True), (0.5 * lower, False)):
        if 2 * frequency >= rate:
            continue
        tone = resample(np.sin(2 * np.pi * frequency * np.arange(n) / rate), rate, wanted)
        assert len(tone) == -(-n * wanted // rate)
        expected = np.sin(2 * np.pi * frequency * np.arange(len(tone)) / wanted) * stays
        middle = slice(len(tone) // 4, -len(tone) // 4)
        np.testing.assert_allclose(tone[middle], expected[middle], atol=2e-6)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 30000))
def test_a_click_sounds_the_same_wherever_it_comes(before: int) -> None:
    """Blocks leave no joints."""
    click = np.zeros(8000)
    click[3000] = 1.0
    found = resample(np.append(np.zeros(2 * before), click), 16000, 8000)
    np.testing.assert_allclose(found[before:], resample(click, 16000, 8000), atol=1e-7)


@pytest.mark.parametrize("rate", [0, -16000, 16000.5])
def test_a_rate_that_is_none_is_refused(rate: Any) -> None:
    with pytest.raises(ValueError, match="positive whole number"):
        log_mel(np.zeros(10), rate, {})


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
        (np.zeros(100, np.float32), {"win_length": 2000}, "win_length"),
        (np.zeros(100, np.float32), {"center": "middle"}, "center"),
    ],
)
def test_refusals_name_the_reason(audio: Any, definition: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        log_mel(audio, 16000, definition)
