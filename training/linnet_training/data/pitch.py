"""Recordings with WORLD's pitch, from a prepared folder, at three speeds; and what spoils them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from linnet.features import log_mel
from linnet.features.definition import to_bands, to_features
from linnet.signal import to_int16

Floats = NDArray[np.float32]

SPEEDS = (1.0, 0.9, 1.1)  # of training; what is held out has the first only
LOWEST, HIGHEST = 65.0, 450.0  # Hz, of the pitch that is looked for
LABELS = 3  # of WORLD, a frame: their share that is voiced is the frame's voicing


@dataclass(frozen=True)
class Spoken:
    """features (n_mels, S), f0 (S,) in Hz, 0 where there is none, voiced (S,) 0 .. 1."""

    features: Floats
    f0: Floats
    voiced: Floats


def labels(audio: NDArray[np.float64], rate: int, hop: int) -> tuple[Floats, Floats]:
    """F0 and voicing of every frame, by DIO and StoneMask (Morise et al. 2016, "WORLD")."""
    from linnet_training.measures.judges import world

    period = 1000 * hop / rate / LABELS
    found, times = world().dio(audio, rate, f0_floor=LOWEST, f0_ceil=HIGHEST, frame_period=period)
    f0 = world().stonemask(audio, found, times, rate)
    n = len(f0) // LABELS
    around = np.pad(f0, (1, LABELS - 1))
    voiced = np.mean([around[i : i + LABELS * n : LABELS] > 0 for i in range(LABELS)], axis=0)
    return f0[: LABELS * n : LABELS].astype(np.float32), voiced.astype(np.float32)


def spoken(pcm: NDArray[np.int16], definition: dict[str, Any], speed: float) -> Spoken:
    """A recording (n,), played so much slower or faster."""
    import librosa

    rate, hop = int(definition["sample_rate"]), int(definition["hop_length"])
    audio = pcm.astype(np.float32) / np.float32(32768)
    if speed != 1:
        audio = librosa.resample(audio, orig_sr=rate, target_sr=int(rate / speed))
    features = log_mel(to_int16(audio), rate, definition)
    f0, voiced = labels(audio.astype(np.float64), rate, hop)
    n = min(features.shape[1], len(f0))
    return Spoken(features[:, :n], f0[:n], voiced[:n])


class PitchCorpus:
    """All recordings of a prepared folder; what is found out about them stays in its folder
    `pitch`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index: dict[str, Any] = json.loads((folder / "prepared.json").read_text())
        self.hop = int(self.index["features"]["hop_length"])
        (folder / "pitch").mkdir(exist_ok=True)
        self.train = [
            self.read(name, speed)
            for name in tqdm(self.index["train"], desc="pitch", mininterval=1)
            for speed in SPEEDS
        ]
        self.held_out = [self.read(name, 1.0) for name in self.index["held_out"]]

    def read(self, name: str, speed: float) -> Spoken:
        path = self.folder / "pitch" / f"{name}-{speed}.npz"
        if not path.exists():
            with np.load(self.folder / f"{name}.npz") as file:
                found = spoken(file["pcm"], self.index["features"], speed)
            temporary = path.with_suffix(".tmp.npz")
            np.savez(temporary, features=found.features, f0=found.f0, voiced=found.voiced)
            temporary.replace(path)
        with np.load(path) as file:
            return Spoken(file["features"], file["f0"], file["voiced"])

    def statistics(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and deviation (n_mels,) of the features of training."""
        n = sum(s.features.shape[1] for s in self.train)
        mean = sum(s.features.sum(axis=1, dtype=np.float64) for s in self.train) / n
        squares = sum(((s.features - mean[:, None]) ** 2).sum(axis=1) for s in self.train) / n
        return mean, np.sqrt(squares) + 1e-3


def windows(
    recordings: list[Spoken], rng: np.random.Generator, n: int, frames: int, reach: int, ahead: int
) -> tuple[Floats, Floats, Floats]:
    """features (n, n_mels, frames + reach), f0 (n, frames), voiced (n, frames) from anywhere in the
    recordings, each as often as it is long; `ahead` of the `reach` frames lie behind a window."""
    size = frames + reach
    long = [s for s in recordings if s.features.shape[1] >= size]
    if not long:
        raise ValueError(f"no recording has {size} frames")
    lengths = np.array([s.features.shape[1] for s in long], np.float64)
    cut = []
    for number in rng.choice(len(long), n, p=lengths / lengths.sum()):
        s = long[number]
        at = int(rng.integers(0, s.features.shape[1] - size + 1))
        inside = slice(at + reach - ahead, at + reach - ahead + frames)
        cut.append((s.features[:, at : at + size], s.f0[inside], s.voiced[inside]))
    features, f0, voiced = (np.stack(x) for x in zip(*cut, strict=True))
    return features, f0, voiced


def spoiled(features: Floats, definition: dict[str, Any], rng: np.random.Generator) -> Floats:
    """features (n, n_mels, T) of the same speech by another microphone, in noise, or from an
    acoustic model, whose features are smooth and off by slow errors."""
    from scipy.ndimage import gaussian_filter

    n, bands, _ = features.shape
    place = np.arange(bands)[:, None] / max(bands - 1, 1)
    size = to_bands(features, definition) ** (1 / definition["power"])  # amplitudes
    response = sum(
        rng.normal(0, 0.12, (n, 1, 1))
        * np.cos(np.pi * j * place + rng.uniform(0, np.pi, (n, 1, 1)))
        for j in (1, 2, 3)
    )
    size *= 10 ** (rng.uniform(-0.6, 0.3, (n, 1, 1)) + response)
    level = np.log10(np.maximum(size, 1e-9)).mean(axis=1)
    loud = np.quantile(level, 0.95, axis=1)[:, None, None]
    tilt = rng.normal(0, 0.2, (n, 1, 1)) * (place - 0.5)
    noise = 10 ** (loud - rng.uniform(0.7, 2.5, (n, 1, 1)) + tilt)
    noise = noise * np.exp(rng.normal(0, 0.35, features.shape)) * (rng.random((n, 1, 1)) < 0.4)
    out = to_features(np.sqrt(size**2 + noise**2) ** definition["power"], definition)
    spread = float(definition["scale"]) * 0.06
    for b in np.flatnonzero(rng.random(n) < 0.35):
        out[b] = gaussian_filter(out[b], (rng.uniform(0, 0.9), rng.uniform(0, 1.0)))
        error = gaussian_filter(rng.standard_normal(out[b].shape), (2, 3))
        out[b] += rng.uniform(0, spread) * error / error.std()
    return np.asarray(np.maximum(out, to_features(np.zeros((1, 1)), definition)), np.float32)
