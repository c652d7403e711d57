"""Whether features can be those that a voice was trained on, and whose they look like."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linnet.features.bands import bin_frequencies, mel_basis
from linnet.features.definition import complete, to_features
from linnet.features.log_mel import hann
from linnet.features.presets import PRESETS

_FAR = 0.5  # of the range, beyond it
_UNLIKELY = 4.0  # deviations of the mean of an utterance
_LOGARITHMS = {
    "log10": "decimal logarithms",
    "ln": "natural logarithms",
    "db": "decibels",
    "none": "amplitudes or powers without a logarithm",
}


@dataclass(frozen=True)
class Range:
    """What the features of a voice are: values, and of those of its training their mean and
    deviation."""

    least: float
    most: float
    mean: float | None = None
    deviation: float | None = None

    def far(self, features: NDArray[Any]) -> bool:
        """Whether a value lies far outside, or all of them are on the whole far from the usual."""
        if features.size == 0:
            return False
        margin = _FAR * (self.most - self.least)
        if features.min() < self.least - margin or features.max() > self.most + margin:
            return True
        if self.mean is None or self.deviation is None:
            return False
        off = abs(float(features.mean(dtype=np.float64)) - self.mean)
        return off > _UNLIKELY * max(self.deviation, 1e-6)


def seen(metadata: Mapping[str, Any]) -> Range | None:
    """The range of a voice's features: that of its training, else that of its definition; None
    where neither is known."""
    noted = metadata.get("training")
    noted = noted.get("feature_range") if isinstance(noted, Mapping) else None
    if isinstance(noted, Mapping):
        values = [noted.get(key) for key in ("least", "most", "mean", "deviation")]
        if all(isinstance(v, int | float) and math.isfinite(v) for v in values):
            found = Range(*map(float, values))  # type: ignore[arg-type]
            if found.least < found.most:
                return found
    definition = metadata.get("features", {})
    if definition.get("kind") != "log-mel":
        return None
    try:
        return defined(complete(definition))
    except (ValueError, TypeError):
        return None  # what computes features refuses it by name


def defined(wanted: Mapping[str, Any]) -> Range:
    """From silence to the loudest sine, of a whole definition."""
    basis = mel_basis(wanted).astype(np.float64)
    peak = np.abs(np.fft.fft(hann(wanted))) / 2  # of a sine on a bin, from there on
    loudest = basis.argmax(1)
    emphasis = np.exp(-2j * np.pi * bin_frequencies(wanted)[loudest] / wanted["sample_rate"])
    distance = np.abs(np.arange(basis.shape[1]) - loudest[:, None])
    sine = peak[distance] * np.abs(1 - wanted["pre_emphasis"] * emphasis)[:, None]
    bands = (basis * sine ** wanted["power"]).sum(1)
    values = to_features(np.stack([np.zeros_like(bands), bands]), wanted)
    return Range(float(values.min()), float(values.max()))


def likely(features: NDArray[Any]) -> str | None:
    """The name of the other project whose features (n_mels, n_frames) these look like.

    Of those whose range holds all of them: with as many bands, whose loudest are near the top, and
    a narrow range. Of several alike, the first of the presets.
    """
    found = []
    for name, preset in PRESETS.items():
        wanted = complete(preset)
        range_ = defined(wanted)
        span = range_.most - range_.least
        top = (range_.most - float(features.max())) / span
        if top >= -0.05 and features.min() >= range_.least - 0.05 * span:
            found.append((wanted["n_mels"] != len(features), top > 0.25, span, name))
    if not found:
        return None
    others, low, narrowest, _ = min(found)
    for other, is_low, span, name in found:
        if (other, is_low) == (others, low) and span < 1.25 * narrowest:
            return name
    return None


def complaint(features: NDArray[Any], voice: Range, definition: Mapping[str, Any]) -> str:
    """What is wrong with features (n_mels, n_frames) that are far from a voice's."""
    text = (
        f"features from {features.min():.4g} to {features.max():.4g} are not this voice's: those"
        f" go from {voice.least:.4g} to {voice.most:.4g}"
    )
    if definition.get("kind") == "log-mel":
        text += f", {formula(complete(definition))}"
    name = likely(features)
    if name is None:
        return text
    return (
        f"{text}. They look like {_LOGARITHMS[complete(PRESETS[name])['log']]}, such as those of"
        f" {name!r}: linnet.features.convert(mel, {name!r}, voice), or --mel-from {name}"
    )


def formula(wanted: Mapping[str, Any]) -> str:
    """How a value follows from its band in a whole definition, as text."""
    floor = f"{wanted['floor']:g}"
    text = f"max(mel, {floor})" if wanted["floor_by"] == "max" else f"mel + {floor}"
    if wanted["log"] != "none":
        name = f"{20 / wanted['power']:g} log10" if wanted["log"] == "db" else wanted["log"]
        text = f"{name}({text})"
    if wanted["offset"]:
        text = f"({text} {'+' if wanted['offset'] > 0 else '-'} {abs(wanted['offset']):g})"
    return text if wanted["scale"] == 1 else f"{text} * {wanted['scale']:g}"
