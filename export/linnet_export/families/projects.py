"""Hyperparameters of fatchord/WaveRNN and its relatives: their names, and the published values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Project:
    names: dict[str, str]  # the project's name of a value -> ours
    published: dict[str, Any]  # under our names


# Features: gain times the logarithm of librosa's mel amplitudes, floored; of that, the part from
# min_level_db to 0 above ref_level_db becomes 0 .. max_norm, or -max_norm .. max_norm where
# `symmetric`. The signal is pre-emphasised like the features, or not at all.
_COMMON = {
    "num_mels": 80,
    "fmax": None,  # half the sample rate
    "min_level_db": -100,
    "ref_level_db": 0,
    "symmetric": False,
    "max_norm": 1.0,
    "clip": True,
    "floor": 1e-5,
    "log": "np.log10",
    "gain": 20,
    "pad_mode": "reflect",
    "pre_emphasis": 0.0,
    "signal_emphasised": False,
    "signal_norm": True,
    "mu_law": True,
}
_AUDIO = ("sample_rate", "n_fft", "num_mels", "hop_length", "win_length", "fmin", "min_level_db")
SIZES = ("rnn_dims", "fc_dims", "compute_dims", "res_out_dims", "res_blocks")
_FATCHORD = {
    **{name: name for name in (*_AUDIO, "bits", "mu_law")},
    **{f"voc_{name}": name for name in (*SIZES, "mode", "pad", "upsample_factors")},
}
_LJSPEECH = {
    **_COMMON,
    "sample_rate": 22050,
    "n_fft": 2048,
    "hop_length": 275,
    "win_length": 1100,
    "fmin": 40,
}
PROJECTS = {
    "fatchord": Project(_FATCHORD, _LJSPEECH),
    "torchaudio": Project(
        {
            "sample_rate": "sample_rate",
            "hop_length": "hop_length",
            "win_length": "win_length",
            "f_min": "fmin",
            "min_level_db": "min_level_db",
            "n_freq": "num_mels",
            "n_bits": "bits",
            "mulaw": "mu_law",
            "mode": "mode",
            "upsample_scales": "upsample_factors",
            "n_res_block": "res_blocks",
            "n_rnn": "rnn_dims",
            "n_fc": "fc_dims",
            "n_hidden": "compute_dims",
            "n_output": "res_out_dims",
        },
        _LJSPEECH,
    ),
    "real-time-voice-cloning": Project(
        {
            **_FATCHORD,
            "fmax": "fmax",
            "ref_level_db": "ref_level_db",
            "preemphasis": "pre_emphasis",
        },
        {
            **_COMMON,
            "sample_rate": 16000,
            "n_fft": 800,
            "hop_length": 200,
            "win_length": 800,
            "fmin": 55,
            "fmax": 7600,
            "ref_level_db": 20,
            "symmetric": True,
            "pre_emphasis": 0.97,
            "signal_emphasised": True,
        },
    ),
    "coqui": Project(
        {
            **{name: name for name in (*_AUDIO, *SIZES, "mode", "pad", "upsample_factors")},
            "fft_size": "n_fft",
            "mel_fmin": "fmin",
            "mel_fmax": "fmax",
            "preemphasis": "pre_emphasis",
            "ref_level_db": "ref_level_db",
            "symmetric_norm": "symmetric",
            "max_norm": "max_norm",
            "clip_norm": "clip",
            "signal_norm": "signal_norm",
            "spec_gain": "gain",
            "log_func": "log",
            "stft_pad_mode": "pad_mode",
            "mulaw": "mu_law",
            "padding": "pad",
            "num_res_blocks": "res_blocks",
            "use_aux_net": "use_aux_net",
            "use_upsample_net": "use_upsample_net",
            "stats_path": "stats_path",
            "do_amp_to_db_mel": "do_amp_to_db_mel",
        },
        {
            **_COMMON,
            "sample_rate": 22050,
            "n_fft": 1024,
            "hop_length": 256,
            "win_length": 1024,
            "fmin": 0.0,
            "ref_level_db": 20,
            "symmetric": True,
            "max_norm": 4.0,
            "floor": 1e-8,
        },
    ),
}
