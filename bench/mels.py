"""What is lost by features of other projects: PESQ and STOI of recordings that a voice makes of
features converted from each preset, beside its own. Needs pesq and pystoi.

python bench/mels.py VOICE RECORDING ...
"""

from __future__ import annotations

import argparse

import numpy as np
import numpy.typing as npt
from pesq import pesq
from pystoi import stoi

import linnet
from linnet.audio import read_wav
from linnet.features import PRESETS, convert, log_mel
from linnet.signal import to_int16
from linnet.table import table

Mel = npt.NDArray[np.float32]
LOUD = 0.3  # features above it are compared: of the default definition, 40 dB below full scale


def main(name: str, paths: list[str]) -> None:
    voice = linnet.load(name)
    recordings = [read_wav(path) for path in paths]
    own = [voice.features(*recording) for recording in recordings]
    rows = [["features", "PESQ", "STOI", "away from its own, dB"]]
    rows.append(["its own", *judged(voice, recordings, own), ""])
    for preset, definition in PRESETS.items():
        mels = [convert(log_mel(*each, definition), preset, voice) for each in recordings]
        rows.append([preset, *judged(voice, recordings, mels), f"{away(voice, own, mels):.1f}"])
        print(table(rows[-1:]), flush=True)
    print(table(rows))


def judged(
    voice: linnet.Voice, recordings: list[tuple[npt.NDArray[np.float32], int]], mels: list[Mel]
) -> list[str]:
    """Means of PESQ (wide band) and STOI over the recordings."""
    scores = []
    for (recording, rate), mel in zip(recordings, mels, strict=True):
        if rate != voice.sample_rate or rate != 16000:
            raise ValueError(f"recordings must have 16000 Hz, as the voice does, not {rate}")
        made = voice.synthesize(mel)[: len(recording)] / 32768.0
        pcm = recording if recording.dtype == np.int16 else to_int16(recording)
        original = pcm[: len(made)] / 32768.0
        scores.append((pesq(rate, original, made, "wb"), stoi(original, made, rate)))
    quality, intelligibility = np.mean(scores, axis=0)
    return [f"{quality:.2f}", f"{intelligibility:.3f}"]


def away(voice: linnet.Voice, own: list[Mel], mels: list[Mel]) -> float:
    """The root of the mean square difference of loud values, in dB."""
    decibels = 20 / voice.info()["features"]["scale"]  # of a decimal logarithm
    differences = []
    for a, b in zip(own, mels, strict=True):
        n = min(a.shape[1], b.shape[1])  # the last frame may be half a one
        differences.append((b[:, :n] - a[:, :n])[a[:, :n] > LOUD])
    return float(decibels * np.sqrt(np.mean(np.concatenate(differences) ** 2)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("voice")
    parser.add_argument("recordings", nargs="+")
    options = parser.parse_args()
    main(options.voice, options.recordings)
