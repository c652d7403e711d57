"""Prepared recordings for a network that models the excitation of a filter."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
NONE = np.empty(0, np.float32)


@dataclass
class Recording:
    """features (n_mels, S + 2 reach) padded with zero frames; signal (S hop,), pre-emphasised;
    once the envelope is known, coefficients (S, order) and gains (S,) of its filters."""

    features: Floats
    signal: Floats
    coefficients: Floats
    gains: Floats

    @property
    def steps(self) -> int:
        """Samples."""
        return len(self.signal)

    def cut(self, at: int, frames: int) -> tuple[Floats, Floats, Floats, Floats]:
        """Signal, coefficients, gains and features of `frames` frames from frame `at`."""
        hop, reach = self.steps // len(self.gains), self.features.shape[1] - len(self.gains)
        return (
            self.signal[at * hop : (at + frames) * hop],
            self.coefficients[at : at + frames],
            self.gains[at : at + frames],
            self.features[:, at : at + frames + reach],
        )


def pre_emphasised(pcm: NDArray[np.int16], alpha: float) -> Floats:
    """s[n] = x[n] - alpha x[n-1] of int16 samples (n,) taken to [-1, 1)."""
    x = pcm.astype(np.float32) / np.float32(32768.0)
    x[1:] -= np.float32(alpha) * x[:-1]
    return x


class LpcCorpus:
    """All recordings of a prepared folder, without filters as yet."""

    def __init__(self, folder: Path, pre_emphasis: float, reach: int) -> None:
        self.index: dict[str, Any] = json.loads((folder / "prepared.json").read_text())
        self.hop = int(self.index["features"]["hop_length"])

        def read(name: str) -> Recording:
            with np.load(folder / f"{name}.npz") as file:
                features = np.pad(file["features"], ((0, 0), (reach, reach)))
                signal = pre_emphasised(file["pcm"], pre_emphasis)
            return Recording(features, signal, np.empty((0, 0), np.float32), NONE)

        self.train = [read(name) for name in self.index["train"]]
        self.held_out = [read(name) for name in self.index["held_out"]]
