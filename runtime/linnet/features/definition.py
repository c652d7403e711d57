"""Which features: a `definition`, a dict of plain values, and what it makes of the bands.

Every key of `DEFAULT` may be left out. The value of a band is (log(max(mel, floor)) + offset) *
scale, so with the defaults digital silence is 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

DEFAULT: dict[str, Any] = {
    "kind": "log-mel",
    "sample_rate": 16000,
    "n_fft": 1024,
    "win_length": 800,
    "hop_length": 200,
    "n_mels": 80,
    "fmin": 50.0,
    "fmax": 8000.0,
    "mel_scale": "slaney",  # or "htk"
    "mel_norm": "slaney",  # or "none"
    "mel_triangles": "hz",  # or "mel": on which scale the sides of a band's triangle are straight
    "power": 1.0,  # of the magnitude: 1 amplitude, 2 power
    "log": "log10",  # or "ln", "db" (20 log10 of an amplitude, 10 log10 of a power), "none"
    "floor": 1e-5,
    "floor_by": "max",  # max(mel, floor); or "add": mel + floor
    "offset": 5.0,
    "scale": 0.2,
    "clip_min": None,
    "clip_max": None,
    "center": True,  # frame t is centred on sample t * hop; False: it begins there; "hop": centred
    # on the middle of its hop
    "window": "periodic",  # a Hann window; or "symmetric"
    "pad_mode": "constant",
    "pre_emphasis": 0.0,  # y[n] = x[n] - pre_emphasis x[n - 1] before all else
}
_CHOICES: dict[str, tuple[Any, ...]] = {
    "kind": ("log-mel",),
    "mel_scale": ("slaney", "htk"),
    "mel_norm": ("slaney", "none"),
    "mel_triangles": ("hz", "mel"),
    "log": ("log10", "ln", "db", "none"),
    "floor_by": ("max", "add"),
    "center": (True, False, "hop"),
    "window": ("periodic", "symmetric"),
    "pad_mode": ("constant", "reflect", "edge"),
}


def complete(definition: Mapping[str, Any]) -> dict[str, Any]:
    """`definition` with the defaults filled in; ValueError names an unknown key or choice."""
    unknown = set(definition) - set(DEFAULT)
    if unknown:
        raise ValueError(f"unknown feature keys: {sorted(unknown)}; known: {sorted(DEFAULT)}")
    full = {**DEFAULT, **definition}
    for key, choices in _CHOICES.items():
        if full[key] not in choices:
            raise ValueError(f"feature {key} must be one of {choices}, not {full[key]!r}")
    for key in ("sample_rate", "n_fft", "win_length", "hop_length", "n_mels", "floor", "power"):
        if not full[key] > 0:
            raise ValueError(f"feature {key} must be positive, not {full[key]!r}")
    if full["win_length"] > full["n_fft"]:
        raise ValueError(
            f"feature win_length must be at most n_fft, {full['n_fft']}, not {full['win_length']}"
        )
    if full["center"] == "hop" and full["hop_length"] > full["n_fft"]:
        raise ValueError(f"feature center 'hop' needs a hop of at most n_fft, {full['n_fft']}")
    if not -1 < full["pre_emphasis"] < 1:
        raise ValueError(
            f"feature pre_emphasis must be within (-1, 1), not {full['pre_emphasis']!r}"
        )
    return full


def to_features(mel: NDArray[np.float64], wanted: Mapping[str, Any]) -> NDArray[np.float32]:
    """Bands (n_mels, n_frames) -> features, of a whole definition.

    In float64, rounded once: the logarithm of the floor is exact enough that silence comes out as
    exactly 0 where the definition says so.
    """
    floor = wanted["floor"]
    floored = np.maximum(mel, floor) if wanted["floor_by"] == "max" else mel + floor
    if wanted["log"] == "none":
        level = floored
    else:
        level = np.log(floored) if wanted["log"] == "ln" else np.log10(floored)
        level *= 20.0 / wanted["power"] if wanted["log"] == "db" else 1.0
    value = (level + wanted["offset"]) * wanted["scale"]
    if wanted["clip_min"] is not None or wanted["clip_max"] is not None:
        value = np.clip(value, wanted["clip_min"], wanted["clip_max"])
    return np.ascontiguousarray(value, dtype=np.float32)


def to_bands(features: NDArray[Any], wanted: Mapping[str, Any]) -> NDArray[np.float64]:
    """Features (n_mels, n_frames) -> bands, as far as floor and clipping left them."""
    level = features.astype(np.float64) / wanted["scale"] - wanted["offset"]
    if wanted["log"] == "none":
        mel = level
    else:
        mel = np.exp(np.minimum(level * log_unit(wanted), 300.0))  # its square is still a float64
    bands: NDArray[np.float64] = np.maximum(
        mel - (wanted["floor"] if wanted["floor_by"] == "add" else 0.0), 0.0
    )
    return bands


def log_unit(wanted: Mapping[str, Any]) -> float:
    """The natural logarithm of a band per unit of its logarithm in a whole definition."""
    in_decibels = math.log(10) * float(wanted["power"]) / 20
    return {"ln": 1.0, "log10": math.log(10), "db": in_decibels}[wanted["log"]]
