"""Hyperparameters of four projects become the features and signals that these projects compute."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from linnet.features import log_mel
from linnet.signal import decode, encode
from linnet_export.families.hparams import expand, from_coqui

librosa = pytest.importorskip("librosa", reason="features need librosa (extra: audio)")

Floats = npt.NDArray[np.float64]


def decibels(x: npt.NDArray[np.float32], floor: float, **mel: Any) -> Floats:
    """20 log10 of librosa's mel amplitudes, one frame per started hop."""
    n_frames = -(-len(x) // mel["hop_length"])
    bands = librosa.feature.melspectrogram(y=x, n_mels=80, power=1, pad_mode="reflect", **mel)
    return np.asarray(20 * np.log10(np.maximum(floor, bands[:, :n_frames])))


def fatchord(x: npt.NDArray[np.float32]) -> Floats:
    mel = decibels(x, 1e-5, sr=22050, n_fft=2048, hop_length=275, win_length=1100, fmin=40)
    return np.clip((mel + 100) / 100, 0, 1)


def real_time_voice_cloning(x: npt.NDArray[np.float32]) -> Floats:
    emphasised = np.append(x[:1], x[1:] - np.float32(0.97) * x[:-1])
    mel = decibels(
        emphasised, 1e-5, sr=16000, n_fft=800, hop_length=200, win_length=800, fmin=55, fmax=7600
    )
    return np.clip(8 * (mel - 20 + 100) / 100 - 4, -4, 4) / 4


def coqui(x: npt.NDArray[np.float32]) -> Floats:
    mel = decibels(x, 1e-8, sr=22050, n_fft=1024, hop_length=256, win_length=1024, fmin=0)
    return np.clip(8 * (mel - 20 + 100) / 100 - 4, -4, 4)


@pytest.mark.parametrize(
    ("preset", "formula"),
    [
        ("fatchord", fatchord),
        ("torchaudio", fatchord),
        ("real-time-voice-cloning", real_time_voice_cloning),
        ("coqui", coqui),
    ],
)
def test_features_are_the_projects(
    preset: str, formula: Callable[[npt.NDArray[np.float32]], Floats]
) -> None:
    definition = expand({"preset": preset}, 512)["features"]
    random = np.random.default_rng(0)
    n = 24 * definition["hop_length"]
    x = (random.standard_normal(n) * np.geomspace(1e-7, 0.3, n)).astype(np.float32)
    found = log_mel(x, definition["sample_rate"], definition)
    # float32 spectra: their logarithms differ where a band is a small difference of large numbers.
    np.testing.assert_allclose(found, formula(x), atol=1e-3)


@pytest.mark.parametrize("mu_law", [True, False])
def test_tokens_are_the_projects(mu_law: bool) -> None:
    """label_2_float and decode_mu_law of fatchord/WaveRNN, 9 bits."""
    signal = expand({"preset": "fatchord", "hparams": {"mu_law": mu_law}}, 512)["signal"]
    tokens = np.arange(512)
    y = 2 * tokens / 511 - 1
    if mu_law:
        y = np.sign(y) / 511 * (512 ** np.abs(y) - 1)
    pcm = decode(tokens, signal)
    np.testing.assert_array_equal(pcm, np.clip(np.rint(y * 32768), -32768, 32767))
    # Near 0 mu-law's steps are finer than a 16-bit sample.
    np.testing.assert_allclose(encode(pcm, signal), tokens, atol=1 if mu_law else 0)


def test_what_the_hparams_say_of_the_network_is_kept_to_be_compared() -> None:
    hparams = {"voc_mode": "RAW", "bits": 10, "voc_upsample_factors": [5, 5, 11], "voc_pad": 2}
    config = expand({"preset": "fatchord", "hparams": hparams, "name": "x"}, 512)
    assert config["network"] == {"mode": "RAW", "pad": 2, "upsample_factors": [5, 5, 11]}
    assert config["signal"] == {
        "bits": 10, "companding": "mu-law", "mu": 1023.0, "pre_emphasis": 0.0
    }  # fmt: skip
    assert config["name"] == "x" and config["architecture"] == "fatchord-wavernn"
    mixture = expand({"preset": "fatchord", "hparams": {"bits": 9, "voc_mode": "MOL"}}, 30)
    assert mixture["signal"] == {
        "bits": 16, "companding": "linear", "grid": "full-scale", "pre_emphasis": 0.0
    }  # fmt: skip
    cloning = expand({"preset": "real-time-voice-cloning", "features": {"n_fft": 1024}}, 512)
    assert cloning["signal"]["pre_emphasis"] == cloning["features"]["pre_emphasis"] == 0.97
    assert cloning["features"]["n_fft"] == 1024


def test_coquis_own_config_is_understood() -> None:
    config = {
        "model": "wavernn",
        "epochs": 10,
        "audio": {"sample_rate": 24000, "hop_length": 300, "mel_fmax": 8000.0, "ref_level_db": 0,
                  "symmetric_norm": False, "max_norm": 1.0, "spec_gain": 1, "log_func": "np.log",
                  "griffin_lim_iters": 60, "stats_path": None},
        "model_args": {"mode": 10, "mulaw": False, "upsample_factors": [5, 6, 10], "pad": 2,
                       "num_res_blocks": 10, "use_aux_net": True},
    }  # fmt: skip
    found = expand(from_coqui(json.loads(json.dumps(config))), 1024)
    assert found["signal"]["bits"] == 10 and found["signal"]["grid"] == "full-scale"
    assert found["network"]["res_blocks"] == 10 and found["network"]["mode"] == "RAW"
    features = found["features"]
    assert (features["hop_length"], features["fmax"], features["log"]) == (300, 8000.0, "ln")
    # gain ln x -> (level + 100) / 100
    assert features["scale"] == pytest.approx(0.01) and features["offset"] == pytest.approx(100)
    assert (features["clip_min"], features["clip_max"]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"preset": "other"}, "'other' is none of fatchord, torchaudio"),
        ({"hparams": {"bits": 9}}, "need a preset"),
        ({"preset": "fatchord", "hparams": {"bit": 9}}, "hparams.bit: fatchord has bits, fmin"),
        ({"preset": "fatchord", "hparams": {"min_level_db": 100}}, "min_level_db must be in"),
        ({"preset": "fatchord", "hparams": {"sample_rate": "22k"}}, "sample_rate must be in"),
        ({"preset": "fatchord", "hparams": {"voc_mode": "GAUSS"}}, "mode 'GAUSS' is none of"),
        ({"preset": "fatchord", "hparams": {"mu_law": "no"}}, "mu_law must be true or false"),
        ({"preset": "fatchord", "hparams": ["bits"]}, "'hparams' is no table"),
        ({"preset": "coqui", "hparams": {"mode": "gauss"}}, "mode 'gauss' is none of"),
        ({"preset": "coqui", "hparams": {"use_aux_net": False}}, "without its residual part"),
        ({"preset": "coqui", "hparams": {"use_upsample_net": False}}, "linear interpolation"),
        ({"preset": "coqui", "hparams": {"stats_path": "a.npy"}}, "every band"),
        ({"preset": "coqui", "hparams": {"log_func": "np.log2"}}, "neither np.log10 nor np.log"),
    ],
)
def test_hparams_that_cannot_be_are_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        expand(config, 512)
    with pytest.raises(ValueError, match="not 'wavernn'"):
        from_coqui({"audio": {}, "model": "hifigan"})
