"""fatchord/WaveRNN's network in PyTorch, to compare an exported voice with: state-dict names and
shapes are the original's, weights are random."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

Tensors = dict[str, npt.NDArray[np.float32]]


CONFIG: dict[str, Any] = {
    "preset": "fatchord",
    "hparams": {
        "sample_rate": 16000,
        "n_fft": 64,
        "win_length": 64,
        "hop_length": 20,
        "num_mels": 10,
        "voc_mode": "RAW",
    },
}


def save(path: Path, tensors: dict[str, Any]) -> Path:
    torch.save({name: torch.as_tensor(tensor) for name, tensor in tensors.items()}, path)
    return path


class ResidualBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(width, width, 1, bias=False)
        self.conv2 = nn.Conv1d(width, width, 1, bias=False)
        self.batch_norm1 = nn.BatchNorm1d(width)
        self.batch_norm2 = nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.batch_norm1(self.conv1(x)))
        return x + self.batch_norm2(self.conv2(inner))


class Residual(nn.Module):
    def __init__(self, features: int, width: int, aux: int, blocks: int, pad: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv1d(features, width, 2 * pad + 1, bias=False)
        self.batch_norm = nn.BatchNorm1d(width)
        self.layers = nn.ModuleList(ResidualBlock(width) for _ in range(blocks))
        self.conv_out = nn.Conv1d(width, aux, 1)

    def forward(self, m: Tensor) -> Tensor:
        x = F.relu(self.batch_norm(self.conv_in(m)))
        for layer in self.layers:
            x = layer(x)
        return self.conv_out(x)


class Stretch(nn.Module):
    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x.repeat_interleave(self.factor, -1)


class Upsampling(nn.Module):
    def __init__(
        self, features: int, factors: list[int], width: int, aux: int, blocks: int, pad: int
    ) -> None:
        super().__init__()
        self.resnet = Residual(features, width, aux, blocks, pad)
        self.hop, self.pad = int(np.prod(factors)), pad
        self.up_layers = nn.ModuleList()
        for s in factors:
            self.up_layers.append(Stretch(s))
            self.up_layers.append(nn.Conv2d(1, 1, (1, 2 * s + 1), padding=(0, s), bias=False))

    def forward(self, m: Tensor) -> tuple[Tensor, Tensor]:
        """Features (C, T + 2 pad) -> (T hop, C) and aux (T hop, A)."""
        aux = self.resnet(m[None])[0].repeat_interleave(self.hop, -1)
        smooth = m[None, None]
        for layer in self.up_layers:
            smooth = layer(smooth)
        edge = self.pad * self.hop
        return smooth[0, 0, :, edge:-edge].T, aux.T


class WaveRNN(nn.Module):
    def __init__(
        self,
        n_outputs: int = 32,
        features: int = 10,
        factors: tuple[int, ...] = (5, 4),
        rnn_dims: int = 24,
        fc_dims: int = 20,
        compute_dims: int = 12,
        res_out_dims: int = 18,
        res_blocks: int = 2,
        pad: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.pad, self.quarter = pad, res_out_dims // 4
        a = self.quarter
        self.upsample = Upsampling(
            features, list(factors), compute_dims, res_out_dims, res_blocks, pad
        )
        self.I = nn.Linear(features + a + 1, rnn_dims)
        self.rnn1 = nn.GRU(rnn_dims, rnn_dims, batch_first=True)
        self.rnn2 = nn.GRU(rnn_dims + a, rnn_dims, batch_first=True)
        self.fc1 = nn.Linear(rnn_dims + a, fc_dims)
        self.fc2 = nn.Linear(fc_dims + a, fc_dims)
        self.fc3 = nn.Linear(fc_dims, n_outputs)
        self.register_buffer("step", torch.zeros(1, dtype=torch.long))
        self._randomise(torch.Generator().manual_seed(seed))
        self.eval()

    @torch.no_grad()
    def _randomise(self, random: torch.Generator) -> None:
        """Weights as training leaves them: gates that open and close, sharp logits, smoothing
        filters that are uneven and sum to about 1, and batch norms of quiet channels, for which
        their epsilon counts."""
        quiet = 0.01
        for name, tensor in self.state_dict().items():
            noise = torch.randn(tensor.shape, generator=random, dtype=torch.float32)
            if name.endswith("running_var"):
                tensor.copy_(quiet**2 * torch.exp(0.5 * noise))
            elif name.endswith("running_mean"):
                tensor.copy_(quiet * noise)
            elif "batch_norm" in name and name.endswith("weight"):
                tensor.copy_(torch.exp(0.5 * noise))
            elif "up_layers" in name:
                tensor.copy_((1 + 0.3 * noise) / tensor.shape[-1])
            elif tensor.dim() > 1:
                gain = 1.5 if name.startswith(("fc", "I")) else 1.0
                gain = quiet if "resnet" in name and "conv_out" not in name else gain
                tensor.copy_(gain * noise / tensor[0].numel() ** 0.5)
            elif tensor.is_floating_point():
                tensor.copy_(0.3 * noise)

    @torch.no_grad()
    def forward(self, x: Tensor, mel: Tensor) -> Tensor:
        """Logits (n, K) for previous samples x (n) and features (C, T), n <= T hop."""
        m, aux = self.upsample(F.pad(mel, (self.pad, self.pad)))
        m, aux = m[: len(x)], aux[: len(x)]
        a1, a2, a3, a4 = (aux[:, i * self.quarter : (i + 1) * self.quarter] for i in range(4))
        y = self.I(torch.cat([x[:, None], m, a1], dim=1))
        y = y + self.rnn1(y[None])[0][0]
        y = y + self.rnn2(torch.cat([y, a2], dim=1)[None])[0][0]
        y = F.relu(self.fc1(torch.cat([y, a3], dim=1)))
        return self.fc3(F.relu(self.fc2(torch.cat([y, a4], dim=1))))

    def tensors(self) -> Tensors:
        """The state dict as numpy arrays."""
        return {name: tensor.numpy() for name, tensor in self.state_dict().items()}
