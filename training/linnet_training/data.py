"""From a folder of wav files to a prepared folder, and from that to training segments.

A prepared folder holds one npz per utterance (`features` (n_mels, S) float32, `pcm` (S * hop,)
int16) and prepared.json: the feature definition, the seconds, and the split by utterance.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from linnet.companding import encode, silence
from linnet.features import complete, log_mel


def is_held_out(name: str, fraction: float) -> bool:
    """The split depends on the file's name alone: adding files never moves one across it."""
    number = int.from_bytes(hashlib.sha1(name.encode()).digest()[:8], "big")
    return number < fraction * 2.0**64


def prepare(
    wavs: Path,
    folder: Path,
    definition: dict[str, Any],
    held_out: float = 0.03,
    pad_seconds: float = 0.1,
    jobs: int = 2,
) -> dict[str, Any]:
    """Resamples every wav below `wavs`, computes features, writes `folder`; returns the index.

    Each utterance gets `pad_seconds` of digital silence at both ends, so that silence is learnt.
    """
    import librosa
    import soundfile

    wanted = complete(definition)
    rate, hop = int(wanted["sample_rate"]), int(wanted["hop_length"])
    paths = sorted(wavs.rglob("*.wav"))
    if len(paths) < 2:
        raise ValueError(f"{wavs}: needs at least two wav files, found {len(paths)}")
    folder.mkdir(parents=True, exist_ok=True)

    def one(path: Path) -> tuple[str, float]:
        audio, original = soundfile.read(path, dtype="float32", always_2d=True)
        audio = audio.mean(axis=1)
        if original != rate:
            audio = librosa.resample(audio, orig_sr=original, target_sr=rate, res_type="soxr_hq")
        audio = np.pad(audio, round(pad_seconds * rate))
        pcm = np.clip(np.rint(audio * 32768.0), -32768, 32767).astype(np.int16)
        pcm = np.pad(pcm, (0, -len(pcm) % hop))
        name = "_".join(path.relative_to(wavs).with_suffix("").parts)
        np.savez(folder / f"{name}.npz", features=log_mel(pcm, rate, wanted), pcm=pcm)
        return name, len(pcm) / rate

    with ThreadPoolExecutor(jobs) as pool:
        lengths = dict(pool.map(one, paths))
    test = [name for name in lengths if is_held_out(name, held_out)]
    # A handful of files may leave one side empty by chance.
    test = (test or [min(lengths)])[: len(lengths) - 1]
    index = {
        "features": wanted,
        "train": [name for name in lengths if name not in set(test)],
        "held_out": test,
        "seconds": round(sum(lengths.values()), 1),
        "held_out_seconds": round(sum(lengths[name] for name in test), 1),
        "pad_seconds": pad_seconds,
    }
    (folder / "prepared.json").write_text(json.dumps(index, indent=1) + "\n")
    return index


@dataclass(frozen=True)
class Utterance:
    """features (n_mels, S + 2 reach), padded with zero frames; tokens (S * hop,)."""

    features: NDArray[np.float32]
    tokens: NDArray[np.int32]

    @property
    def steps(self) -> int:
        """Samples."""
        return len(self.tokens)


class Played(Protocol):
    """What streams play: `steps` samples."""

    @property
    def steps(self) -> int: ...


P = TypeVar("P", bound=Played)


class Corpus:
    """All utterances of a prepared folder in memory, encoded in one signal domain."""

    def __init__(self, folder: Path, signal: dict[str, Any], reach: int) -> None:
        self.index: dict[str, Any] = json.loads((folder / "prepared.json").read_text())
        self.hop = int(self.index["features"]["hop_length"])
        self.silence = silence(signal)

        def read(name: str) -> Utterance:
            with np.load(folder / f"{name}.npz") as file:
                features = np.pad(file["features"], ((0, 0), (reach, reach)))
                return Utterance(features, encode(file["pcm"], signal).astype(np.int32))

        self.train = [read(name) for name in self.index["train"]]
        self.held_out = [read(name) for name in self.index["held_out"]]

    def counts(self) -> Tensor:
        """How often each byte occurs in training, (2, 256): coarse, fine."""
        total = np.zeros((2, 256))
        for u in self.train:
            total[0] += np.bincount(u.tokens >> 8, minlength=256)
            total[1] += np.bincount(u.tokens & 255, minlength=256)
        return torch.from_numpy(total).float()


class Streams(Generic[P]):
    """Endless consecutive segments of `batch` parallel streams, for backpropagation truncated in
    time with the state carried over.

    Each stream plays whole utterances, taken from one shuffled list; `fresh` marks the streams that
    begin a new utterance, where the state must return to zero and the previous token to silence.
    Fewer than `frames` frames at an utterance's end are left out. The position is a small dict.
    """

    def __init__(
        self, utterances: list[P], hop: int, reach: int, batch: int, frames: int, seed: int
    ) -> None:
        self.hop, self.reach, self.frames, self.seed = hop, reach, frames, seed
        self.utterances = [u for u in utterances if u.steps >= frames * hop]
        if not self.utterances:
            raise ValueError(f"no utterance has {frames} frames of {hop} samples")
        self.epoch, self.next = 0, 0
        self.order = self._shuffle(0)
        self.streams = [[self._take(), 0] for _ in range(batch)]

    def _shuffle(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.utterances))

    def _take(self) -> int:
        if self.next == len(self.order):
            self.epoch, self.next = self.epoch + 1, 0
            self.order = self._shuffle(self.epoch)
        self.next += 1
        return int(self.order[self.next - 1])

    def places(self) -> list[tuple[P, int]]:
        """Of every stream the utterance and the first frame of its next segment."""
        found = []
        for stream in self.streams:
            if (stream[1] + self.frames) * self.hop > self.utterances[stream[0]].steps:
                stream[:] = [self._take(), 0]
            found.append((self.utterances[stream[0]], stream[1]))
            stream[1] += self.frames
        return found

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "next": self.next, "streams": [list(s) for s in self.streams]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.next = int(state["epoch"]), int(state["next"])
        self.order = self._shuffle(self.epoch)
        self.streams = [list(s) for s in state["streams"]]


class Segments(Streams[Utterance]):
    """Segments of tokens."""

    def segment(self) -> tuple[Tensor, Tensor, Tensor]:
        """tokens (batch, frames hop), features (batch, n_mels, frames + 2 reach), fresh (batch,)"""
        places = self.places()
        size = self.frames * self.hop
        tokens = [u.tokens[at * self.hop :][:size] for u, at in places]
        features = [u.features[:, at : at + self.frames + 2 * self.reach] for u, at in places]
        return (
            torch.from_numpy(np.stack(tokens).astype(np.int64)),
            torch.from_numpy(np.stack(features)),
            torch.tensor([at == 0 for _, at in places]),
        )
