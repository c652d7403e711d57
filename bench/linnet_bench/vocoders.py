"""Vocoders of convolutions in the shapes that their papers give, with random weights, in PyTorch.

None of them is autoregressive: a network makes all samples of an utterance in one pass. Weight
normalisation, which is folded into the weights for use, is left out, and edges are padded with
zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Vocoder:
    """One published network."""

    name: str
    paper: str
    sample_rate: int  # Hz
    hop_length: int  # samples per frame
    n_mels: int
    margin: int  # frames before and after a frame that its samples depend on
    build: Callable[[], nn.Module]  # (1, n_mels, frames) to what `finish` takes
    finish: Callable[[Float32], Float32]  # the network's output to samples (frames * hop_length,)


def convolution(
    inputs: int, outputs: int, kernel: int, dilation: int = 1, groups: int = 1
) -> nn.Conv1d:
    """As many steps out as in."""
    padding = dilation * (kernel - 1) // 2
    return nn.Conv1d(inputs, outputs, kernel, 1, padding, dilation, groups)


def upsampling(inputs: int, outputs: int, kernel: int, stride: int) -> nn.ConvTranspose1d:
    """`stride` steps out for each step in."""
    odd = (kernel - stride) % 2
    padding = (kernel - stride + odd) // 2
    return nn.ConvTranspose1d(inputs, outputs, kernel, stride, padding, odd)


class Residual(nn.Module):
    """x + branch(x); with a skip, skip(x) + branch(x)."""

    def __init__(self, *branch: nn.Module, skip: nn.Module | None = None) -> None:
        super().__init__()
        self.branch, self.skip = nn.Sequential(*branch), skip or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.branch(x)


class Mean(nn.Module):
    """The mean of what several networks make of the same input."""

    def __init__(self, *networks: nn.Module) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> Tensor:
        total = self.networks[0](x)
        for network in self.networks[1:]:
            total = total + network(x)
        return total / len(self.networks)


@dataclass(frozen=True)
class HifiGan:
    """A row of the table of generators in Kong et al. 2020, Appendix A.1."""

    channels: int  # behind the first convolution; halved by every upsampling
    kernels: tuple[int, ...]  # of the upsamplings, by half as many steps
    residual_kernels: tuple[int, ...]  # of the residual networks whose mean is taken
    dilations: tuple[tuple[int, ...], ...]  # of each of those networks
    convolutions: int  # in each of their residual steps: 2, the second undilated, or 1


HIFI_GAN_V1 = HifiGan(512, (16, 16, 4, 4), (3, 7, 11), ((1, 3, 5),) * 3, 2)
HIFI_GAN_V3 = HifiGan(256, (16, 16, 8), (3, 5, 7), ((1, 2), (2, 6), (3, 12)), 1)


def hifi_gan(shape: HifiGan) -> nn.Module:
    """(1, 80, T) to (1, 1, 256 T)."""
    channels, slope = shape.channels, 0.1

    def residual(kernel: int, dilation: int) -> nn.Module:
        layers: list[nn.Module] = []
        for each in (dilation, 1)[: shape.convolutions]:
            layers += [nn.LeakyReLU(slope), convolution(channels, channels, kernel, each)]
        return Residual(*layers)

    layers: list[nn.Module] = [convolution(80, channels, 7)]
    for kernel in shape.kernels:
        layers += [
            nn.LeakyReLU(slope),
            upsampling(channels, channels // 2, kernel, kernel // 2),
        ]
        channels //= 2
        networks = [
            nn.Sequential(*(residual(kernel, dilation) for dilation in dilations))
            for kernel, dilations in zip(shape.residual_kernels, shape.dilations, strict=True)
        ]
        layers.append(Mean(*networks))
    return nn.Sequential(*layers, nn.LeakyReLU(0.01), convolution(channels, 1, 7), nn.Tanh())


def multi_band_melgan(channels: int = 384) -> nn.Module:
    """(1, 80, T) to (1, 1, 200 T): four bands of 50 samples a frame, and the filter of 63 taps that
    joins them."""
    slope = 0.2
    layers: list[nn.Module] = [convolution(80, channels, 7)]
    for stride in (2, 5, 5):
        layers += [
            nn.LeakyReLU(slope),
            upsampling(channels, channels // 2, 2 * stride, stride),
        ]
        channels //= 2
        for power in range(4):
            layers.append(
                Residual(
                    nn.LeakyReLU(slope),
                    convolution(channels, channels, 3, 3**power),
                    nn.LeakyReLU(slope),
                    convolution(channels, channels, 1),
                    skip=convolution(channels, channels, 1),
                )
            )
    layers += [nn.LeakyReLU(slope), convolution(channels, 4, 7), nn.Tanh()]
    return nn.Sequential(*layers, upsampling(4, 1, 63, 4))


class _Norm(nn.Module):
    """Layer normalisation over the channels of (1, channels, T)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, 1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


class _ConvNeXt(nn.Module):
    """A convolution of each channel, then two layers of all channels, scaled, beside the input."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.depthwise = convolution(channels, channels, 7, groups=channels)
        self.norm = nn.LayerNorm(channels, 1e-6)
        self.widen, self.narrow = nn.Linear(channels, inner), nn.Linear(inner, channels)
        self.scale = nn.Parameter(torch.full((channels,), 1 / 8))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).transpose(1, 2))
        y = self.scale * self.narrow(functional.gelu(self.widen(y)))
        return x + y.transpose(1, 2)


class _Spectrum(nn.Module):
    """(1, channels, T) to the real and imaginary parts (1, 2, 513, T) of spectra."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.out = nn.Linear(channels, 1026)

    def forward(self, x: Tensor) -> Tensor:
        y = self.out(x.transpose(1, 2)).transpose(1, 2)
        magnitude, phase = torch.exp(y[:, :513]).clamp(max=100), y[:, 513:]
        return torch.stack([magnitude * torch.cos(phase), magnitude * torch.sin(phase)], 1)


def vocos(channels: int = 512, inner: int = 1536) -> nn.Module:
    """(1, 100, T) to (1, 2, 513, T), for `inverse_transform`."""
    blocks = [_ConvNeXt(channels, inner) for _ in range(8)]
    first = [convolution(100, channels, 7), _Norm(channels)]
    return nn.Sequential(*first, *blocks, _Norm(channels), _Spectrum(channels))


_WINDOW = np.hanning(1025)[:-1].astype(np.float32)


def inverse_transform(spectra: Float32) -> Float32:
    """Samples (256 T,) of the spectra (1, 2, 513, T) of windows of 1024 samples, 256 apart."""
    real, imaginary = spectra[0].transpose(0, 2, 1)
    windows = np.fft.irfft(real + 1j * imaginary).astype(np.float32) * _WINDOW
    n = len(windows)
    parts = windows.reshape(n, 4, 256)
    weights = np.square(_WINDOW).reshape(4, 256)
    sums, norms = np.zeros((n + 3, 256), np.float32), np.zeros((n + 3, 256), np.float32)
    for part in range(4):
        sums[part : part + n] += parts[:, part]
        norms[part : part + n] += weights[part]
    samples = np.asarray(sums / np.maximum(norms, 1e-6), np.float32).ravel()
    return samples[384 : 384 + 256 * n]


VOCODERS = (
    Vocoder(
        *("HiFi-GAN V1", "Kong et al. 2020", 22050, 256, 80),
        margin=13,
        build=lambda: hifi_gan(HIFI_GAN_V1),
        finish=np.ravel,
    ),
    Vocoder(
        *("HiFi-GAN V3", "Kong et al. 2020", 22050, 256, 80),
        margin=11,
        build=lambda: hifi_gan(HIFI_GAN_V3),
        finish=np.ravel,
    ),
    Vocoder(
        *("multi-band MelGAN", "Yang et al. 2020", 16000, 200, 80),
        margin=29,
        build=multi_band_melgan,
        finish=np.ravel,
    ),
    Vocoder(
        *("Vocos", "Siuzdak 2023", 24000, 256, 100),
        margin=29,
        build=vocos,
        finish=inverse_transform,
    ),
)
