"""Prepared recordings for a network that models the excitation of a filter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass
class Recording:
    """features (n_mels, S + 2 reach) padded with zero frames; signal (S hop,), pre-emphasised;
    once the envelope is known, coefficients (S, order) and gains (S,) of its filters."""

    features: Floats
    signal: Floats
    coefficients: Floats
    gains: Floats


def pre_emphasised(pcm: NDArray[np.int16], alpha: float) -> Floats:
    """s[n] = x[n] - alpha x[n-1] of int16 samples (n,) taken to [-1, 1)."""
    x = pcm.astype(np.float32) / np.float32(32768.0)
    x[1:] -= np.float32(alpha) * x[:-1]
    return x


def read(folder: Path, names: list[str], alpha: float, reach: int) -> list[Recording]:
    """Recordings of a prepared folder, without filters as yet."""
    found = []
    for name in names:
        with np.load(folder / f"{name}.npz") as file:
            features = np.pad(file["features"], ((0, 0), (reach, reach)))
            signal = pre_emphasised(file["pcm"], alpha)
        found.append(Recording(features, signal, np.empty((0, 0), np.float32), np.empty(0, np.float32)))
    return found
