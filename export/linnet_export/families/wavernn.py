"""Family "wavernn-dual-softmax": a 16-bit sample as two bytes (Kalchbrenner et al. 2018).

Tensors, under torch's names, H hidden units, C conditioning channels, P units of a head:

    conditioning.{i}.weight (C_out, C_in, k), .bias   valid convolutions, any number, and relu
    upsample.weight (hop, window)                     optional
    gru.weight_ih_l0 (3H, 3 + C)                      columns c(t-1), f(t-1), c(t), conditioning
    gru.weight_hh_l0 (3H, H), gru.bias_ih_l0, gru.bias_hh_l0
    O1 (P, H/2), O2 (256, P) coarse; O3, O4 fine; .weight and .bias

Gates stand in torch's order: reset, update, candidate. A byte b enters as b 2/255 - 1. The current
coarse byte reaches only the second half of the units.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from linnet.format.voice_file import VoiceFile
from linnet_export.building.buffers import Buffer
from linnet_export.building.builder import Builder
from linnet_export.building.tensors import Tensors, Weights
from linnet_export.config import Config
from linnet_export.families.conditioning import (
    CONDITIONING_NAMES,
    Conditioning,
    read_conditioning,
    require_conditioning,
)
from linnet_export.families.family import CONVOLUTION, LINEAR, RECURRENT, configured
from linnet_export.families.gru import GRU, GRU_NAMES, Gru
from linnet_export.writing.storage import Storage

CLASSES = 256
BYTE_SCALE = 2 / 255
HEADS = ("O1", "O2", "O3", "O4")
NAMES = rf"{CONDITIONING_NAMES}|{GRU_NAMES}|O[1-4]\.(weight|bias)"


def to_halves(weights: Weights, order: tuple[int, int, int] = (1, 0, 2)) -> Weights:
    """Rows (3H, ...) of gates as [update, reset, candidate] of the first half of the units, then of
    the second.

    order: where update, reset and candidate stand; torch's is reset, update, candidate.
    """
    gates = weights.reshape(3, 2, -1, *weights.shape[1:])[list(order)]
    return np.ascontiguousarray(gates.swapaxes(0, 1).reshape(weights.shape))


class DualSoftmax:
    """Emits the sample program; the parts that depend on the checkpoint are handed in."""

    def __init__(self, builder: Builder, hidden_size: int, temperature: float) -> None:
        self.builder, self.temperature = builder, temperature
        self.half = hidden_size // 2
        self.state = builder.buffer(hidden_size)
        # One vector, so that both halves read their inputs in place: c(t-1), f(t-1), c(t).
        self.bytes = builder.buffer(3)
        self.zero = builder.buffer(1)
        self.coarse, self.fine = builder.slot(CLASSES), builder.slot(CLASSES)

    def begin(self, recurrent: Weights, bias: Weights) -> Buffer:
        """The step's R h, its rows as `to_halves` gives them."""
        # c(t-1) := c(t) only now, because the fine half of the step before needed both.
        self.builder.begin_samples()
        self.builder.add(self.bytes[2:3], self.zero, self.bytes[0:1])
        return self.builder.linear(
            "gru.recurrent", recurrent, self.state, bias=bias, prunable=True, parts=(2, 3)
        )

    def byte(
        self,
        name: str,
        sums: Buffer,
        inputs: Weights,  # (3H/2, 2) coarse, (3H/2, 3) fine
        conditioning: Buffer | None,  # (3H/2)
        heads: list[tuple[str, Weights, Weights]],
        bias: Weights | None = None,
    ) -> None:
        """Gates of one half, its two layers, and the draw of its byte."""
        coarse = name == "coarse"
        part = slice(0, self.half) if coarse else slice(self.half, 2 * self.half)
        size = 3 * self.half
        recurrent = sums[0:size] if coarse else sums[size : 2 * size]
        vector = self.bytes[0:2] if coarse else self.bytes
        gate_inputs = self.builder.linear(
            f"gru.{name}_input", inputs, vector, add=conditioning, bias=bias
        )
        state = self.state[part]
        self.builder.gates(recurrent, gate_inputs, state)
        (first, w1, b1), (second, w2, b2) = heads
        hidden = self.builder.linear(first, w1, state, bias=b1, activation="relu", prunable=True)
        logits = self.builder.logits(second, w2, hidden, b2, self.temperature)
        slot = self.coarse if coarse else self.fine
        out = self.bytes[2:3] if coarse else self.bytes[1:2]
        initial = 128 if coarse else 0  # the bytes of 32768, the token of silence
        self.builder.draw(slot, logits, out, scale=BYTE_SCALE, offset=-1.0, initial_token=initial)


def read_halved_gru(tensors: Tensors, channels: int) -> Gru:
    """The GRU, its rows as `to_halves` gives them. Raises ValueError naming the tensor."""
    hidden = tensors.get("gru.weight_hh_l0", None, None).shape[1]
    if hidden % 2:
        raise ValueError(f"gru.weight_hh_l0: {hidden} units do not make two halves")
    size = 3 * hidden
    shapes = ((size, 3 + channels), (size, hidden), (size,), (size,))
    parts = (tensors.get(name, *shape) for name, shape in zip(GRU, shapes, strict=True))
    gru = Gru("gru", *map(to_halves, parts))
    if gru.inputs[: size // 2, 2].any():
        raise ValueError(
            "gru.weight_ih_l0: column 2, the current coarse byte, is not zero for the first half "
            "of the units"
        )
    return gru


def _conditions(
    builder: Builder, conditioning: Conditioning, gru: Gru
) -> tuple[list[Buffer], list[Weights | None]]:
    """Emit the frame program: what it gives the gates of either half, and the biases that are left.

    An upsampling may not weigh a bias as 1, so then it enters with the sample's own inputs.
    """
    frame = conditioning.build(builder)
    names = [f"gru.{byte}_conditioning" for byte in ("coarse", "fine")]
    matrices, biases = np.split(gru.inputs[:, 3:], 2), np.split(gru.input_bias, 2)
    if conditioning.upsampling is None:
        parts = zip(names, matrices, biases, strict=True)
        frames = [builder.linear(name, matrix, frame, bias=bias) for name, matrix, bias in parts]
        return frames, [None, None]
    size = len(matrices[0])
    together = builder.buffer(2 * size)
    for i, (name, matrix) in enumerate(zip(names, matrices, strict=True)):
        builder.linear(name, matrix, frame, out=together[i * size : (i + 1) * size])
    rows = conditioning.upsampled(builder, together)
    return [rows[0:size], rows[size : 2 * size]], [*biases]


def read_heads(tensors: Tensors, hidden: int) -> list[tuple[str, Weights, Weights]]:
    """Name, weight and bias of the two layers of the coarse byte and of the fine one."""
    found: list[tuple[str, Weights, Weights]] = []
    for name in HEADS:
        rows, cols = (None, hidden // 2) if len(found) % 2 == 0 else (CLASSES, len(found[-1][1]))
        weight = tensors.get(f"{name}.weight", rows, cols)
        found.append((name, weight, tensors.get(f"{name}.bias", len(weight))))
    return found


def require_network(tensors: Tensors, *more: str) -> int:
    """Note the network's tensors, and `more`, as known; the number of convolutions. Raises
    UnknownTensors."""
    n_convolutions = require_conditioning(tensors)
    tensors.require(*GRU, *(f"{head}.{kind}" for head in HEADS for kind in ("weight", "bias")))
    tensors.require(*more)
    tensors.finish()
    return n_convolutions


def require_16_bits(config: Config) -> None:
    """Raise ValueError for samples that are not two bytes."""
    if config.signal.bits != 16:
        raise ValueError(f"config signal.bits is {config.signal.bits}; a dual softmax makes 16")


def build(
    tensors: Tensors, config: Config, storage: Storage, metadata: dict[str, Any]
) -> VoiceFile:
    """The voice of a checkpoint. Raises ValueError naming the tensor or the config's key."""
    n_convolutions = require_network(tensors)
    require_16_bits(config)
    conditioning = read_conditioning(tensors, n_convolutions, config.n_features, config.hop_length)
    gru = read_halved_gru(tensors, conditioning.channels)
    size, heads = 3 * gru.hidden // 2, read_heads(tensors, gru.hidden)
    builder = Builder(config.sample_rate, config.hop_length, config.n_features, storage)
    conditions, biases = _conditions(builder, conditioning, gru)
    network = DualSoftmax(builder, gru.hidden, config.temperature)
    sums = network.begin(gru.recurrent, gru.recurrent_bias)
    for i, name in enumerate(("coarse", "fine")):
        byte_inputs = gru.inputs[i * size : (i + 1) * size, : 2 + i]
        layers = heads[2 * i : 2 * i + 2]
        network.byte(name, sums, byte_inputs, conditions[i], layers, biases[i])
    builder.output(config.signal, network.coarse, network.fine)
    return builder.voice(metadata)


FAMILY = configured(
    "wavernn-dual-softmax",
    build,
    NAMES,
    roles={CONVOLUTION: ("conditioning.{i}",), RECURRENT: ("gru",), LINEAR: HEADS},
)
