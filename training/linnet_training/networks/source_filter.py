"""The network of a source-filter voice: from features to pitch and voicing, frame by frame.

Its filter and its source have no weights (`linnet_export.families.source_filter`).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

LOWEST, HIGHEST = 62.0, 460.0  # Hz: the centres of the first and the last bin
BINS = 96
KERNEL, LAYERS = 5, 3
WIDTH = 0.02  # of the target around a pitch, in its natural logarithm
REACH = LAYERS * (KERNEL - 1)  # frames around a frame that are seen


class SourceFilter(nn.Module):
    """features (B, n_mels, T + REACH) -> logits of bins of log F0 (B, T, BINS), of voicing (B, T).

    The parameters are named as the exporter knows them.
    """

    phases: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, n_mels: int, channels: int, phases: tuple[float, ...]) -> None:
        super().__init__()
        sizes = [n_mels] + [channels] * LAYERS
        self.convolutions = nn.ModuleList(
            nn.Conv1d(a, b, KERNEL) for a, b in zip(sizes[:-1], sizes[1:], strict=True)
        )
        self.hidden = nn.Linear(channels, channels)
        self.pitch = nn.Linear(channels, BINS)
        self.voicing = nn.Linear(channels, 1)
        self.register_buffer("phases", torch.tensor(phases or (0.0,)))
        # Of the features; not saved, because what is exported has them in its first layer.
        self.register_buffer("mean", torch.zeros(n_mels, 1), persistent=False)
        self.register_buffer("deviation", torch.ones(n_mels, 1), persistent=False)

    def normalise(self, mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> None:
        """Take features less their mean (n_mels,) in deviations (n_mels,)."""
        self.mean[:, 0] = torch.from_numpy(mean)
        self.deviation[:, 0] = torch.from_numpy(deviation)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        x = (features - self.mean) / self.deviation
        for layer in self.convolutions:
            x = torch.relu(layer(x))
        x = torch.relu(self.hidden(x.transpose(1, 2)))
        return self.pitch(x), self.voicing(x)[..., 0]

    def exported(self) -> dict[str, Tensor]:
        """The tensors of a network that takes the features as they are."""
        state = {name: value.detach().cpu().clone() for name, value in self.state_dict().items()}
        first = state["convolutions.0.weight"].double() / self.deviation.cpu().double()
        shift = (first * self.mean.cpu().double()).sum(dim=(1, 2))
        state["convolutions.0.weight"] = first.float()
        state["convolutions.0.bias"] = (state["convolutions.0.bias"].double() - shift).float()
        return state


def centres() -> Tensor:
    """Natural logarithms of the bins' frequencies in Hz, (BINS,)."""
    return torch.linspace(float(np.log(LOWEST)), float(np.log(HIGHEST)), BINS)


def losses(logits: Tensor, voicing: Tensor, f0: Tensor, voiced: Tensor) -> tuple[Tensor, Tensor]:
    """Nats a frame of voicing (a share of the frame), and of the pitch of wholly voiced frames.

    f0 (B, T) in Hz, 0 where there is none; voiced (B, T) 0 .. 1.
    """
    told = ((f0 > 0) & (voiced > 0.99)).float()
    distance = (torch.log(f0.clamp(min=1.0))[..., None] - centres().to(f0.device)) / WIDTH
    target = torch.softmax(-(distance**2) / 2, -1)
    each = -(target * torch.log_softmax(logits, -1)).sum(-1)
    of_voicing = nn.functional.binary_cross_entropy_with_logits(voicing, voiced)
    return of_voicing, (each * told).sum() / told.sum().clamp(min=1.0)
