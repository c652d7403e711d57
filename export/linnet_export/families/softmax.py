"""Family "wavernn-softmax": one GRU, one softmax over all 2^bits values of a sample.

Tensors, under torch's names, H hidden units, C conditioning channels:

    conditioning.{i}.weight, .bias, upsample.weight     as for the dual softmax
    embedding.weight (2^bits, E)                        optional: the previous sample as a vector
    gru.weight_ih_l0 (3H, E + C), without embedding (3H, 1 + C)
    gru.weight_hh_l0 (3H, H), gru.bias_ih_l0, gru.bias_hh_l0
    fc1, fc2, ... .weight and .bias                     relu between; the last has 2^bits rows

Without an embedding the previous sample enters as a scalar: the companded value of its token, as
the config's signal defines it.
"""

from __future__ import annotations

from typing import Any

from linnet.format.voice_file import VoiceFile
from linnet_export.building.builder import Builder
from linnet_export.building.tensors import Tensors
from linnet_export.config import Config
from linnet_export.families.conditioning import (
    CONDITIONING_NAMES,
    read_conditioning,
    require_conditioning,
)
from linnet_export.families.family import CONVOLUTION, LINEAR, RECURRENT, TABLE, configured
from linnet_export.families.gru import GRU, GRU_NAMES, read_gru
from linnet_export.writing.storage import Storage

NAMES = rf"{CONDITIONING_NAMES}|{GRU_NAMES}|embedding\.weight|fc\d+\.(weight|bias)"


def _require(tensors: Tensors) -> tuple[int, list[str]]:
    """Note the network's tensors as known; the number of convolutions, and the layers."""
    n_convolutions = require_conditioning(tensors)
    n_layers = max(1, tensors.count(r"fc(\d+)\.(?:weight|bias)") - 1)
    layers = [f"fc{i}" for i in range(1, n_layers + 1)]
    tensors.require(*GRU, *(f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")))
    if tensors.has("embedding.weight"):
        tensors.require("embedding.weight")
    tensors.finish()
    return n_convolutions, layers


def build(
    tensors: Tensors, config: Config, storage: Storage, metadata: dict[str, Any]
) -> VoiceFile:
    """The voice of a checkpoint. Raises ValueError naming the tensor or the config's key."""
    n_convolutions, layers = _require(tensors)
    signal = config.signal
    conditioning = read_conditioning(tensors, n_convolutions, config.n_features, config.hop_length)
    embedded = tensors.has("embedding.weight")
    table = tensors.get("embedding.weight", 2**signal.bits, None) if embedded else None
    width = 1 if table is None else table.shape[1]
    gru = read_gru(tensors, "gru", width + conditioning.channels)

    builder = Builder(config.sample_rate, config.hop_length, config.n_features, storage)
    frame = conditioning.build(builder)
    # An upsampling may not weigh the bias as 1, so then it enters with the sample's own inputs.
    per_frame = conditioning.upsampling is None
    early, late = (gru.input_bias if now else None for now in (per_frame, not per_frame))
    condition = builder.linear("gru.conditioning", gru.inputs[:, width:], frame, bias=early)
    condition = conditioning.upsampled(builder, condition)

    state = builder.buffer(gru.hidden)
    value, slot = builder.buffer(1), builder.slot(2**signal.bits)
    builder.begin_samples()
    previous = value if table is None else builder.embedding("embedding", table, slot)
    sums = gru.sums(builder, state)
    columns = gru.inputs[:, :width]
    gate_inputs = builder.linear("gru.input", columns, previous, add=condition, bias=late)
    builder.gates(sums, gate_inputs, state)
    out = state
    for layer in layers[:-1]:
        weight = tensors.get(f"{layer}.weight", None, out.size)
        bias = tensors.get(f"{layer}.bias", len(weight))
        out = builder.linear(layer, weight, out, bias=bias, activation="relu", prunable=True)
    weight = tensors.get(f"{layers[-1]}.weight", 2**signal.bits, out.size)
    bias = tensors.get(f"{layers[-1]}.bias", len(weight))
    logits = builder.logits(layers[-1], weight, out, bias, config.temperature)
    builder.draw(slot, logits, value, scale=signal.scale, offset=-1.0, initial_token=signal.silence)
    builder.output(signal, slot)
    return builder.voice(metadata)


FAMILY = configured(
    "wavernn-softmax",
    build,
    NAMES,
    roles={
        CONVOLUTION: ("conditioning.{i}",),
        TABLE: ("embedding",),
        RECURRENT: ("gru",),
        LINEAR: ("fc{i+1}",),
    },
)
