"""From audio to features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from linnet.features.bands import BandSums, mel_basis
from linnet.features.definition import complete, to_features
from linnet.resampling import resample
from linnet.signal import to_float

LOUDEST = 8.0  # of floating-point audio: 18 dB above full scale is no recording, but other units
_FRAMES = 512  # transformed at a time: a few MB


def log_mel(
    audio: ArrayLike, sample_rate: int, definition: Mapping[str, Any]
) -> NDArray[np.float32]:
    """Mono audio (n_samples,), float in [-1, 1] or int16 -> (n_mels, n_frames) float32.

    n_frames = ceil(n_samples / hop_length) after resampling to the definition's rate; frame t
    conditions samples t * hop_length to (t + 1) * hop_length - 1. Sums are float64, in an order
    that does not depend on the number of threads.
    """
    wanted = complete(definition)
    samples = resample(_mono(audio), sample_rate, wanted["sample_rate"])
    hop, n_fft = wanted["hop_length"], wanted["n_fft"]
    n_frames = -(-len(samples) // hop)
    if n_frames == 0:
        return np.zeros((wanted["n_mels"], 0), np.float32)
    if wanted["pre_emphasis"]:
        samples[1:] -= wanted["pre_emphasis"] * samples[:-1].copy()
    frames = np.lib.stride_tricks.sliding_window_view(_padded(samples, n_frames, wanted), n_fft)
    window, sums = hann(wanted), BandSums(mel_basis(wanted))
    mel = np.empty((wanted["n_mels"], n_frames))
    for first in range(0, n_frames, _FRAMES):
        last = min(first + _FRAMES, n_frames)
        bins = np.fft.rfft(frames[first * hop : (last - 1) * hop + 1 : hop] * window)
        squares = np.ascontiguousarray((bins.real**2 + bins.imag**2).T)
        mel[:, first:last] = sums(_raised(squares, wanted["power"]))
    return to_features(mel, wanted)


def hann(wanted: Mapping[str, Any]) -> NDArray[np.float64]:
    """The window of a whole definition, (n_fft,): zeros, win_length of a Hann window, zeros."""
    length, n_fft = wanted["win_length"], wanted["n_fft"]
    period = length if wanted["window"] == "periodic" else max(length - 1, 1)
    window = np.zeros(n_fft)
    before = (n_fft - length) // 2
    window[before : before + length] = 0.5 - 0.5 * np.cos(2 * np.pi / period * np.arange(length))
    return window


def first_centre(wanted: Mapping[str, Any]) -> float:
    """The sample that stands in the middle of frame 0's window."""
    if wanted["center"] == "hop":
        return float(wanted["hop_length"] / 2)
    return 0.0 if wanted["center"] else float(wanted["n_fft"] / 2)


def _mono(audio: ArrayLike) -> NDArray[np.float64]:
    samples = np.asarray(audio)
    if samples.ndim != 1:
        raise ValueError(f"audio must be mono (n_samples,), not of shape {samples.shape}")
    if samples.dtype == np.int16:
        return to_float(samples)
    if not np.issubdtype(samples.dtype, np.floating):
        raise ValueError(f"audio must be float or int16, not {samples.dtype}")
    if not np.isfinite(samples).all():
        raise ValueError("audio contains NaN or infinite samples")
    loudest = np.abs(samples).max(initial=0)
    if loudest > LOUDEST:
        raise ValueError(
            f"audio of floating point lies in [-1, 1], but {loudest:g} came: divide 16-bit samples"
            " by 32768, or pass them as int16"
        )
    return to_float(samples)


def _padded(
    samples: NDArray[np.float64], n_frames: int, wanted: Mapping[str, Any]
) -> NDArray[np.float64]:
    """Samples with what the windows of all frames see before and behind them."""
    hop, n_fft = wanted["hop_length"], wanted["n_fft"]
    needed = (n_frames - 1) * hop + n_fft
    if wanted["center"] is False:
        return np.pad(samples, (0, max(0, needed - len(samples))))
    # Zeros behind the end give every hop its frame; only then comes what the mode says.
    samples = np.pad(samples, (0, n_frames * hop - len(samples)))
    before = n_fft // 2 if wanted["center"] is True else (n_fft - hop) // 2
    behind = max(0, needed - before - len(samples))
    if wanted["pad_mode"] == "reflect" and len(samples) <= max(before, behind):
        raise ValueError(f"reflect padding needs more than {max(before, behind)} samples")
    return np.pad(samples, (before, behind), mode=wanted["pad_mode"])


def _raised(squares: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    """Squared magnitudes -> magnitudes to the `power`."""
    if power == 1:
        return np.sqrt(squares)
    return squares if power == 2 else np.power(squares, power / 2)
