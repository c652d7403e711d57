"""Training the network of a source-filter voice: pitch and voicing from features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from linnet_training.data.pitch import PitchCorpus, spoiled, windows
from linnet_training.loops.trainer import Trainer
from linnet_training.networks import source_filter
from linnet_training.networks.source_filter import REACH, SourceFilter

PITCH = 0.5  # weight of its loss, beside that of voicing


class NoPlace:
    """What segments carry over: nothing, as every update draws its own windows."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


class SourceFilterTrainer(Trainer):
    """On a `PitchCorpus`; losses are nats per frame of voicing and of pitch."""

    parts = ("voicing", "pitch")
    corpus: PitchCorpus

    def build(self) -> None:
        m = self.config.model
        if not 0 <= m.ahead <= REACH:
            raise ValueError(f"config [model] ahead must be in 0 .. {REACH}, not {m.ahead}")
        shape = (int(self.config.features["n_mels"]), m.channels, m.phases)
        self.model, self.average = SourceFilter(*shape), SourceFilter(*shape)
        self.begin()
        if not self.config.training.start:  # weights to start from have it in their first layer
            statistics = self.corpus.statistics()
            self.model.normalise(*statistics)
            self.average.normalise(*statistics)
        self.segments = NoPlace()
        self.model.to(self.device)
        self.average.to(self.device)

    def losses(self) -> list[Tensor]:
        t = self.config.training
        rng = np.random.default_rng([t.seed, self.step])
        ahead = self.config.model.ahead
        features, f0, voiced = windows(self.corpus.train, rng, t.batch, t.frames, REACH, ahead)
        features = spoiled(features, self.config.features, rng)
        voicing, pitch = self.loss_of(self.model, features, f0, voiced)
        return [voicing, PITCH * pitch]

    def loss_of(
        self, network: SourceFilter, features: Any, f0: Any, voiced: Any
    ) -> tuple[Tensor, Tensor]:
        told = [torch.from_numpy(np.ascontiguousarray(x)) for x in (features, f0, voiced)]
        x, pitch, share = (value.to(self.device) for value in told)
        logits, voicing = network(x)
        return source_filter.losses(logits, voicing, pitch, share)

    def forget(self) -> None:
        pass

    def held_out(
        self, utterances: int | None, frames: int, done: Callable[[int], object] = int
    ) -> tuple[float, ...]:
        ahead, found, weights = self.config.model.ahead, [], []
        for s in self.corpus.held_out[:utterances]:
            n = min(frames, s.features.shape[1])
            features = np.pad(s.features, ((0, 0), (REACH - ahead, ahead)))[None, :, : n + REACH]
            with torch.no_grad():
                pair = self.loss_of(self.average, features, s.f0[None, :n], s.voiced[None, :n])
            found.append([float(pair[0]), PITCH * float(pair[1])])
            weights.append(n)
            done(1)
        return tuple(float(x) for x in np.average(found, axis=0, weights=weights))

    def carried(self) -> dict[str, Tensor]:
        return {"h": torch.zeros(1)}

    def restore(self, carried: dict[str, Tensor]) -> None:
        pass

    def signal(self) -> dict[str, Any]:
        return {"bits": 16, "companding": "linear", "pre_emphasis": self.config.signal.pre_emphasis}

    def exported(self) -> dict[str, Any]:
        exported, m = super().exported(), self.config.model
        exported["state_dict"] = self.average.exported()
        exported["config"]["matching_rounds"] = m.matching_rounds
        exported["config"]["network"] = {"ahead": m.ahead}
        return exported
