"""Mel scales, and the sums of bins in bands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]

# Slaney's scale (Auditory Toolbox, 1998): 15 mels per 1000 Hz, and from 1000 Hz on 27 per factor
# of 6.4.
_KNEE_HZ, _KNEE_MEL = 1000.0, 15.0
_PER_E = 27.0 / np.log(6.4)


def hz_to_mel(hz: ArrayLike, scale: str) -> Float64:
    """Frequencies in Hz -> mels, on the scale "htk" or "slaney"."""
    f = np.asarray(hz, np.float64)
    if scale == "htk":
        return 2595.0 * np.log10(1.0 + f / 700.0)
    above = _KNEE_MEL + _PER_E * np.log(np.maximum(f, _KNEE_HZ) / _KNEE_HZ)
    return np.where(f < _KNEE_HZ, f * _KNEE_MEL / _KNEE_HZ, above)


def mel_to_hz(mel: ArrayLike, scale: str) -> Float64:
    """Mels on the scale "htk" or "slaney" -> frequencies in Hz."""
    m = np.asarray(mel, np.float64)
    if scale == "htk":
        return 700.0 * (10.0 ** (m / 2595.0) - 1.0)
    above = _KNEE_HZ * np.exp((np.maximum(m, _KNEE_MEL) - _KNEE_MEL) / _PER_E)
    return np.where(m < _KNEE_MEL, m * _KNEE_HZ / _KNEE_MEL, above)


def _edges(wanted: Mapping[str, Any]) -> Float64:
    """Where the bands of a whole definition begin, peak and end, in mels: (n_mels + 2,)."""
    low, high = hz_to_mel([wanted["fmin"], wanted["fmax"]], wanted["mel_scale"])
    edges: Float64 = np.linspace(low, high, wanted["n_mels"] + 2)
    return edges


def bin_frequencies(wanted: Mapping[str, Any]) -> Float64:
    """The frequencies (n_fft // 2 + 1,) of the bins of a whole definition, in Hz."""
    n_fft = wanted["n_fft"]
    return np.arange(n_fft // 2 + 1) * float(wanted["sample_rate"] / n_fft)


def mel_basis(wanted: Mapping[str, Any]) -> NDArray[np.float32]:
    """The weights (n_mels, n_fft // 2 + 1) of bins in the bands of a whole definition."""
    scale = wanted["mel_scale"]
    edges_mel, bins = _edges(wanted), bin_frequencies(wanted)
    edges = mel_to_hz(edges_mel, scale)
    if wanted["mel_triangles"] == "hz":
        sides, place = edges[:, None], bins
    else:
        sides, place = edges_mel[:, None], hz_to_mel(bins, scale)
    rising = (place - sides[:-2]) / (sides[1:-1] - sides[:-2])
    falling = (sides[2:] - place) / (sides[2:] - sides[1:-1])
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    if wanted["mel_norm"] == "slaney":  # the area in Hz is 1
        triangles *= 2.0 / (edges[2:] - edges[:-2])[:, None]
    return triangles.astype(np.float32)


def mel_centres(wanted: Mapping[str, Any]) -> Float64:
    """The centres (n_mels,) of the bands of a whole definition, in Hz."""
    return mel_to_hz(_edges(wanted), wanted["mel_scale"])[1:-1]


class BandSums:
    """The product of a basis and a spectrum, in one fixed order.

    A library's matrix product has another order of sums, and so other last bits, with another
    number of threads. A band has few bins beside each other, so this is no slower.
    """

    def __init__(self, basis: NDArray[Any]) -> None:
        """basis: (n_bands, n_bins)."""
        used = basis != 0
        self.n_bins = basis.shape[1]
        start = np.where(used.any(1), used.argmax(1), 0)
        stop = np.where(used.any(1), self.n_bins - used[:, ::-1].argmax(1), 0)
        width = max(int((stop - start).max(initial=0)), 1)
        # Every band gets the same width; what exceeds it is multiplied by 0.
        self._start = np.minimum(start, max(self.n_bins - width, 0))
        columns = self._start[:, None] + np.arange(min(width, self.n_bins))
        self._weights = np.take_along_axis(basis.astype(np.float64), columns, axis=1)

    def __call__(self, spectrum: Float64) -> Float64:
        """Bins (n_bins, n_frames) -> bands (n_bands, n_frames)."""
        bands = np.zeros((len(self._start), spectrum.shape[1]))
        for k in range(self._weights.shape[1]):
            bands += self._weights[:, k, None] * spectrum[self._start + k]
        return bands
