"""Family "fatchord-wavernn": fatchord/WaveRNN and its descendants.

Tensors, under the original's names; C features, A aux rows, a = floor(A / 4), H units, P units of a
hidden layer, K outputs, b residual blocks (at least one), u upsampling stages:

    upsample.resnet.conv_in.weight (R, C, 2 pad + 1), .batch_norm
    upsample.resnet.layers.{0 .. b-1}.conv1, .batch_norm1, .conv2, .batch_norm2
    upsample.resnet.conv_out (A, R, 1)
    upsample.up_layers.{1, 3, .. 2u-1}.weight (1, 1, 1, 2 s + 1)      after stretching by s
    I (H, 1 + C + a); rnn1: inputs H; rnn2: inputs H + a
    fc1 (P, H + a), fc2 (P, P + a), fc3 (K, P)

With m and the four quarters a1 .. a4 of aux as `residual_mel` makes them, and x the previous
sample:

    y = I [x; m; a1] + b;  y += h1 = GRU1(y, h1);  y += h2 = GRU2([y; a2], h2)
    l = fc3 relu(fc2 [relu(fc1 [y; a3] + b); a4] + b) + b

Mode RAW: K = 2^bits, a token is drawn from softmax(l), and x = 2 token / (2^bits - 1) - 1.
Mode MOL: K = 30, x is drawn from a mixture of 10 logistics, and is the sample.

What is done here once, and not for every sample: aux is the same for all samples of a frame, so its
parts of the matrices are applied per frame. The input of GRU1 is y, which is linear in x, m and a1:
so GRU1's input matrix times I takes its place, and its largest part, too, is applied per frame.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from linnet.format.voice_file import VoiceFile
from linnet_export.building.batch_norm import BatchNorm, Float64, fold
from linnet_export.building.buffers import Buffer
from linnet_export.building.builder import Builder
from linnet_export.building.tensors import Tensors, Weights
from linnet_export.config import Config, Signal
from linnet_export.families import fatchord_names, hparams
from linnet_export.families.family import LINEAR, RECURRENT, configured
from linnet_export.families.gru import PARTS as GRU_PARTS
from linnet_export.families.gru import Gru, read_gru
from linnet_export.families.residual_mel import MelNetwork, Stages, upsampling_matrix
from linnet_export.writing.storage import Storage

NAMES = r"upsample\.(resnet|up_layers)\..*|I\..*|rnn[12]\..*|fc[123]\..*"
RESNET = "upsample.resnet"
NORM = ("weight", "bias", "running_mean", "running_var")
NORM_EPSILON = 1e-5  # torch's default, which no state dict holds
LEAST_LOG_SCALE = math.log(1e-14)


def _require(tensors: Tensors) -> tuple[int, int]:
    """Note the network's tensors as known; the numbers of residual blocks and upsampling stages."""
    blocks = tensors.count(rf"{re.escape(RESNET)}\.layers\.(\d+)\..*")
    stages = (tensors.count(r"upsample\.up_layers\.(\d+)\.weight") + 1) // 2
    for name in ["batch_norm"] + [f"layers.{i}.batch_norm{k}" for i in range(blocks) for k in "12"]:
        tensors.require(*(f"{RESNET}.{name}.{kind}" for kind in NORM))
    for name in ["conv_in"] + [f"layers.{i}.conv{k}" for i in range(blocks) for k in "12"]:
        tensors.require(f"{RESNET}.{name}.weight")
    tensors.require(*(f"upsample.up_layers.{2 * i + 1}.weight" for i in range(max(stages, 1))))
    for name in (f"{RESNET}.conv_out", "I", "fc1", "fc2", "fc3"):
        tensors.require(f"{name}.weight", f"{name}.bias")
    tensors.require(*(f"{rnn}.{kind}" for rnn in ("rnn1", "rnn2") for kind in GRU_PARTS))
    tensors.finish()
    return blocks, max(stages, 1)


def _convolution(tensors: Tensors, conv: str, norm: str, *shape: int | None) -> tuple[Float64, ...]:
    weight = tensors.get(f"{RESNET}.{conv}.weight", *shape)
    parts = (tensors.get(f"{RESNET}.{norm}.{kind}", weight.shape[0]) for kind in NORM)
    try:
        return fold(weight, None, BatchNorm(NORM_EPSILON, *parts))
    except ValueError as error:
        raise ValueError(f"{RESNET}.{norm}: {error}") from None


def _stages(tensors: Tensors, n: int) -> Stages:
    stages = []
    for i in range(n):
        name = f"upsample.up_layers.{2 * i + 1}.weight"
        weight = tensors.get(name, 1, 1, 1, None).reshape(-1)
        if len(weight) % 2 == 0 or len(weight) < 3:
            raise ValueError(f"{name}: {len(weight)} samples; it must span 2 s + 1")
        stages.append((len(weight) // 2, weight))
    return stages


def _mel_network(tensors: Tensors, blocks: int, stages: Stages, n_features: int) -> MelNetwork:
    first = _convolution(tensors, "conv_in", "batch_norm", None, n_features, None)
    width, _, k = first[0].shape
    if k % 2 == 0:
        raise ValueError(f"{RESNET}.conv_in.weight: {k} frames; it must span 2 pad + 1")
    residual = []
    for i in range(blocks):
        for part in "12":
            names = (f"layers.{i}.conv{part}", f"layers.{i}.batch_norm{part}")
            weight, bias = _convolution(tensors, *names, width, width, 1)
            residual.append((weight[:, :, 0], bias))
    last = tensors.get(f"{RESNET}.conv_out.weight", None, width, 1)
    try:
        upsampling = upsampling_matrix(stages, k // 2)
    except ValueError as error:
        raise ValueError(f"upsample: {error}") from None
    return MelNetwork(
        k // 2,
        (first[0], first[1]),
        tuple(residual),
        (last[:, :, 0], tensors.get(f"{RESNET}.conv_out.bias", len(last))),
        upsampling,
    )


@dataclass(frozen=True)
class Network:
    """The layers under their roles, sizes checked."""

    mel: MelNetwork
    scales: list[int]  # of the upsampling stages
    inputs: tuple[Weights, Weights]  # I: (H, 1 + C + a), (H,)
    rnn1: Gru
    rnn2: Gru
    fc1: tuple[Weights, Weights]
    fc2: tuple[Weights, Weights]
    fc3: tuple[Weights, Weights]

    @property
    def mode(self) -> str:
        return "MOL" if len(self.fc3[1]) == hparams.LOGISTICS else "RAW"


def _network(tensors: Tensors, n_features: int) -> Network:
    blocks, n_stages = _require(tensors)
    stages = _stages(tensors, n_stages)
    mel = _mel_network(tensors, blocks, stages, n_features)
    quarter = mel.n_aux // 4
    if not quarter:
        raise ValueError(f"{RESNET}.conv_out.weight: {mel.n_aux} rows do not make four parts")

    def linear(name: str, rows: int | None, cols: int) -> tuple[Weights, Weights]:
        weight = tensors.get(f"{name}.weight", rows, cols)
        return weight, tensors.get(f"{name}.bias", weight.shape[0])

    inputs = linear("I", None, 1 + n_features + quarter)
    hidden = len(inputs[1])
    fc1 = linear("fc1", None, hidden + quarter)
    size = len(fc1[1])
    fc2, fc3 = linear("fc2", size, size + quarter), linear("fc3", None, size)
    rnns = (
        read_gru(tensors, "rnn1", hidden, hidden),
        read_gru(tensors, "rnn2", hidden + quarter, hidden),
    )
    return Network(mel, [scale for scale, _ in stages], inputs, *rnns, fc1, fc2, fc3)


def _check(network: Network, config: Config) -> None:
    """Refuse a config that says of the network what its tensors do not."""
    mel, scales, n_outputs = network.mel, network.scales, len(network.fc3[1])
    if math.prod(scales) != config.hop_length:
        raise ValueError(
            f"config features.hop_length is {config.hop_length}, but upsample.up_layers stretch by "
            f"{' x '.join(map(str, scales))} = {math.prod(scales)}"
        )
    signal = config.signal
    if network.mode == "MOL" and config.temperature != 1:
        raise ValueError("a temperature divides the logits of mode RAW, and this is mode MOL")
    if network.mode == "MOL" and (signal.bits, signal.companding) != (16, "linear"):
        raise ValueError(
            f"config signal has {signal.bits} bits, {signal.companding}; fc3.weight's "
            f"{hparams.LOGISTICS} rows are a mixture of logistics over 16 linear bits"
        )
    if n_outputs == 2:
        raise ValueError("fc3.weight has 2 rows: a Gaussian is not supported")
    if network.mode == "RAW" and n_outputs != 1 << signal.bits:
        raise ValueError(
            f"config signal.bits is {signal.bits}, but fc3.weight has {n_outputs} rows"
        )
    actual = {
        "mode": network.mode,
        "pad": mel.pad,
        "upsample_factors": scales,
        "rnn_dims": len(network.inputs[1]),
        "fc_dims": len(network.fc1[1]),
        "compute_dims": len(mel.first[1]),
        "res_out_dims": mel.n_aux,
        "res_blocks": len(mel.residual) // 2,
    }
    for key, said in config.network.items():
        if key not in actual:
            raise ValueError(f"config network.{key} is none of {', '.join(actual)}")
        if said != actual[key]:
            raise ValueError(
                f"config network.{key} is {said!r}, but the tensors make it {actual[key]!r}"
            )


def _frame_program(builder: Builder, net: Network, bias: Float64, weight: Float64) -> list[Buffer]:
    """Emit it; what the frame gives to I with rnn1's gates, to rnn2, fc1 and fc2."""
    hidden, n, size = len(net.inputs[1]), net.mel.n_features, len(net.fc1[1])
    aux, quarter = net.mel.aux(builder), net.mel.n_aux // 4
    a1, a2, a3, a4 = (aux[i * quarter : (i + 1) * quarter] for i in range(4))
    frames = net.mel.frames(builder, len(bias))
    builder.linear("I.aux", weight[:, 1 + n :], a1, bias=bias, out=frames[-len(bias) :])
    per_frame = builder.linear("I.features", weight[:, 1 : 1 + n], builder.features)
    start = net.mel.upsampled(builder, per_frame, frames)
    parts = (
        ("rnn2.aux", net.rnn2.inputs[:, hidden:], a2, net.rnn2.input_bias),
        ("fc1.aux", net.fc1[0][:, hidden:], a3, net.fc1[1]),
        ("fc2.aux", net.fc2[0][:, size:], a4, net.fc2[1]),
    )
    return [start, *(builder.linear(name, w, a, bias=b) for name, w, a, b in parts)]


def build(
    tensors: Tensors, config: Config, storage: Storage, metadata: dict[str, Any]
) -> VoiceFile:
    """The voice of a checkpoint. Raises ValueError naming the tensor or the config's key."""
    net = _network(tensors, config.n_features)
    _check(net, config)
    builder = Builder(config.sample_rate, config.hop_length, config.n_features, storage)
    builder.lookahead = net.mel.lookahead
    hidden, size = len(net.inputs[1]), len(net.fc1[1])
    # y, and behind it the inputs of rnn1's gates.
    inputs, rnn1 = net.inputs, net.rnn1
    weight, bias = inputs[0].astype(np.float64), inputs[1].astype(np.float64)
    weight = np.concatenate([weight, rnn1.inputs @ weight])
    bias = np.concatenate([bias, rnn1.inputs @ bias + rnn1.input_bias])
    start, *auxiliary = _frame_program(builder, net, bias, weight)
    rnn2_aux, fc1_aux, fc2_aux = auxiliary

    h1, h2, x = builder.buffer(hidden), builder.buffer(hidden), builder.buffer(1)
    builder.begin_samples()
    both = builder.linear("I.sample", weight[:, :1], x, add=start)
    y = both[:hidden]
    rnn1.step(builder, h1, both[hidden:])
    builder.add(y, h1, y)
    columns = net.rnn2.inputs[:, :hidden]
    gate_inputs = builder.linear(
        "rnn2.input", columns, y, add=rnn2_aux, prunable=True, parts=(1, 3)
    )
    net.rnn2.step(builder, h2, gate_inputs)
    builder.add(y, h2, y)
    relu: dict[str, Any] = {"activation": "relu", "prunable": True}
    one = builder.linear("fc1", net.fc1[0][:, :hidden], y, add=fc1_aux, **relu)
    two = builder.linear("fc2", net.fc2[0][:, :size], one, add=fc2_aux, **relu)
    weight, bias = net.fc3
    if net.mode == "RAW":
        outputs = builder.logits("fc3", weight, two, bias, config.temperature)
        _softmax(builder, config.signal, outputs, x)
    else:  # the parameters of a mixture are few, and each of them matters
        _mixture(builder, config.signal, builder.linear("fc3", weight, two, bias=bias), x)
    return builder.voice(metadata)


def _softmax(builder: Builder, signal: Signal, outputs: Buffer, x: Buffer) -> None:
    slot = builder.slot(outputs.size)
    builder.draw(
        slot,
        outputs,
        x,
        scale=signal.scale,
        offset=-1.0,
        initial_token=signal.silence,
        initial_value=0.0,
    )
    builder.output(signal, slot)


def _mixture(builder: Builder, signal: Signal, outputs: Buffer, x: Buffer) -> None:
    n = outputs.size // 3
    logits, means, log_scales = (outputs[i * n : (i + 1) * n] for i in range(3))
    builder.logistics(logits, means, log_scales, x, least_scale=LEAST_LOG_SCALE)
    builder.bands(x, pre_emphasis=signal.pre_emphasis)


FAMILY = configured(
    "fatchord-wavernn",
    build,
    NAMES,
    canonical=fatchord_names.canonical,
    expand=lambda config, tensors: hparams.expand(
        config, len(fatchord_names.canonical(tensors).get("fc3.bias", ()))
    ),
    roles={RECURRENT: ("rnn1", "rnn2"), LINEAR: ("I", "fc1", "fc2", "fc3")},
    hint=f" (give its preset: {', '.join(hparams.PRESETS)})",
)
