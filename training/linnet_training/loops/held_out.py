"""The teacher-forced score of a network on utterances that it was not trained on."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from linnet_training.data.corpus import Utterance
from linnet_training.networks.wavernn import SILENCE, WaveRNN

M = TypeVar("M", bound=nn.Module)


@torch.no_grad()
def stored(model: M) -> M:
    """A copy with the weights that a voice has by default: matrices rounded to float16 (to nearest
    even), biases as they are."""
    rounded = copy.deepcopy(model)
    for parameter in rounded.parameters():
        if parameter.dim() >= 2:
            parameter.copy_(parameter.half())
    return rounded


@torch.no_grad()
def held_out_nats(
    model: WaveRNN,
    utterances: list[Utterance],
    max_frames: int,
    batch: int = 8,
    done: Callable[[int], object] = int,
) -> tuple[float, float]:
    """Teacher-forced nats per sample (coarse, fine) over the first `max_frames` of each utterance,
    from a zero state that is carried along. `done` is told how many more utterances are scored."""
    device, hop, chunk = model.O1.weight.device, model.hop_length, 20
    sums, count = torch.zeros(2, dtype=torch.float64), 0
    queue = sorted(utterances, key=lambda u: len(u.tokens))
    for group in (queue[i : i + batch] for i in range(0, len(queue), batch)):
        lengths = torch.tensor([min(len(u.tokens), max_frames * hop) for u in group])
        frames = -(-int(lengths.max()) // (hop * chunk)) * chunk
        tokens = torch.full((len(group), frames * hop), SILENCE)
        features = torch.zeros(len(group), model.n_mels, frames + 2 * model.reach)
        for i, u in enumerate(group):
            t, f = u.tokens[: frames * hop], u.features[:, : features.shape[2]]
            tokens[i, : len(t)] = torch.from_numpy(t.astype(np.int64))
            features[i, :, : f.shape[1]] = torch.from_numpy(f)
        h = torch.zeros(1, len(group), model.hidden_size, device=device)
        previous = torch.full((len(group),), SILENCE, device=device)
        for start in range(0, frames, chunk):
            piece = tokens[:, start * hop : (start + chunk) * hop].to(device)
            view = features[:, :, start : start + chunk + 2 * model.reach].to(device)
            c, f, h = model.nats(piece, previous, view, h)
            previous = piece[:, -1]
            inside = torch.arange(start * hop, (start + chunk) * hop) < lengths[:, None]
            sums += torch.stack([c.cpu()[inside].sum(), f.cpu()[inside].sum()])
            count += int(inside.sum())
        done(len(group))
    return float(sums[0]) / count, float(sums[1]) / count
