"""Front end "wavernn-softmax": one GRU, one softmax over all 2^bits values of a sample.

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
from linnet_export.building.gates import update_first
from linnet_export.building.tensors import Tensors
from linnet_export.config import Config
from linnet_export.families.conditioning import (
    CONDITIONING_NAMES,
    read_conditioning,
    require_conditioning,
)
from linnet_export.families.family import configured
from linnet_export.families.wavernn import GRU, GRU_NAMES
from linnet_export.writing.storage import Storage

NAMES = rf"{CONDITIONING_NAMES}|{GRU_NAMES}|embedding\.weight|fc\d+\.(weight|bias)"


def build(
    tensors: Tensors, config: Config, storage: Storage, metadata: dict[str, Any]
) -> VoiceFile:
    """The voice of a checkpoint. Raises ValueError naming the tensor or the config's key."""
    n_convolutions = require_conditioning(tensors)
    embedded = tensors.has("embedding.weight")
    n_layers = max(1, tensors.count(r"fc(\d+)\.(?:weight|bias)") - 1)
    layers = [f"fc{i}" for i in range(1, n_layers + 1)]
    tensors.require(*GRU, *(f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")))
    if embedded:
        tensors.require("embedding.weight")
    tensors.finish()

    signal = config.signal
    conditioning = read_conditioning(tensors, n_convolutions, config.n_features, config.hop_length)
    hidden = tensors.get("gru.weight_hh_l0", None, None).shape[1]
    recurrent = update_first(tensors.get("gru.weight_hh_l0", 3 * hidden, hidden))
    recurrent_bias = update_first(tensors.get("gru.bias_hh_l0", 3 * hidden))
    table = tensors.get("embedding.weight", 2**signal.bits, None) if embedded else None
    width = 1 if table is None else table.shape[1]
    inputs = update_first(
        tensors.get("gru.weight_ih_l0", 3 * hidden, width + conditioning.channels)
    )
    bias = update_first(tensors.get("gru.bias_ih_l0", 3 * hidden))

    builder = Builder(config.sample_rate, config.hop_length, config.n_features, storage)
    frame = conditioning.build(builder)
    # An upsampling may not weigh the bias as 1, so then it enters with the sample's own inputs.
    per_frame = conditioning.upsampling is None
    condition = builder.linear(
        "gru.conditioning", inputs[:, width:], frame, bias=bias if per_frame else None
    )
    condition = conditioning.upsampled(builder, condition)

    state, value, slot = builder.buffer(hidden), builder.buffer(1), builder.slot(2**signal.bits)
    builder.begin_samples()
    previous = value if table is None else builder.embedding("embedding", table, slot)
    sums = builder.linear(
        "gru.recurrent", recurrent, state, bias=recurrent_bias, prunable=True, parts=(1, 3)
    )
    gate_inputs = builder.linear(
        "gru.input", inputs[:, :width], previous, add=condition, bias=None if per_frame else bias
    )
    builder.gates(sums, gate_inputs, state)
    out = state
    for layer in layers[:-1]:
        weight = tensors.get(f"{layer}.weight", None, out.size)
        layer_bias = tensors.get(f"{layer}.bias", weight.shape[0])
        out = builder.linear(layer, weight, out, bias=layer_bias, activation="relu", prunable=True)
    weight = tensors.get(f"{layers[-1]}.weight", 2**signal.bits, out.size)
    last_bias = tensors.get(f"{layers[-1]}.bias", weight.shape[0])
    logits = builder.logits(layers[-1], weight, out, last_bias, config.temperature)
    builder.draw(slot, logits, value, scale=signal.scale, offset=-1.0, initial_token=signal.silence)
    builder.output(signal, slot)
    return builder.voice(metadata)


FAMILY = configured("wavernn-softmax", build, NAMES)
