"""From the features of another project to those of a voice.

Where both have the same bands of the same frames, only the way from a band to its value differs,
and conversion is exact, above the higher floor. Otherwise a spectrum is sought whose bands are the
given ones; it is what the bands tell of it, smooth within each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from linnet.arguments import checked_mel
from linnet.features.bands import BandSums, bin_frequencies, mel_basis, mel_centres
from linnet.features.definition import complete, to_bands, to_features
from linnet.features.log_mel import first_centre, hann
from linnet.features.presets import named

Float64 = NDArray[np.float64]

# What makes bands of audio, as against what makes values of bands.
_OF_BANDS = (
    *("sample_rate", "n_fft", "win_length", "hop_length", "n_mels", "fmin", "fmax", "mel_scale"),
    *("mel_norm", "mel_triangles", "power", "center", "window", "pre_emphasis"),
)
_ROUNDS = 30  # of the search for a spectrum
# The mean magnitude of noise, beside the root of its mean square (Rayleigh's distribution).
_MEAN_OVER_RMS = math.sqrt(math.pi) / 2


class HasFeatures(Protocol):
    """A voice."""

    def info(self) -> dict[str, Any]: ...


def convert(
    mel: ArrayLike, source: str | Mapping[str, Any], voice: HasFeatures | Mapping[str, Any]
) -> NDArray[np.float32]:
    """Features (n_mels, n_frames) of another project -> those (n_mels, n_frames) of a voice.

    source: a name of `linnet.features.PRESETS`, or a definition with the keys of
    `linnet.features.DEFAULT`; what it leaves out is as there. voice: a voice, or a definition.
    Where hops differ, the number of frames becomes that which covers the same time.
    Raises ValueError for features or definitions that do not fit, and for a voice that does not
    define its features as log-mel bands.
    """
    theirs = complete(named(source) if isinstance(source, str) else source)
    ours = complete(_definition(voice))
    features = checked_mel(mel, theirs["n_mels"]).T
    bands = to_bands(features, theirs)
    if all(theirs[key] == ours[key] for key in _OF_BANDS):
        return to_features(bands, ours)
    magnitudes = _magnitudes(bands, theirs)
    magnitudes *= math.sqrt(_density(ours) / _density(theirs))
    if theirs["power"] != 1 and ours["power"] == 1:
        magnitudes *= _MEAN_OVER_RMS
    elif theirs["power"] == 1 and ours["power"] != 1:
        magnitudes /= _MEAN_OVER_RMS
    spectrum = _at_bins(magnitudes, theirs, ours)
    converted = to_features(BandSums(mel_basis(ours))(spectrum ** ours["power"]), ours)
    return _at_frames(converted, theirs, ours)


def _definition(voice: HasFeatures | Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = voice if isinstance(voice, Mapping) else voice.info()["features"]
    if found.get("kind", "log-mel") != "log-mel":
        raise ValueError("features are converted for voices that define theirs as log-mel bands")
    return found


def _density(wanted: Mapping[str, Any]) -> float:
    """The mean square of a bin of noise that has a power of 1 per Hz. Harmonics that a band holds
    several of have that mean, too."""
    return float(wanted["sample_rate"] * np.sum(hann(wanted) ** 2))


def _magnitudes(bands: Float64, wanted: Mapping[str, Any]) -> Float64:
    """Bands (n_mels, n_frames) -> magnitudes (n_fft // 2 + 1, n_frames) that have these bands.

    From what is between the centres of the bands, by Richardson's and Lucy's iteration: each round
    multiplies every bin by how much its bands lack. Bins in no band are 0.
    """
    basis = mel_basis(wanted).astype(np.float64)
    sums, back = BandSums(basis), BandSums(np.ascontiguousarray(basis.T))
    weights, shares = basis.sum(1), basis.sum(0)
    seen = weights > 0  # a narrow band may hold no bin
    frequencies = bin_frequencies(wanted)
    level = np.log(np.maximum(bands[seen] / weights[seen, None], 1e-30))
    spectrum = np.exp(_interpolated(level, mel_centres(wanted)[seen], frequencies))
    spectrum[shares == 0] = 0
    for _ in range(_ROUNDS):
        have = np.maximum(sums(spectrum), 1e-30)
        spectrum *= back(bands / have) / np.where(shares > 0, shares, 1.0)[:, None]
    return np.asarray(spectrum ** (1 / wanted["power"]))


def _at_bins(magnitudes: Float64, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Float64:
    """Magnitudes at the bins of another definition; 0 where theirs tell nothing."""
    here, there = bin_frequencies(theirs), bin_frequencies(ours)
    at = np.minimum(there, min(theirs["fmax"], here[-1]))
    spectrum = _interpolated(magnitudes * _undone(here, theirs)[:, None], here, at)
    spectrum *= 1 / _undone(there, ours)[:, None]
    spectrum[at < there] = 0
    return spectrum


def _undone(frequencies: Float64, wanted: Mapping[str, Any]) -> Float64:
    """What takes the pre-emphasis from magnitudes at these frequencies."""
    turn = np.exp(-2j * np.pi * frequencies / wanted["sample_rate"])
    return np.asarray(1 / np.abs(1 - wanted["pre_emphasis"] * turn))


def _at_frames(
    features: NDArray[np.float32], theirs: Mapping[str, Any], ours: Mapping[str, Any]
) -> NDArray[np.float32]:
    """Features of their frames -> of ours, which cover the same time."""
    hop, rate = theirs["hop_length"] / theirs["sample_rate"], ours["sample_rate"]
    n = features.shape[1]
    wanted = round(n * hop * rate / ours["hop_length"])
    if n == 0 or wanted == 0:
        return np.zeros((len(features), 0), np.float32)
    here = np.arange(n) * hop + first_centre(theirs) / theirs["sample_rate"]
    there = (np.arange(wanted) * ours["hop_length"] + first_centre(ours)) / rate
    return np.ascontiguousarray(_interpolated(features.T, here, there).T, dtype=np.float32)


def _interpolated(values: NDArray[Any], places: Float64, wanted: Float64) -> Float64:
    """Rows (n, ...) that stand at rising places (n,) -> rows at the wanted ones; the ends go on."""
    place = np.interp(wanted, places, np.arange(len(places)))
    before = np.minimum(place.astype(int), max(len(places) - 2, 0))
    share = (place - before)[:, None]
    after = np.minimum(before + 1, len(places) - 1)
    return np.asarray(values[before] * (1 - share) + values[after] * share)
