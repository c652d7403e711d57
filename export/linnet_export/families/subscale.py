"""Family "wavernn-subscale": the dual softmax with subscale dependencies.

(Kalchbrenner et al. 2018, section 4.) Sample n = i B + s is place i of sub-tensor s of B. Tensors
as of the family "wavernn-dual-softmax", without an upsampling, and, for L units that look at the
earlier sub-tensors:

    look.weight (L, (B - 1) (P + F + 1) + B), .bias     and relu; columns: the operation subscale
    look_gates.weight (3H, L)                           to the gates

The config's table `network` has sub_tensors B, future F and past P.
"""

from __future__ import annotations

from typing import Any

from linnet.format.voice_file import VoiceFile
from linnet_export.building.builder import Builder
from linnet_export.building.tensors import Tensors
from linnet_export.config import Config, read_integer
from linnet_export.families.conditioning import read_conditioning
from linnet_export.families.family import CONVOLUTION, LINEAR, RECURRENT, configured
from linnet_export.families.gru import GRU_NAMES
from linnet_export.families.wavernn import (
    HEADS,
    DualSoftmax,
    read_halved_gru,
    read_heads,
    require_16_bits,
    require_network,
    to_halves,
)
from linnet_export.writing.storage import Storage

LOOK, GATES = "look", "look_gates"
NAMES = (
    rf"conditioning\.\d+\.(weight|bias)|{GRU_NAMES}|(O[1-4]|{LOOK})\.(weight|bias)|{GATES}\.weight"
)
MOST_PLACES = 65535  # ahead or before; the file bounds what they make together


def build(
    tensors: Tensors, config: Config, storage: Storage, metadata: dict[str, Any]
) -> VoiceFile:
    """The voice of a checkpoint. Raises ValueError naming the tensor or the config's key."""
    if tensors.has("upsample.weight"):
        raise ValueError("upsample.weight: a subscale network has one vector of conditions a frame")
    n_convolutions = require_network(tensors, f"{LOOK}.weight", f"{LOOK}.bias", f"{GATES}.weight")
    require_16_bits(config)
    b, future, past = (
        read_integer(config.network, "network", key, low, high)
        for key, low, high in (
            ("sub_tensors", 2, 16),
            ("future", 0, MOST_PLACES),
            ("past", 0, MOST_PLACES),
        )
    )
    if config.hop_length % b:
        raise ValueError(f"{b} sub-tensors do not divide a hop of {config.hop_length}")

    conditioning = read_conditioning(tensors, n_convolutions, config.n_features, config.hop_length)
    gru = read_halved_gru(tensors, conditioning.channels)
    heads = read_heads(tensors, gru.hidden)

    builder = Builder(
        config.sample_rate, config.hop_length, config.n_features, storage, samples_per_step=b
    )
    frame = conditioning.build(builder)
    conditions = builder.linear("gru.conditioning", gru.inputs[:, 3:], frame, bias=gru.input_bias)
    network = DualSoftmax(builder, gru.hidden, config.temperature)
    builder.begin_samples()
    window = builder.subscale(b, future, past, conditions)
    weight = tensors.get(f"{LOOK}.weight", None, window.size)
    bias = tensors.get(f"{LOOK}.bias", len(weight))
    looked = builder.linear(LOOK, weight, window, bias=bias, activation="relu", prunable=True)
    to_gates = to_halves(tensors.get(f"{GATES}.weight", 3 * gru.hidden, looked.size))
    given = builder.linear(GATES, to_gates, looked, add=conditions, prunable=True, parts=(2, 3))
    sums = network.begin(gru.recurrent, gru.recurrent_bias)
    size = given.size // 2
    for i, name in enumerate(("coarse", "fine")):
        part = slice(i * size, (i + 1) * size)
        layers = heads[2 * i : 2 * i + 2]
        network.byte(name, sums, gru.inputs[part, : 2 + i], given[part], layers)
    builder.output(config.signal, network.coarse, network.fine)
    return builder.voice(metadata)


FAMILY = configured(
    "wavernn-subscale",
    build,
    NAMES,
    roles={
        CONVOLUTION: ("conditioning.{i}",),
        RECURRENT: ("gru",),
        LINEAR: (LOOK, GATES, *HEADS),
    },
)
