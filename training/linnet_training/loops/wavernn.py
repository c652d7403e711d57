"""Training the dual-softmax WaveRNN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from linnet_training.data.corpus import Segments
from linnet_training.loops.held_out import held_out_nats
from linnet_training.loops.trainer import Trainer
from linnet_training.networks.wavernn import BYTES, SILENCE, WaveRNN


class WaveRNNTrainer(Trainer):
    """On a `Corpus`; the losses are those of the coarse and the fine byte."""

    parts = ("coarse", "fine")
    inputs = BYTES

    def build(self) -> None:
        config, corpus, t = self.config, self.corpus, self.config.training
        if config.signal.bits != 16 or corpus.silence != SILENCE:
            raise ValueError(f"the dual softmax needs 16-bit signals with silence at {SILENCE}")
        self.model = self.network()
        if not self.begin():
            self.model.start_from(corpus.counts())
        self.average = self.network()
        self.segments = Segments(
            corpus.train, corpus.hop, self.model.reach, t.batch, t.frames, t.seed
        )
        self.h = torch.zeros(1, self.sequences, config.model.hidden_size, device=self.device)
        self.previous = torch.full((t.batch,), SILENCE, device=self.device)

    def network(self) -> WaveRNN:
        network: WaveRNN = WaveRNN(**self.sizes()).to(self.device)
        return network

    def sizes(self) -> dict[str, Any]:
        m = self.config.model
        sizes = {"hidden_size": m.hidden_size, "channels": m.channels, "head_size": m.head_size}
        return {**sizes, "n_mels": self.config.features["n_mels"], "hop_length": self.corpus.hop}

    @property
    def sequences(self) -> int:
        """That are computed together."""
        return self.config.training.batch

    def losses(self) -> list[Tensor]:
        tokens, features, fresh = (x.to(self.device) for x in self.segments.segment())
        self.h[:, fresh] = 0.0
        self.previous[fresh] = SILENCE
        t, noise = self.config.training, None
        if t.forget:
            self.h[:, torch.rand(t.batch, device=self.device) < t.forget] = 0.0
        if t.input_noise:
            noise = self.noise(tokens.shape)
        coarse, fine, h = self.model.nats(
            tokens, self.previous, features, self.h, noise, self.find_blocks(self.sequences)
        )
        self.h, self.previous = h.clone(), tokens[:, -1].clone()
        return [coarse.mean(), fine.mean()]

    def noise(self, shape: torch.Size) -> Tensor:
        """By how much the samples (batch, T) are misreported. Free-running mistakes come in all
        sizes: so does the noise, from stream to stream."""
        t = self.config.training
        size = t.input_noise * torch.randn(t.batch, 1, device=self.device).exp()
        return (torch.randn(shape, device=self.device) * size).round().long()

    def forget(self) -> None:
        self.h.zero_()

    def held_out(
        self, utterances: int | None, frames: int, done: Callable[[int], object] = int
    ) -> tuple[float, ...]:
        score: tuple[float, ...] = held_out_nats(
            self.stored(), self.corpus.held_out[:utterances], frames, done=done
        )
        return score

    def carried(self) -> dict[str, Tensor]:
        return {"h": self.h, "previous": self.previous}

    def restore(self, carried: dict[str, Tensor]) -> None:
        self.h = carried["h"].to(self.device)
        self.previous = carried["previous"].to(self.device)

    def signal(self) -> dict[str, Any]:
        return self.config.signal_dict()
