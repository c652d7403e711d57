"""The conditioning network: valid 1-d convolutions over feature frames, then an optional upsampling
over time.

Training pads the features of an utterance with `reach` zero frames at both ends and convolves
without padding; frame t of the result sees frames t - reach .. t + reach. The frame program sees
one frame at a time, so:

* lookahead = reach: frame t's conditioning is what the program computes when frame t + reach comes.
* priming: let k be the first kernel. The window of the first layer starts as zeros, which is right,
  since the frames before the padding count as zero as well. Every later layer needs its window to
  hold real outputs (relu(bias) where the features are zero), not the zeros of a reset. The
  conditioning of frame 0, computed when frame `reach` comes, goes back over sum (k_i - 1) of the
  later layers = 2 reach - (k - 1) frames of first-layer outputs, so to the one computed at frame
  reach - (2 reach - (k - 1)) = k - 1 - reach. Where that is negative, as many zero frames must have
  run before: priming = max(0, reach - (k - 1)).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from linnet_export.building.buffers import Buffer
from linnet_export.building.builder import Builder
from linnet_export.building.tensors import Tensors, Weights

# The network's tensors, as a regular expression.
CONDITIONING_NAMES = r"conditioning\.\d+\.(weight|bias)|upsample\.weight"


@dataclass(frozen=True)
class Conditioning:
    """Weights: (C_out, C_in, k) and (C_out,) per layer, upsampling (hop_length, window) if any."""

    layers: tuple[tuple[Weights, Weights], ...]
    upsampling: Weights | None
    n_features: int
    name: str = "conditioning"

    @property
    def channels(self) -> int:
        """Floats of the conditioning vector."""
        return int(self.layers[-1][0].shape[0]) if self.layers else self.n_features

    @property
    def kernels(self) -> list[int]:
        """Frames that each stage spans, the upsampling last."""
        kernels = [int(weight.shape[2]) for weight, _ in self.layers]
        return kernels if self.upsampling is None else [*kernels, int(self.upsampling.shape[1])]

    @property
    def reach(self) -> int:
        """Frames before and after a frame that its conditioning sees."""
        return sum((k - 1) // 2 for k in self.kernels)

    @property
    def priming(self) -> int:
        """Zero frames to run before the first."""
        return max(0, self.reach - (self.kernels[0] - 1)) if self.kernels else 0

    def build(self, builder: Builder) -> Buffer:
        """Emit the convolutions; the conditioning vector, one per frame, not yet upsampled."""
        builder.lookahead, builder.priming = self.reach, self.priming
        frame = builder.features
        for i, (weight, bias) in enumerate(self.layers):
            c_out, c_in, k = weight.shape
            window = builder.history(frame, k) if k > 1 else frame
            matrix = weight.transpose(0, 2, 1).reshape(
                c_out, k * c_in
            )  # column: frame of the window, then channel
            frame = builder.linear(f"{self.name}.{i}", matrix, window, bias=bias, activation="relu")
        return frame

    def upsampled(self, builder: Builder, frame: Buffer) -> Buffer:
        """A linear function of the conditioning vector (without a bias), for every sample."""
        if self.upsampling is None:
            return frame
        window = self.upsampling.shape[1]
        return builder.upsample("upsample", self.upsampling, builder.history(frame, window))


def require_conditioning(tensors: Tensors, name: str = "conditioning") -> int:
    """Note the network's tensors, which begin with `name`, as known; the number of convolutions."""
    n = tensors.count(rf"{re.escape(name)}\.(\d+)\.(?:weight|bias)")
    for i in range(n):
        tensors.require(f"{name}.{i}.weight", f"{name}.{i}.bias")
    if tensors.has("upsample.weight"):
        tensors.require("upsample.weight")
    return n


def read_conditioning(
    tensors: Tensors, n: int, n_features: int, hop_length: int, name: str = "conditioning"
) -> Conditioning:
    """The network's weights, checked. Raises ValueError naming the tensor."""
    layers = []
    channels = n_features
    for i in range(n):
        weight = tensors.get(f"{name}.{i}.weight", None, channels, None)
        _expect_odd(f"{name}.{i}.weight", weight.shape[2])
        channels = weight.shape[0]
        layers.append((weight, tensors.get(f"{name}.{i}.bias", channels)))
    upsampling = None
    if tensors.has("upsample.weight"):
        upsampling = tensors.get("upsample.weight", hop_length, None)
        _expect_odd("upsample.weight", upsampling.shape[1])
    return Conditioning(tuple(layers), upsampling, n_features, name)


def _expect_odd(name: str, k: int) -> None:
    if not np.asarray(k) % 2:
        raise ValueError(f"{name}: {k} frames; only odd kernels are centred on a frame")
