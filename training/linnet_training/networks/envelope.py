"""The spectral envelope of speech from its features: the filter whose excitation a network models.

A convolutional network maps features to reflection coefficients k (order,) in (-1, 1), which give
a stable all-pole filter whatever they are, and to a gain g > 0 per frame (as Subramani et al. 2022,
"End-to-end LPCNet"). It is trained first, by itself, to be the best linear predictor of the
pre-emphasised signal: the likelihood of a Gaussian excitation of standard deviation g.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from linnet_training.data.lpc import Recording

# White noise added to the signal, as a share of its power. It bounds the gain of the inverse
# filter, by which quantisation errors of the past enter the next excitation.
WHITE_NOISE = 1e-4
# The same for silence, which would allow any filter, also one that a single click sets ringing: the
# noise of rounding to 16 bits. Also the least gain.
SMALLEST = 0.3 / 32768


def step_up(k: Tensor) -> Tensor:
    """Reflection coefficients (..., order) -> a (..., order) of the prediction -sum a[i] s[n-1-i].

    Makhoul 1975, "Linear prediction: a tutorial review", equation 38.
    """
    a = k[..., :0]
    for i in range(k.shape[-1]):
        last = k[..., i : i + 1]
        a = torch.cat([a + last * a.flip(-1), last], -1)
    return a


class Envelope(nn.Module):
    """Features (B, n_mels, S + 2 reach) -> a (B, S, order) and gains (B, S)."""

    def __init__(self, order: int, n_mels: int, channels: int = 64, layers: int = 3) -> None:
        super().__init__()
        self.order = order
        sizes = [n_mels] + [channels] * layers
        self.layers = nn.ModuleList(
            nn.Conv1d(i, o, 3) for i, o in zip(sizes[:-1], sizes[1:], strict=True)
        )
        self.reflection = nn.Linear(channels, order)
        self.gain = nn.Linear(channels, 1)
        with torch.no_grad():
            self.reflection.weight *= 0.3
            self.reflection.bias.zero_()
            self.gain.weight *= 0.3
            self.gain.bias.fill_(-6.0)  # about the excitation of speech at half scale

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        for layer in self.layers:
            features = torch.relu(layer(features))
        x = features.transpose(1, 2)
        k = torch.tanh(self.reflection(x))
        gain = self.gain(x)[..., 0].clamp(min=math.log(SMALLEST)).exp()
        return step_up(k), gain

    @torch.no_grad()
    def filters(self, features: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Features (n_mels, S + 2 reach) of one utterance -> a (S, order), gains (S,)."""
        a, gain = self(torch.from_numpy(features)[None])
        return a[0].contiguous().numpy(), gain[0].contiguous().numpy()


def covariances(recording: Recording, at: int, frames: int, hop: int, order: int) -> Tensor:
    """Of `frames` frames from frame `at`: sums over the samples n of s[n-i] s[n-j],
    (frames, order + 1, order + 1)."""
    start = at * hop
    piece = recording.signal[max(start - order, 0) : start + frames * hop]
    piece = np.pad(piece, (order + frames * hop - len(piece), 0))
    lags = np.lib.stride_tricks.sliding_window_view(piece, order + 1)[:, ::-1]
    x = torch.from_numpy(lags.copy()).view(frames, hop, order + 1)
    return x.transpose(1, 2) @ x


def loss(a: Tensor, gain: Tensor, covariance: Tensor, hop: int) -> Tensor:
    """Nats per sample of every frame, but for a constant: log g + E (u^2) / 2."""
    inverse = nn.functional.pad(a, (1, 0), value=1.0)
    energy = torch.einsum("...i,...ij,...j->...", inverse, covariance, inverse).clamp(min=0.0)
    noise = WHITE_NOISE * covariance[..., 0, 0] / hop + SMALLEST**2
    variance = energy / hop + noise * (inverse * inverse).sum(-1)
    return gain.log() + variance / (2 * gain * gain)


def train(
    envelope: Envelope,
    recordings: list[Recording],
    hop: int,
    steps: int,
    seed: int,
    report: Callable[[str], None] = print,
    batch: int = 16,
    frames: int = 64,
    learning_rate: float = 2e-3,
) -> None:
    """Fits the envelope to the recordings: minutes on one core."""
    reach = len(envelope.layers)
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(envelope.parameters(), lr=learning_rate)
    long_enough = [r for r in recordings if len(r.signal) >= frames * hop]
    if not long_enough:
        raise ValueError(f"no utterance has {frames} frames")
    total, began = 0.0, time.monotonic()
    for step in range(1, steps + 1):
        rate = min(1.0, step / 100) * 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * rate
        features, covariance = [], []
        for _ in range(batch):
            r = long_enough[rng.integers(len(long_enough))]
            at = int(rng.integers(len(r.signal) // hop - frames + 1))
            features.append(torch.from_numpy(r.features[:, at : at + frames + 2 * reach]))
            covariance.append(covariances(r, at, frames, hop, envelope.order))
        a, gain = envelope(torch.stack(features))
        value = loss(a, gain, torch.stack(covariance), hop).mean()
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(envelope.parameters(), 1.0)
        optimizer.step()
        total += float(value.detach())
        if step % 500 == 0 or step == steps:
            count = step % 500 or 500
            seconds = time.monotonic() - began
            report(f"envelope: step {step} of {steps}, {seconds:.0f} s, loss {total / count:.4f}")
            total = 0.0
