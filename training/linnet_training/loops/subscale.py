"""Training the WaveRNN with subscale dependencies: an utterance is B sequences of its places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from linnet_export.config import read_signal
from linnet_training.data.corpus import Utterance
from linnet_training.loops.wavernn import WaveRNNTrainer
from linnet_training.networks.subscale import OUTSIDE, SubscaleWaveRNN, folded

CHUNK = 20  # frames that are scored at a time, which bounds the memory
GROUP = 4  # utterances that are scored together


class SubscaleTrainer(WaveRNNTrainer):
    """On a `Corpus`; the losses are those of the coarse and the fine byte, all sub-tensors at once.

    A stream of the batch is an utterance, so batch x B sequences are computed together.
    """

    def network(self) -> SubscaleWaveRNN:
        m = self.config.model
        network: SubscaleWaveRNN = SubscaleWaveRNN(
            **self.sizes(),
            sub_tensors=m.sub_tensors,
            future=m.future,
            past=m.past,
            look_units=m.look_units,
            scale=read_signal({"signal": self.signal()}).scale,
        ).to(self.device)
        return network

    @property
    def sequences(self) -> int:
        return self.config.training.batch * self.config.model.sub_tensors

    def told(self, utterances: list[Utterance], starts: list[int], frames: int) -> Tensor:
        """The context (U, B, places) of the segments of `frames` frames from these on."""
        m, hop = self.model, self.corpus.hop
        before, behind = m.before * m.sub_tensors, m.future * m.sub_tensors
        found = np.full((len(utterances), before + frames * hop + behind), OUTSIDE, np.int64)
        for row, u, frame in zip(found, utterances, starts, strict=True):
            first = frame * hop - before
            known = u.tokens[max(first, 0) : max(first + len(row), 0)]
            row[max(-first, 0) :][: len(known)] = known
        return folded(torch.from_numpy(found), m.sub_tensors).to(self.device)

    def losses(self) -> list[Tensor]:
        t, n_sub = self.config.training, self.config.model.sub_tensors
        places = self.segments.places()
        utterances, starts = [u for u, _ in places], [at for _, at in places]
        context = self.told(utterances, starts, t.frames)
        features = self.features(utterances, starts, t.frames)
        again = torch.tensor([at == 0 for at in starts])
        if t.forget:
            again |= torch.rand(t.batch) < t.forget
        self.h[:, again.repeat_interleave(n_sub).to(self.device)] = 0.0
        noise = None
        if t.input_noise:
            noise = self.noise(context.flatten(1).shape).view(context.shape)
        coarse, fine, h = self.model.subscale_nats(
            context, features, self.h, noise, self.find_blocks(self.sequences)
        )
        self.h = h.clone()
        return [coarse.mean(), fine.mean()]

    def features(self, utterances: list[Utterance], starts: list[int], frames: int) -> Tensor:
        """(U, n_mels, frames + 2 reach), zeros behind the end."""
        size = frames + 2 * self.model.reach
        found = np.zeros((len(utterances), self.model.n_mels, size), np.float32)
        for to, u, at in zip(found, utterances, starts, strict=True):
            part = u.features[:, at : at + size]
            to[:, : part.shape[1]] = part
        return torch.from_numpy(found).to(self.device)

    @torch.no_grad()
    def held_out(
        self, utterances: int | None, frames: int, done: Callable[[int], object] = int
    ) -> tuple[float, ...]:
        model, hop, n_sub = self.stored(), self.corpus.hop, self.config.model.sub_tensors
        queue = sorted(self.corpus.held_out[:utterances], key=lambda u: u.steps)
        sums, count = torch.zeros(2, dtype=torch.float64), 0
        for group in (queue[i : i + GROUP] for i in range(0, len(queue), GROUP)):
            lengths = torch.tensor([min(u.steps, frames * hop) for u in group])
            h = torch.zeros(1, len(group) * n_sub, model.hidden_size, device=self.device)
            for at in range(0, -(-int(lengths.max()) // hop), CHUNK):
                starts = [at] * len(group)
                context = self.told(group, starts, CHUNK)
                features = self.features(group, starts, CHUNK)
                coarse, fine, h = model.subscale_nats(context, features, h)
                inside = torch.arange(at * hop, (at + CHUNK) * hop) < lengths[:, None]
                inside = folded(inside, n_sub)
                sums += torch.stack([coarse.cpu()[inside].sum(), fine.cpu()[inside].sum()])
            count += int(lengths.sum())
            done(len(group))
        return tuple(float(x) / count for x in sums)

    def carried(self) -> dict[str, Tensor]:
        return {"h": self.h}

    def restore(self, carried: dict[str, Tensor]) -> None:
        self.h = carried["h"].to(self.device)

    def described(self) -> dict[str, Any]:
        m = self.config.model
        return {"network": {k: getattr(m, k) for k in ("sub_tensors", "future", "past")}}
