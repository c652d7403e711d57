"""Training segments from a prepared folder (`linnet_training.data.preparation`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from linnet.signal import encode, silence


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
        self.unseen = [read(name) for name in self.index.get("unseen", [])]

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
