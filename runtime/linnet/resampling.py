"""Other sample rates: a long linear-phase filter, applied to blocks by Fourier transforms."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_PASS = 0.913  # of the lower rate's band is kept; the filter falls from there to the band's end
_ATTENUATION = 120.0  # dB of what lies beyond
_BLOCK = 16384  # samples of the input, at least


def resample(samples: NDArray[np.float64], rate: int, wanted: int) -> NDArray[np.float64]:
    """Samples (n,) at `rate` Hz -> (ceil(n * wanted / rate),) at `wanted` Hz, without delay.

    Flat to 0.913 of the lower rate's band; images and aliases are 120 dB down. Raises ValueError
    for rates that are not positive whole numbers.
    """
    for each in (rate, wanted):
        if not 1 <= each < math.inf or each != int(each):
            raise ValueError(f"a sample rate must be a positive whole number of Hz, not {each}")
    rate, wanted = int(rate), int(wanted)
    if rate == wanted or not len(samples):
        return samples
    common = math.gcd(rate, wanted)
    down, up = rate // common, wanted // common  # samples of a group, before and after
    taps = _filter(rate, min(rate, wanted) / 2)
    margin = -(-(len(taps) // 2) // down)  # groups at both ends of a block that its edges disturb
    groups = max(4 * margin, -(-_BLOCK // down))
    n_in, n_out, step = groups * down, groups * up, groups - 2 * margin

    # Centred on sample 0, so that the filter delays nothing.
    kernel = np.zeros(n_in)
    kernel[: len(taps)] = taps
    response = np.fft.rfft(np.roll(kernel, -(len(taps) // 2))) * (up / down)
    n = -(-len(samples) * up // down)
    blocks = -(-n // (step * up))
    end = ((blocks - 1) * step + groups) * down
    padded = np.pad(samples, (margin * down, end - margin * down - len(samples)))
    result = np.empty((blocks, step * up))
    for number in range(blocks):
        start = number * step * down
        spectrum = np.fft.rfft(padded[start : start + n_in]) * response
        # irfft leaves out what lies beyond the lower rate's band, or adds zeros.
        result[number] = np.fft.irfft(spectrum, n_out)[margin * up : (margin + step) * up]
    return result.ravel()[:n]


def _filter(rate: int, band: float) -> NDArray[np.float64]:
    """A low-pass at `rate` Hz that ends at `band` Hz, an odd number of taps: Kaiser's design."""
    falling = (1 - _PASS) * band / rate
    half = math.ceil((_ATTENUATION - 7.95) / (14.36 * falling) / 2)
    cutoff = (1 + _PASS) / 2 * band / rate
    window = np.kaiser(2 * half + 1, 0.1102 * (_ATTENUATION - 8.7))
    taps = window * np.sinc(2 * cutoff * np.arange(-half, half + 1))
    return np.asarray(taps / taps.sum())
