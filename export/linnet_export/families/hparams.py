"""Configs of fatchord/WaveRNN and its relatives, from the hyperparameters of these projects.

Their checkpoints hold weights only. A config with

    preset = "fatchord"         # or "torchaudio", "coqui", "real-time-voice-cloning"
    [hparams]                   # optional: what differs from the published values, in the
    voc_mode = "RAW"            # project's own names

becomes one of the tables `features`, `signal` and `network`. Coqui's config.json is taken as it is.
What the tensors say as well (sizes, bits, mode) need not be there; where it is, it must agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from linnet_export.config import merge
from linnet_export.families.projects import PROJECTS, SIZES

LOGISTICS = 30  # outputs of mode MOL: 10 weights, 10 means, 10 log scales
PRESETS = tuple(PROJECTS)
_MODES = {"RAW": "RAW", "MOL": "MOL", "waveform": "RAW", "mol": "MOL", "mold": "MOL"}
_NETWORK = ("mode", "pad", "upsample_factors", *SIZES)
# Values that another network, or other features, would need.
_FIXED = {
    "use_aux_net": (True, "the network without its residual part"),
    "use_upsample_net": (True, "linear interpolation over the whole utterance"),
    "stats_path": (None, "normalisation by the mean and deviation of every band"),
    "do_amp_to_db_mel": (True, "features without a logarithm"),
}


def from_coqui(config: Mapping[str, Any]) -> dict[str, Any]:
    """Coqui's config.json as a preset with hparams; any other config as it is."""
    audio = config.get("audio")
    if not isinstance(audio, Mapping) or "architecture" in config or "preset" in config:
        return dict(config)
    if config.get("model", "wavernn") != "wavernn":
        raise ValueError(f"config model is {config['model']!r}, not 'wavernn'")
    found = {**audio, **config}
    for table in ("wavernn_model_params", "model_params", "model_args"):
        values = config.get(table) or {}
        if not isinstance(values, Mapping):
            raise ValueError(f"config {table!r} is no table")
        found.update(values)
    known = {key: value for key, value in found.items() if key in PROJECTS["coqui"].names}
    kept = {key: config[key] for key in ("features", "signal", "training") if key in config}
    return {"preset": "coqui", "hparams": known, **kept}


def expand(config: Mapping[str, Any], n_outputs: int) -> dict[str, Any]:
    """A config without preset and hparams, which its tables stand for.

    n_outputs: rows of the network's last layer, which give the bits where nothing else does.
    Raises ValueError naming the key.
    """
    if "preset" not in config:
        if "hparams" in config:
            raise ValueError(f"config hparams need a preset, whose names they are: {_presets()}")
        return dict(config)
    preset = config["preset"]
    if not isinstance(preset, str) or preset not in PROJECTS:
        raise ValueError(f"config preset {preset!r} is none of {_presets()}")
    project, hparams = PROJECTS[preset], config.get("hparams", {})
    if not isinstance(hparams, Mapping):
        raise ValueError("config 'hparams' is no table")
    values = dict(project.published)
    for key, value in hparams.items():
        if key not in project.names:
            raise ValueError(
                f"config hparams.{key}: {preset} has {', '.join(sorted(project.names))}"
            )
        values[project.names[key]] = value
    for key, (wanted, what) in _FIXED.items():
        if values.pop(key, wanted) != wanted:
            raise ValueError(f"config hparams.{key}: {what} is not supported")
    tables = {
        "architecture": "fatchord-wavernn",
        "features": _features(values),
        **_signal(values, n_outputs),
        "training": {"description": f"hyperparameters of {preset}"},
    }
    own = {key: value for key, value in config.items() if key not in ("preset", "hparams")}
    return merge(tables, own)


def _presets() -> str:
    return ", ".join(PRESETS)


def _number(values: Mapping[str, Any], key: str, low: float, high: float) -> float:
    value = values[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(f"config hparams: {key} must be in {low} .. {high}, not {value!r}")
    return value


def _features(values: Mapping[str, Any]) -> dict[str, Any]:
    sample_rate = _number(values, "sample_rate", 1, 384000)
    span = -_number(values, "min_level_db", -1000, -1e-3)
    reference = _number(values, "ref_level_db", -1000, 1000)
    gain = _number(values, "gain", 1e-3, 1000)
    if values["log"] not in ("np.log10", "np.log"):
        raise ValueError(f"config hparams: log {values['log']!r} is neither np.log10 nor np.log")
    # "db" of the stored definition is 20 log10.
    log, gain = ("db", gain / 20) if values["log"] == "np.log10" else ("ln", gain)
    offset, scale = 0.0, gain
    low, high = None, None
    if values["signal_norm"]:
        norm = _number(values, "max_norm", 1e-3, 1000)
        low, high = -norm if values["symmetric"] else 0.0, norm
        # scale (level + offset) = (gain level - reference + span) (high - low) / span + low
        scale = gain * (high - low) / span
        offset = (span - reference + low * span / (high - low)) / gain
    clipped = values["signal_norm"] and values["clip"]
    return {
        "kind": "log-mel",
        "sample_rate": values["sample_rate"],
        "n_fft": values["n_fft"],
        "win_length": values["win_length"],
        "hop_length": values["hop_length"],
        "n_mels": values["num_mels"],
        "fmin": values["fmin"],
        "fmax": sample_rate / 2 if values["fmax"] is None else values["fmax"],
        "mel_scale": "slaney",
        "mel_norm": "slaney",
        "power": 1.0,
        "log": log,
        "floor": values["floor"],
        "offset": offset,
        "scale": scale,
        "clip_min": low if clipped else None,
        "clip_max": high if clipped else None,
        "center": True,
        "pad_mode": values["pad_mode"],
        "pre_emphasis": values["pre_emphasis"],
    }


def _signal(values: Mapping[str, Any], n_outputs: int) -> dict[str, Any]:
    """The tables `signal` and `network`."""
    network = {key: values[key] for key in _NETWORK if key in values}
    mode, bits = network.get("mode"), values.get("bits")
    if isinstance(mode, int) and not isinstance(mode, bool):  # Coqui's: the bits
        network["mode"], bits = "RAW", mode
    elif mode is not None:
        if not isinstance(mode, str) or mode not in _MODES:
            raise ValueError(f"config hparams: mode {mode!r} is none of {', '.join(_MODES)}, bits")
        network["mode"] = _MODES[mode]
    if isinstance(network.get("upsample_factors"), tuple):
        network["upsample_factors"] = list(network["upsample_factors"])
    if not isinstance(values["mu_law"], bool):
        raise ValueError(f"config hparams: mu_law must be true or false, not {values['mu_law']!r}")
    if bits is None:
        bits = max(n_outputs.bit_length() - 1, 1)
    signal: dict[str, Any] = {"bits": bits, "companding": "linear", "grid": "full-scale"}
    if n_outputs == LOGISTICS:
        signal["bits"] = 16
    elif values["mu_law"]:
        signal = {"bits": bits, "companding": "mu-law", "mu": 2.0**bits - 1}
    signal["pre_emphasis"] = values["pre_emphasis"] if values["signal_emphasised"] else 0.0
    return {"signal": signal, "network": network}
