"""The phases of the low harmonics of speech, their mean over recordings: `phases` of a config.

Each frame's excitation has its own time of the pulse, and each recording its own polarity. Both are
found in turns with the mean phases: the time and polarity at which the harmonics agree best with
the mean, then the mean of the harmonics at those. A constant delay, which is a phase that grows
with the frequency, and half a turn stay open: the result is the one that neither rises nor falls on
average, within a quarter of a turn of 0.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from linnet_training.measures.judges import PERIOD, fundamental

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]
Harmonics = tuple[float, Complex]  # a frame: its F0 in Hz, its harmonics from the first on

SPACING, TOP = 62.5, 2000.0  # Hz
PRE_EMPHASIS, ORDER = 0.85, 16
EVERY = 3  # of WORLD's frames
STEADY = 4  # frames before and after one that are voiced as well
WINDOW = 0.05  # seconds, whose prediction is taken
PERIODS = 3  # whose harmonics are taken
ROUNDS, PLACES = 12, 64  # of the search; of the pulse, in a period
LEAST_FRAMES = 20  # of a recording that has a say


def frames(pcm: NDArray[np.int16], rate: int) -> list[Harmonics]:
    """Of a recording (n,): harmonics below TOP of steadily voiced frames, of power 1 each."""
    from scipy.linalg import solve_toeplitz

    f0, found = fundamental(pcm, rate, 0.0), []
    audio = pcm.astype(np.float64) / 32768.0
    audio[1:] -= PRE_EMPHASIS * audio[:-1]
    half = round(WINDOW * rate / 2)
    hann = np.hanning(2 * half)
    for i in range(STEADY, len(f0) - STEADY, EVERY):
        at, f = round(i * PERIOD / 1000 * rate), float(f0[i])
        if not (f0[i - STEADY : i + STEADY + 1] > 0).all():
            continue
        reach = round(PERIODS * rate / f / 2)
        first, last = at - max(half, reach + ORDER), at + max(half, reach)
        if first < 0 or last >= len(audio):
            continue
        windowed = audio[at - half : at + half] * hann
        r = np.correlate(windowed, windowed, "full")[2 * half - 1 :][: ORDER + 1]
        r[0] = r[0] * (1 + 1e-4) + 1e-9
        filter_ = np.append(1.0, solve_toeplitz(r[:-1], -r[1:]))
        excitation = np.convolve(audio[at - reach - ORDER : at + reach + 1], filter_, "valid")
        numbers = np.arange(1, int(TOP / f) + 1)
        turns = np.outer(numbers * f / rate, np.arange(-reach, reach + 1))
        sizes = np.exp(-2j * np.pi * turns) @ (excitation * np.hanning(2 * reach + 1))
        found.append((f, sizes / np.sqrt((np.abs(sizes) ** 2).mean() + 1e-30)))
    return found


def mean_phases(recordings: list[list[Harmonics]]) -> Floats:
    """Turns at every SPACING Hz up to TOP."""
    grid = np.arange(0, TOP + SPACING / 2, SPACING)
    phases = np.zeros(len(grid))
    for _ in range(ROUNDS):
        total = np.zeros(len(grid), complex)
        for recording in recordings:
            for at, sizes in _aligned(recording, grid, phases):
                low = np.minimum((at / SPACING).astype(int), len(grid) - 2)
                share = at / SPACING - low
                np.add.at(total, low, (1 - share) * sizes)
                np.add.at(total, low + 1, share * sizes)
        phases = np.unwrap(np.angle(total)) / (2 * np.pi)
    told = grid >= 2 * SPACING  # few voices have harmonics below
    slope, level = np.polyfit(grid[told], phases[told], 1)
    return np.asarray(phases - slope * grid - np.round(2 * level) / 2)


def _aligned(
    recording: list[Harmonics], grid: Floats, phases: Floats
) -> list[tuple[Floats, Complex]]:
    """Frequencies and harmonics of every frame, as if its pulse stood at 0 and upright."""
    places = np.arange(PLACES) / PLACES
    agreements: list[Floats] = []
    turned: list[tuple[Floats, Complex]] = []  # with the pulse at every place
    for f, sizes in recording:
        numbers = np.arange(1, len(sizes) + 1)
        expected = np.interp(numbers * f, grid, phases)
        turns = np.exp(-2j * np.pi * np.outer(places, numbers))
        agreements.append((turns @ (sizes * np.exp(-2j * np.pi * expected))).real)
        turned.append((np.asarray(numbers * f, np.float64), turns * sizes))
    upright = sum(a.max() for a in agreements) >= -sum(a.min() for a in agreements)
    sign = 1.0 if upright else -1.0
    best = [int(np.argmax(sign * agreement)) for agreement in agreements]
    return [(at, sign * each[i]) for i, (at, each) in zip(best, turned, strict=True)]


def of_prepared(folder: Path, recordings: int) -> Floats:
    """The phases of so many recordings of a prepared folder's training, evenly chosen; 0: all."""
    index = json.loads((folder / "prepared.json").read_text())
    names, rate = index["train"], int(index["features"]["sample_rate"])
    if recordings:
        chosen = np.linspace(0, len(names) - 1, min(recordings, len(names))).round().astype(int)
        names = [names[i] for i in chosen]
    found = []
    for name in names:
        with np.load(folder / f"{name}.npz") as file:
            found.append(frames(file["pcm"], rate))
    found = [each for each in found if len(each) >= LEAST_FRAMES]
    if not found:
        raise ValueError(f"{folder}: no recording has enough voiced speech")
    return mean_phases(found)
