"""Features of one definition to another: exact where nothing is lost, near where something is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import linnet
from linnet.audio import read_wav
from linnet.cli import main
from linnet.features import PRESETS, complete, convert, log_mel
from linnet.features.bands import mel_basis
from linnet.features.convert import _magnitudes
from linnet.features.definition import to_bands
from voices import tiny_voice

CLIP, RATE = read_wav(Path(__file__).resolve().parent.parent / "voices" / "slt-heldout.wav")
NATIVE = log_mel(CLIP, RATE, {})


def decibels(converted: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """How far features of the default definition are from the clip's, in dB, where it is loud."""
    assert converted.shape == NATIVE.shape and converted.dtype == np.float32
    return np.asarray(100.0 * (converted - NATIVE)[NATIVE > 0.3])


values = st.fixed_dictionaries(
    {
        "log": st.sampled_from(["log10", "ln", "db", "none"]),
        "floor_by": st.sampled_from(["max", "add"]),
        "floor": st.sampled_from([1e-5, 1e-8]),
        "offset": st.floats(-5, 5),
        "scale": st.floats(0.01, 3),
    }
)


@settings(deadline=None, max_examples=40)
@given(values)
def test_other_values_of_the_same_bands_are_converted_exactly(definition: dict[str, Any]) -> None:
    if definition["log"] == "none":
        definition["offset"] = 0.0  # or the quiet bands would be lost in it
    found = convert(log_mel(CLIP[:8000], RATE, definition), definition, {})
    # Levels of up to 100 (dB), and the offset, are told by float32 values.
    eps = float(np.finfo(np.float32).eps) * (100 + abs(definition["offset"]))
    np.testing.assert_allclose(found, log_mel(CLIP[:8000], RATE, {}), atol=eps)


def test_its_own_features_stay_as_they_are() -> None:
    voice = linnet.load("slt")
    found = convert(NATIVE, voice.info()["features"], voice)
    np.testing.assert_allclose(found, NATIVE, atol=3e-7)


# The root of the mean square, in dB, that docs/mels.md states of the same clip, rounded up.
NEAR = {
    "librosa": 5,
    "torchaudio": 5,
    "torchaudio-wavernn": 2,
    "hifigan-22k": 2,
    "tacotron2-22k": 2,
    "nemo-22k": 2,
    "espnet-22k": 2,
    "espnet-24k": 2,
    "coqui-22k": 2,
    "fatchord": 2.5,
    "real-time-voice-cloning": 2,
    "vocos-24k": 2,
}


@pytest.mark.parametrize("name", PRESETS)
def test_converted_features_come_near_those_of_the_voice(name: str) -> None:
    away = decibels(convert(log_mel(CLIP, RATE, PRESETS[name]), name, {}))
    assert np.sqrt(np.mean(away**2)) < NEAR[name]
    assert abs(away.mean()) < 1  # neither louder nor softer on the whole


@pytest.mark.parametrize("name", PRESETS)
def test_the_spectrum_that_is_found_has_the_bands(name: str) -> None:
    wanted = complete(PRESETS[name])
    bands = to_bands(log_mel(CLIP[16000:24000], RATE, wanted), wanted)
    basis = mel_basis(wanted)
    again = basis @ _magnitudes(bands, wanted) ** wanted["power"]
    audible = (bands > 1e-3 * bands.max()) & (basis.sum(1) > 0)[:, None]
    away = 20 / wanted["power"] * np.log10(again[audible] / bands[audible])
    assert np.sqrt(np.mean(away**2)) < 0.3  # dB


def test_time_stays_where_it_was() -> None:
    click = np.zeros(24000)
    click[12000] = 1.0
    for center in (True, False, "hop"):
        theirs = {"sample_rate": 24000, "n_fft": 1200, "hop_length": 240, "win_length": 1200}
        mel = log_mel(click, 24000, {**theirs, "center": center})
        found = convert(mel, {**theirs, "center": center}, {})
        assert found.shape == (80, 80)
        assert abs(found.sum(0).argmax() - 40) <= 1


def test_what_no_band_tells_is_silence() -> None:
    narrow = {"fmin": 1000.0, "fmax": 4000.0}
    found = convert(log_mel(CLIP, RATE, narrow), narrow, {})
    centres = linnet.features.mel_centres(complete({}))
    assert not found[(centres < 900) | (centres > 4200)].any()
    inside = (centres > 1200) & (centres < 3700)
    away = 100 * (found - NATIVE)[inside][NATIVE[inside] > 0.3]
    assert np.sqrt(np.mean(away**2)) < 3


def test_the_number_of_frames_covers_the_same_time() -> None:
    for n in (0, 1, 2, 7):
        found = convert(np.full((80, n), -5.0), "hifigan-22k", {})
        assert found.shape == (80, round(n * 256 / 22050 * 16000 / 200))
        assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("mel", "source", "message"),
    [
        (np.zeros((80, 4)), "hifigan", "no features are called 'hifigan'; known: .*hifigan-22k"),
        (np.zeros((80, 4)), {"hop": 3}, "unknown feature keys"),
        (np.zeros((4, 80)), "hifigan-22k", "transposed"),
        (np.zeros((80, 4)), "vocos-24k", r"must have shape \(100, n_frames\)"),
        (np.full((80, 4), np.nan), "hifigan-22k", "finite"),
    ],
)
def test_what_cannot_be_converted_is_refused(mel: Any, source: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convert(mel, source, {})


def test_a_voice_that_does_not_define_its_features_is_refused() -> None:
    voice = linnet.load(tiny_voice(config={"features": {"kind": "external"}}))
    with pytest.raises(ValueError, match="log-mel"):
        convert(np.zeros((80, 4)), "hifigan-22k", voice)


def test_extreme_features_stay_finite() -> None:
    for value in (-1e30, -100.0, 100.0, 1e30):
        for name in ("hifigan-22k", "torchaudio", "coqui-22k"):
            wanted = complete(PRESETS[name])
            mel = np.full((wanted["n_mels"], 3), value)
            with np.errstate(over="raise", invalid="raise", divide="raise"):
                assert np.isfinite(convert(mel, name, {})).all()


def test_the_command_line_converts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    voice = linnet.load("slt")
    mel = log_mel(CLIP[16000:17600], RATE, PRESETS["hifigan-22k"])
    np.save(tmp_path / "mel.npy", mel)
    out = tmp_path / "out.wav"
    arguments = ["synth", "slt", str(tmp_path / "mel.npy"), "-o", str(out)]
    assert main([*arguments, "--mel-from", "hifigan-22k", "--strict"]) == 0
    expected = voice.synthesize(convert(mel, "hifigan-22k", voice))
    np.testing.assert_array_equal(read_wav(out)[0], expected)
    assert main([*arguments, "--mel-from", "vocos-24k"]) == 1
    assert "mel.npy: features of shape (80, 9); 100" in capsys.readouterr().err
