"""The conditioning network of fatchord/WaveRNN and its relatives.

Features (C x T) get `pad` zero frames at both ends. Frame rate: a convolution over 2 pad + 1 frames
and residual blocks of two 1 x 1 convolutions, each with a batch norm, give aux (A x T). Sample
rate: the features themselves, stretched and smoothed stage by stage, without the samples of the
padding.

What is done here once, and not for every frame: batch norms go into the convolutions, and the chain
of stretching and smoothing becomes one matrix (hop x window) over frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from linnet_export.building.batch_norm import Float64
from linnet_export.building.buffers import Buffer
from linnet_export.building.builder import Builder
from linnet_export.building.tensors import Weights

MOST_HOP = 65536  # samples of a frame
MOST_PRODUCTS = 1 << 30  # of a stage, in computing what a frame and its neighbours give
Stages = list[tuple[int, Weights]]  # (repetition in time, odd smoothing filter), in turn


@dataclass(frozen=True)
class MelNetwork:
    """The network, folded."""

    pad: int
    first: tuple[Float64, Float64]  # (R, C, 2 pad + 1), (R,)
    residual: tuple[tuple[Float64, Float64], ...]  # two per block: (R, R), (R,)
    last: tuple[Weights, Weights]  # (A, R), (A,)
    upsampling: Float64  # (hop, 2 lookahead + 1), of frames t - lookahead .. t + lookahead

    @property
    def n_features(self) -> int:
        return int(self.first[0].shape[1])

    @property
    def n_aux(self) -> int:
        return int(self.last[0].shape[0])

    @property
    def lookahead(self) -> int:
        """Frames after a frame that its samples depend on; as many as before it."""
        return int(self.upsampling.shape[1]) // 2

    def aux(self, builder: Builder, out: Buffer | None = None) -> Buffer:
        """Emit the residual network: aux of the frame that is `lookahead` frames old.

        The window starts with zero frames, as a reset leaves them and the padding has them, so
        nothing needs to run before the first frame.
        """
        weight, bias = self.first
        frames, channels = 2 * self.pad + 1, self.n_features
        window = builder.history(builder.features, self.lookahead + self.pad + 1)
        matrix = weight.transpose(0, 2, 1).reshape(len(weight), -1)
        past = window[: frames * channels]
        a = builder.linear("aux.first", matrix, past, bias=bias, activation="relu")
        for i in range(0, len(self.residual), 2):
            (w1, b1), (w2, b2) = self.residual[i : i + 2]
            inner = builder.linear(f"aux.{i}", w1, a, bias=b1, activation="relu")
            a = builder.linear(f"aux.{i + 1}", w2, inner, bias=b2, add=a)
        return builder.linear("aux.last", self.last[0], a, bias=self.last[1], out=out)

    def frames(self, builder: Builder, n: int) -> Buffer:
        """Room for a window of frames of n floats, and behind them n floats that every sample of a
        frame gets as they are: they are one more frame, which is weighed 1."""
        return builder.buffer((self.upsampling.shape[1] + 1) * n)

    def upsampled(self, builder: Builder, per_frame: Buffer, frames: Buffer) -> Buffer:
        """Rows, one per sample: `per_frame` (n), a linear function of the features, upsampled, plus
        the last n floats of `frames`."""
        builder.history_into(per_frame, frames[: -per_frame.size])
        ones = np.ones((len(self.upsampling), 1))
        return builder.upsample("upsample", np.concatenate([self.upsampling, ones], axis=1), frames)


def _response(stages: Stages, before: int, after: int) -> Float64:
    """What one frame gives, (before + 1 + after, hop), where the signal ends as many frames before
    and after it."""
    signal = np.zeros(before + 1 + after)
    signal[before] = 1.0
    for repeat, smoothing in stages:
        padded = np.pad(np.repeat(signal, repeat), len(smoothing) // 2)
        windows = np.lib.stride_tricks.sliding_window_view(padded, len(smoothing))
        signal = windows @ smoothing.astype(np.float64)
    return signal.reshape(before + 1 + after, -1)


def upsampling_matrix(stages: Stages, pad: int) -> Float64:
    """Stretching and smoothing as weights (hop, 2 n + 1), n >= pad: of frames t - n .. t + n, for
    the samples of frame t.

    Raises ValueError where that is not the same for every frame: where what the original cuts off
    beyond its padding, stage by stage, would come back into what it keeps.
    """
    reach, hop = 0.0, 1
    if math.prod(repeat for repeat, _ in stages) > MOST_HOP:
        raise ValueError(f"the upsampling makes more than {MOST_HOP} samples of a frame")
    for repeat, smoothing in stages:
        if len(smoothing) % 2 == 0:
            raise ValueError(f"a smoothing filter of {len(smoothing)} samples has no centre")
        hop *= repeat
        reach += len(smoothing) // 2 / hop
    far = int(np.ceil(reach)) + pad + 1
    longest = max((len(smoothing) for _, smoothing in stages), default=1)
    if (2 * far + 1) * hop * longest > MOST_PRODUCTS:
        raise ValueError(
            f"the upsampling smooths {2 * far + 1} frames of {hop} samples by {longest} at a time"
        )
    whole = _response(stages, far, far)
    for cut, kept in (
        (_response(stages, pad, far)[pad:], whole[far:]),
        (_response(stages, far, pad)[: far + 1], whole[: far + 1]),
    ):
        if np.abs(cut - kept).max() > 1e-12 * np.abs(whole).max():
            raise ValueError(f"the upsampling reaches beyond the padding of {pad} frames and back")
    distant = np.abs(np.flatnonzero(whole.any(axis=1)) - far).max(initial=0)
    n = max(pad, int(distant))
    # Frame t sees the impulse d frames later where the impulse saw it d frames before: backwards.
    return np.ascontiguousarray(whole[far - n : far + n + 1][::-1].T)
