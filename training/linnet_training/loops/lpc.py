"""Training a network of the excitation of speech: the envelope first, then the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from linnet_training.data.corpus import Streams
from linnet_training.data.lpc import LpcCorpus, Recording
from linnet_training.loops.held_out import stored
from linnet_training.loops.trainer import Trainer, save
from linnet_training.networks import envelope, excitation
from linnet_training.networks.block_scan import STREAMS
from linnet_training.networks.lpc import LpcWaveRNN

CHUNK = 10  # frames that are scored at a time, which bounds the memory


def definition(pre_emphasis: float) -> dict[str, Any]:
    """The signal's definition for the exporter."""
    return {
        "bits": 8,
        "companding": "excitation",
        "mu": excitation.MU,
        "range": excitation.RANGE,
        "least_gain": envelope.SMALLEST,
        "pre_emphasis": pre_emphasis,
    }


class Past:
    """What `excitation.analyse` carries over, of n streams."""

    def __init__(self, n: int, order: int) -> None:
        self.samples = np.zeros((n, order), np.float32)
        self.last = np.zeros((n, 2), np.float32)


class LpcTrainer(Trainer):
    """On an `LpcCorpus`; the loss is that of the excitation's token."""

    parts = ("token",)
    inputs = excitation.INPUTS
    corpus: LpcCorpus

    def build(self) -> None:
        m, t = self.config.model, self.config.training
        shape = {
            "hidden_size": m.hidden_size,
            "channels": m.channels,
            "head_size": m.head_size,
            "order": m.order,
            "n_mels": self.config.features["n_mels"],
            "hop_length": self.corpus.hop,
        }
        self.model = LpcWaveRNN(**shape)
        self.average = LpcWaveRNN(**shape)
        begun = self.begin()
        self.find_envelope(begun)
        self.segments = Streams(
            self.corpus.train, self.corpus.hop, self.model.reach, t.batch, t.frames, t.seed
        )
        self.h = torch.zeros(t.batch, m.hidden_size, device=self.device)
        self.past = Past(t.batch, m.order)
        if not begun:
            self.model.start_from(self.counts())
        self.model.to(self.device)
        self.average.to(self.device)

    def find_envelope(self, begun: bool) -> None:
        """The folder's envelope, or the one begun with, or a trained one; then every recording's
        filters."""
        m, path, network = self.config.model, self.folder / "envelope.pt", self.model.envelope
        if path.exists() and not begun:
            network.load_state_dict(torch.load(path, weights_only=True))
        else:
            if not begun:
                network.requires_grad_(True)
                seed, steps = self.config.training.seed, m.envelope_steps
                envelope.train(network, self.corpus.train, self.corpus.hop, steps, seed)
                network.requires_grad_(False)
            # The runtime's filters, which decide what the tokens are, are of rounded weights.
            network.load_state_dict(stored(network).state_dict())
            self.folder.mkdir(parents=True, exist_ok=True)
            save(network.state_dict(), path)
        for recording in self.corpus.train + self.corpus.held_out:
            filters = network.filters(recording.features)
            recording.coefficients, recording.gains = filters

    def counts(self) -> Tensor:
        """How often each token occurs in a part of the training, (256,)."""
        total = np.zeros(excitation.CLASSES)
        for r in self.corpus.train[::16]:
            tokens, _, _ = self.told(
                [r.cut(0, len(r.gains))], 0.0, Past(1, self.config.model.order)
            )
            total += np.bincount(tokens.numpy().ravel(), minlength=excitation.CLASSES)
        return torch.from_numpy(total).float()

    def told(
        self, cuts: list[tuple[Any, ...]], noise: float, past: Past
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens (B, T), inputs (B, T, 3) and features of the streams' segments."""
        signal, coefficients, gains, features = (np.stack(x) for x in zip(*cuts, strict=True))
        # Free-running mistakes come in all sizes: so does the noise, from stream to stream.
        rng = np.random.default_rng([self.config.training.seed, self.step])
        size = noise * rng.exponential(1.0, (len(signal), 1))
        off = np.rint(rng.laplace(0.0, 1.0, signal.shape) * size).astype(np.int64)
        found = excitation.analyse(signal, coefficients, gains, off, past.samples, past.last)
        tokens, inputs = (torch.from_numpy(x).to(self.device) for x in found)
        return tokens, inputs, torch.from_numpy(features).to(self.device)

    def losses(self) -> list[Tensor]:
        t = self.config.training
        places = self.segments.places()
        fresh = torch.tensor([at == 0 for _, at in places])
        self.past.samples[fresh.numpy()] = self.past.last[fresh.numpy()] = 0.0
        self.h[fresh.to(self.device)] = 0.0
        if t.forget:
            self.h[torch.rand(t.batch, device=self.device) < t.forget] = 0.0
        cuts = [recording.cut(at, t.frames) for recording, at in places]
        tokens, inputs, features = self.told(cuts, t.input_noise, self.past)
        blocks = self.find_blocks(t.batch)
        nats, self.h = self.model.nats(tokens, inputs, features, self.h, blocks)
        self.h = self.h.clone()
        return [nats.mean()]

    def forget(self) -> None:
        self.h.zero_()

    @torch.no_grad()
    def held_out(
        self, utterances: int | None, frames: int, done: Callable[[int], object] = int
    ) -> tuple[float, ...]:
        queue = sorted(self.corpus.held_out[:utterances], key=lambda r: r.steps)
        total, count = 0.0, 0
        for group in (queue[i : i + STREAMS] for i in range(0, len(queue), STREAMS)):
            nats, n = self.group_nats(group, frames)
            total, count = total + nats, count + n
            done(len(group))
        return (total / count,)

    def group_nats(self, group: list[Recording], frames: int) -> tuple[float, int]:
        """The sum of the nats of up to 16 recordings' first frames, and of how many samples."""
        lengths = [min(len(r.gains), frames) for r in group]
        group = group + [group[0]] * (STREAMS - len(group))
        lengths += [0] * (STREAMS - len(lengths))
        past, blocks = Past(STREAMS, self.config.model.order), self.find_blocks(STREAMS)
        average = self.stored()
        h = torch.zeros(STREAMS, self.config.model.hidden_size, device=self.device)
        total = 0.0
        for at in range(0, max(lengths), CHUNK):
            n = min(CHUNK, max(lengths) - at)
            cuts = [padded(r, at, n) for r in group]
            tokens, inputs, features = self.told(cuts, 0.0, past)
            nats, h = average.nats(tokens, inputs, features, h, blocks)
            for row, length in zip(nats, lengths, strict=True):
                total += float(row[: max(length - at, 0) * self.corpus.hop].sum())
        return total, sum(lengths) * self.corpus.hop

    def carried(self) -> dict[str, Tensor]:
        return {
            "h": self.h,
            "past": torch.from_numpy(self.past.samples),
            "last": torch.from_numpy(self.past.last),
        }

    def restore(self, carried: dict[str, Tensor]) -> None:
        self.h = carried["h"].to(self.device)
        self.past.samples[:] = carried["past"].numpy()
        self.past.last[:] = carried["last"].numpy()

    def signal(self) -> dict[str, Any]:
        return definition(self.config.signal.pre_emphasis)


def padded(recording: Recording, at: int, frames: int) -> tuple[Any, ...]:
    """As `cut`, with silence behind the end."""
    hop, total = recording.steps // len(recording.gains), len(recording.gains)
    reach = recording.features.shape[1] - total
    signal, coefficients, gains, features = recording.cut(at, frames)
    missing = frames - len(gains)
    return (
        np.pad(signal, (0, frames * hop - len(signal))),
        np.pad(coefficients, ((0, missing), (0, 0))),
        np.pad(gains, (0, missing), constant_values=1.0),
        np.pad(features, ((0, 0), (0, frames + reach - features.shape[1]))),
    )
