"""How close one signal comes to another: intelligibility, quality, spectra, level, clicks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from linnet.features.log_mel import hann
from linnet_training.measures.judges import JUDGES, judge

Pcm = NDArray[np.int16]

MEASURES = {
    "stoi": "STOI",
    "pesq": "PESQ-WB",
    "correlation": "log-spectrum correlation",
    "distance": "log-spectral distance, dB",
    "level": "level, dB",
    "clicks": "clicks a minute",
    **JUDGES,
}
CLICK = 12.0  # times the curvature of the signal around it
AUDIBLE = 0.02  # of full scale


def measure(reference: Pcm, other: Pcm, sample_rate: int) -> dict[str, float]:
    """All MEASURES of `other` (n,) against `reference` (n,); NaN where PESQ finds no speech."""
    import librosa
    from pesq import PesqError, pesq
    from pystoi import stoi

    pair = [x.astype(np.float32) / 32768.0 for x in (reference, other)]
    wide = [librosa.resample(x, orig_sr=sample_rate, target_sr=16000) for x in pair]
    score = pesq(16000, wide[0], wide[1], "wb", on_error=PesqError.RETURN_VALUES)
    return {
        "stoi": float(stoi(pair[0], pair[1], sample_rate)),
        "pesq": float(score) if score > 0 else float("nan"),
        "correlation": log_spectrum_correlation(reference, other, sample_rate),
        "distance": log_spectral_distance(reference, other, sample_rate),
        "level": level(other) - level(reference),
        "clicks": clicks_per_minute(other, sample_rate),
        **judge(reference, other, sample_rate),
    }


def log_spectrum_correlation(reference: Pcm, other: Pcm, sample_rate: int) -> float:
    """Pearson correlation over all bins of log magnitudes."""
    a, b = (_log_spectrum(pcm, sample_rate).ravel() for pcm in (reference, other))
    return float(np.corrcoef(a, b)[0, 1])


def log_spectral_distance(reference: Pcm, other: Pcm, sample_rate: int) -> float:
    """Decibels: the root mean square difference of a frame's levels, averaged over frames."""
    a, b = (_log_spectrum(pcm, sample_rate) for pcm in (reference, other))
    return float(np.sqrt(np.mean((20 * (a - b)) ** 2, axis=0)).mean())


def _log_spectrum(pcm: Pcm, sample_rate: int) -> NDArray[np.float64]:
    """log10 of magnitudes (bins, frames), at least 1e-5: 25 ms Hann windows every 12.5 ms."""
    size, hop = round(0.025 * sample_rate), round(0.0125 * sample_rate)
    window = hann({"n_fft": size, "win_length": size, "window": "periodic"})
    padded = np.pad(pcm / 32768.0, size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    return np.asarray(np.log10(np.maximum(np.abs(np.fft.rfft(frames * window)), 1e-5)).T)


def level(pcm: Pcm) -> float:
    """The RMS of (n,) in dB of full scale; -120 for digital silence."""
    rms = float(np.sqrt(np.mean((pcm.astype(np.float64) / 32768.0) ** 2)))
    return 20 * float(np.log10(max(rms, 1e-6)))


def clicks(pcm: Pcm, sample_rate: int) -> int:
    """How many stretches of 25 ms hold a click: a second difference CLICK times the RMS of those in
    the louder of the stretches before and after, and AUDIBLE."""
    curvature = np.abs(np.diff(pcm.astype(np.float64) / 32768.0, 2))
    size = round(0.025 * sample_rate)
    stretches = curvature[: len(curvature) // size * size].reshape(-1, size)
    if len(stretches) < 3:
        return 0
    rms = np.sqrt((stretches**2).mean(axis=1))
    around = np.pad(rms, 1)
    limit = np.maximum(CLICK * np.maximum(around[:-2], around[2:]), AUDIBLE)
    return int((stretches.max(axis=1) > limit).sum())


def clicks_per_minute(pcm: Pcm, sample_rate: int) -> float:
    return clicks(pcm, sample_rate) / (len(pcm) / sample_rate / 60)
