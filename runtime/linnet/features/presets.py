"""The features of other projects, by name: what their acoustic models make."""

from __future__ import annotations

from typing import Any

# The logarithm of a band itself.
_PLAIN = {"offset": 0.0, "scale": 1.0}
_LN = {**_PLAIN, "log": "ln"}
_22K = {"sample_rate": 22050, "n_fft": 1024, "win_length": 1024, "hop_length": 256, "n_mels": 80}
_LJSPEECH = {**_22K, "fmin": 0.0, "fmax": 8000.0, "pad_mode": "reflect"}
_WAVERNN = {**_22K, "n_fft": 2048, "win_length": 1100, "hop_length": 275, "pad_mode": "reflect"}
_ESPNET = {**_PLAIN, "log": "log10", "fmin": 80.0, "fmax": 7600.0, "pad_mode": "reflect"}
# 20 log10 of the amplitude, of which -80 .. 20 dB become -4 .. 4.
_SYMMETRIC = {"log": "db", "offset": 30.0, "scale": 0.08, "clip_min": -4.0, "clip_max": 4.0}

PRESETS: dict[str, dict[str, Any]] = {
    # librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=22050)), but for top_db
    "librosa": {
        **{**_PLAIN, **_22K, "n_fft": 2048, "win_length": 2048, "hop_length": 512, "n_mels": 128},
        **{"fmin": 0.0, "fmax": 11025.0, "power": 2.0, "log": "db", "floor": 1e-10},
    },
    # torchaudio.transforms.MelSpectrogram(): powers, without a logarithm
    "torchaudio": {
        **{**_PLAIN, "n_fft": 400, "win_length": 400, "hop_length": 200, "n_mels": 128},
        **{"fmin": 0.0, "mel_scale": "htk", "mel_norm": "none", "power": 2.0, "log": "none"},
        **{"floor": 1e-30, "pad_mode": "reflect"},
    },
    "hifigan-22k": {**_LN, **_LJSPEECH, "center": "hop"},
    "tacotron2-22k": {**_LN, **_LJSPEECH},  # NVIDIA's
    "nemo-22k": {**_LN, **_LJSPEECH, "floor_by": "add", "window": "symmetric"},  # FastPitch's
    # the Tacotron 2 of torchaudio.pipelines.TACOTRON2_WAVERNN_*
    "torchaudio-wavernn": {**_LN, **_WAVERNN, "fmin": 40.0, "fmax": 11025.0},
    # before its normalisation by mean and variance; its floor, 1e-5, is that of every bin
    "espnet-22k": {**_22K, **_ESPNET, "floor": 1e-5 * 1024 / 22050},
    "espnet-24k": {
        **_ESPNET,
        **{"sample_rate": 24000, "n_fft": 2048, "win_length": 1200, "hop_length": 300},
        **{"n_mels": 80, "floor": 1e-5 * 2048 / 24000},
    },
    "coqui-22k": {**_LJSPEECH, **_SYMMETRIC, "fmax": 11025.0, "floor": 1e-8},
    "fatchord": {
        **{**_WAVERNN, "fmin": 40.0, "fmax": 11025.0, "log": "db", "offset": 100.0, "scale": 0.01},
        **{"clip_min": 0.0, "clip_max": 1.0},
    },
    # what its synthesizer makes; its vocoder divides by 4
    "real-time-voice-cloning": {
        **{**_SYMMETRIC, "n_fft": 800, "win_length": 800, "fmin": 55.0, "fmax": 7600.0},
        **{"pad_mode": "reflect", "pre_emphasis": 0.97},
    },
    "vocos-24k": {
        **{**_LN, **_22K, "sample_rate": 24000, "n_mels": 100, "fmin": 0.0, "fmax": 12000.0},
        **{"mel_scale": "htk", "mel_norm": "none", "floor": 1e-7, "pad_mode": "reflect"},
    },
}


def named(name: str) -> dict[str, Any]:
    """The definition of another project's features. Raises ValueError listing the names."""
    if name not in PRESETS:
        raise ValueError(f"no features are called {name!r}; known: {', '.join(PRESETS)}")
    return PRESETS[name]
