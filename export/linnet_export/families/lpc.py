"""Family "lpc-wavernn": a network of the excitation of speech (Valin and Skoglund 2019).

Tensors, under torch's names, H hidden units, C conditioning channels, E channels of the envelope, P
units of the head, order of the filter:

    envelope.layers.{i}.weight (E, E_in, k), .bias    valid convolutions and relu, as many and as
                                                      wide as the conditioning's
    envelope.reflection.weight (order, E), .bias      tanh: reflection coefficients
    envelope.gain.weight (1, E), .bias                exp: the excitation's standard deviation
    conditioning.{i}.weight (C_out, C_in, k), .bias   valid convolutions, any number, and relu
    gru.weight_ih_l0 (3H, 3 + C)                      columns: the last token's value, prediction
                                                      and last sample as signed roots over 8,
                                                      conditioning
    gru.weight_hh_l0 (3H, H), gru.bias_ih_l0, gru.bias_hh_l0
    O1 (P, H), O2 (classes, P); .weight and .bias

Gates stand in torch's order: reset, update, candidate.
"""

from __future__ import annotations

from dataclasses import dataclass
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
from linnet_export.families.gru import GRU, GRU_NAMES, Gru, read_gru, update_first
from linnet_export.writing.storage import Storage

NAMES = rf"{CONDITIONING_NAMES}|{GRU_NAMES}|envelope\..*|O[12]\.(weight|bias)"
PARTS = ("envelope.reflection", "envelope.gain", "O1", "O2")
INPUTS = 3
ROOT = 1 / 8  # of the roots that the network was trained with


@dataclass(frozen=True)
class Network:
    """The layers under their roles, sizes checked."""

    envelope: Conditioning
    conditioning: Conditioning
    gru: Gru
    parts: dict[str, tuple[Weights, Weights]]  # PARTS: weight, bias


def _network(tensors: Tensors, config: Config) -> Network:
    prefixes = ("envelope.layers", "conditioning")
    numbers = [require_conditioning(tensors, prefix) for prefix in prefixes]
    tensors.require(*GRU, *(f"{part}.{kind}" for part in PARTS for kind in ("weight", "bias")))
    tensors.finish()
    signal = config.signal
    if signal.companding != "excitation":
        raise ValueError(f"config signal.companding is {signal.companding!r}, not 'excitation'")
    envelope, conditioning = (
        read_conditioning(tensors, n, config.n_features, config.hop_length, prefix)
        for n, prefix in zip(numbers, prefixes, strict=True)
    )
    if envelope.kernels != conditioning.kernels:
        raise ValueError("envelope and conditioning see different numbers of frames")
    gru = read_gru(tensors, "gru", INPUTS + conditioning.channels)

    def part(name: str, rows: int | None, columns: int) -> tuple[Weights, Weights]:
        weight = tensors.get(f"{name}.weight", rows, columns)
        return weight, tensors.get(f"{name}.bias", len(weight))

    reflection = part("envelope.reflection", None, envelope.channels)
    gain = part("envelope.gain", 1, envelope.channels)
    o1 = part("O1", None, gru.hidden)
    o2 = part("O2", 1 << signal.bits, len(o1[1]))
    parts = dict(zip(PARTS, (reflection, gain, o1, o2), strict=True))
    return Network(envelope, conditioning, gru, parts)


def _frame_program(builder: Builder, net: Network) -> tuple[Buffer, Buffer, Buffer]:
    """Emit it; prediction coefficients, gain, and what the frame gives the gates."""
    filters = net.envelope.build(builder)
    reflection, gain = (
        builder.linear(name, net.parts[name][0], filters, bias=net.parts[name][1], activation=how)
        for name, how in (("envelope.reflection", "tanh"), ("envelope.gain", "exp"))
    )
    coefficients = builder.step_up(reflection)
    frame = net.conditioning.build(builder)
    columns = net.gru.inputs[:, INPUTS:]
    given = builder.linear("gru.conditioning", columns, frame, bias=net.gru.input_bias)
    return coefficients, gain, given


def build(
    tensors: Tensors, config: Config, storage: Storage, metadata: dict[str, Any]
) -> VoiceFile:
    """The voice of a checkpoint. Raises ValueError naming the tensor or the config's key."""
    net, signal = _network(tensors, config), config.signal
    builder = Builder(config.sample_rate, config.hop_length, config.n_features, storage)
    coefficients, gain, given = _frame_program(builder, net)

    builder.begin_samples()
    # One vector: prediction, gain, their two roots, and the last token's value behind them.
    vector = builder.buffer(5)
    past = builder.predict(coefficients, gain, vector[0:4], signal.least_gain)
    inputs, value = vector[2:5], vector[4:5]
    slot = builder.slot(1 << signal.bits)
    state = builder.buffer(net.gru.hidden)
    columns = net.gru.inputs[:, [1, 2, 0]] * np.array([ROOT, ROOT, 1.0])
    sums = builder.linear("gru.input", columns, inputs, add=given)
    net.gru.step(builder, state, sums)
    weight, bias = net.parts["O1"]
    hidden = builder.linear("O1", weight, state, bias=bias, activation="relu", prunable=True)
    weight, bias = net.parts["O2"]
    logits = builder.logits("O2", weight, hidden, bias, config.temperature)
    builder.draw(slot, logits, value, scale=signal.scale, offset=-1.0, initial_token=signal.silence)
    builder.output(signal, slot, excited=(vector[0:2], past))
    return builder.voice(metadata)


def checkpoint(voice: VoiceFile) -> dict[str, Weights]:
    """The tensors that a voice was built from, as it stores them: the inverse of `build`."""
    found = {tensor.name: np.array(tensor.dense) for tensor in voice.tensors}
    tensors: dict[str, Weights] = {}
    for part in ("envelope.layers", "conditioning"):
        channels, i = voice.header.n_features, 0
        while (name := f"{part}.{i}") in found:
            rows, columns = found[name].shape  # column: frame of the window, then channel
            kernel = found[name].reshape(rows, columns // channels, channels)
            tensors[f"{name}.weight"] = kernel.transpose(0, 2, 1)
            tensors[f"{name}.bias"] = found[f"{name}.bias"]
            channels, i = rows, i + 1
    for name in PARTS:
        scale = np.float32(voice.metadata.get("temperature", 1.0) if name == "O2" else 1.0)
        tensors[f"{name}.weight"] = found[name] * scale
        tensors[f"{name}.bias"] = found[f"{name}.bias"] * scale
    told = found["gru.input"] / np.array([ROOT, ROOT, 1.0], np.float32)
    inputs = np.concatenate([told[:, [2, 0, 1]], found["gru.conditioning"]], axis=1)
    # To exchange update and reset again restores torch's order.
    tensors["gru.weight_ih_l0"] = update_first(inputs)
    tensors["gru.bias_ih_l0"] = update_first(found["gru.conditioning.bias"])
    tensors["gru.weight_hh_l0"] = update_first(found["gru.recurrent"])
    tensors["gru.bias_hh_l0"] = update_first(found["gru.recurrent.bias"])
    return {
        name: np.ascontiguousarray(values.reshape(-1) if "bias" in name else values)
        for name, values in tensors.items()
    }


# The filters say what each token means, and take hardly any time: they run once in a frame.
FAMILY = configured(
    "lpc-wavernn",
    build,
    NAMES,
    checkpoint=checkpoint,
    spared=("envelope.*",),
    roles={
        CONVOLUTION: ("envelope.layers.{i}", "conditioning.{i}"),
        RECURRENT: ("gru",),
        LINEAR: PARTS,
    },
)
