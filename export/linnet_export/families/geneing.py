"""Family "geneing-wavernn": the voices of github.com/geneing/WaveRNN-Pytorch (`model.bin`).

m: features (C x T), `pad` zero frames added at both ends. Frame rate: a convolution over 2 pad + 1
frames and residual blocks give aux (A x T). Sample rate: m stretched and smoothed to m_up, and with
x the previous sample

    y = I [x; m_up; a1] + b;  h = GRU(y, h);  l = fc2 relu(fc1 [y + h; a2] + b) + b

of which k is drawn, and x = 2 k / (2^bits - 1) - 1. Here a1 is the first A/2 - 1 rows of aux, a2
the last A/2.

What is done here once, and not for every sample: batch norms go into the convolutions; the chain of
stretching and smoothing is one matrix (hop x window) over frames; since it works on every channel
alike, I is applied to frames, before it; and what a1 and the biases give is constant within a
frame: it enters as one more frame that is weighed 1. Matrices stay in their groups of four columns:
the parts of I start at multiples of four, their inputs next to zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

from linnet.format.voice_file import VoiceFile
from linnet_export.building.batch_norm import BatchNorm, Float64, fold
from linnet_export.building.buffers import Buffer
from linnet_export.building.builder import Builder
from linnet_export.building.tensors import Weights
from linnet_export.config import (
    Signal,
    check_features,
    merge,
    read_integer,
    read_pre_emphasis,
    read_temperature,
)
from linnet_export.families.family import Family, Tables
from linnet_export.families.gru import update_first
from linnet_export.families.residual_mel import MelNetwork, upsampling_matrix
from linnet_export.readers.checkpoint import Checkpoint
from linnet_export.readers.geneing_file import (
    Conv,
    Gru,
    Layer,
    Linear,
    ModelFile,
    Smoothing,
    Stretch,
)
from linnet_export.writing.storage import Storage

SAMPLE_RATE = 16000  # Hz; the file does not say
# Nor does it say what its features are; these are the defaults of the project that trained it (its
# hparams.py). Its sample mel.npy was not computed from the recording beside it, so it cannot be
# reproduced: the mean difference is 0.32 (of -4 .. 4, correlation 0.97). But the network scores
# that recording with 1.910 nats per sample under these features and 1.880 under mel.npy, and with
# 1.96 to 2.37 where n_fft, the window, fmin, fmax, offset or scale is another.
FEATURES: dict[str, Any] = {
    "kind": "log-mel",
    "sample_rate": SAMPLE_RATE,
    "n_fft": 2048,
    "win_length": 800,
    "hop_length": 200,
    "n_mels": 80,
    "fmin": 95.0,
    "fmax": 7600.0,
    "mel_scale": "slaney",
    "mel_norm": "slaney",
    "power": 1.0,
    "log": "db",
    "floor": 1e-5,
    "offset": 30.0,
    "scale": 0.08,
    "clip_min": -4.0,
    "clip_max": 4.0,
    "center": True,
    "pad_mode": "constant",
}
T = TypeVar("T", bound=Layer)


@dataclass(frozen=True)
class Network:
    """The layers under their roles, sizes checked."""

    mel: MelNetwork  # aux has A rows
    inputs: Linear  # (H, 1 + C + A/2 - 1)
    gru: Gru
    fc1: Linear  # (P, H + A/2)
    fc2: Linear  # (2^bits, P)


class Parts(NamedTuple):
    """The file's layers in their order."""

    first: tuple[Float64, Float64]
    residual: list[tuple[Float64, Float64]]
    last: Conv
    stretch: Stretch
    stages: list[tuple[Stretch, Smoothing]]
    inputs: Linear
    gru: Gru
    fc1: Linear
    fc2: Linear


def _check_sizes(model: ModelFile, parts: Parts, n_left: int) -> None:
    first, residual, last, stretch, stages, inputs, gru, fc1, fc2 = parts
    pad, hop = model.padding, model.hop_length
    width, features, k = first[0].shape
    aux, hidden, classes = last.weight.shape[0], gru.recurrent.shape[1], fc2.weight.shape[0]
    steps = int(np.prod([stage.time for stage, _ in stages]))
    expected = {
        "layers after the last": (n_left, 0),
        "frames of the first convolution": (k, 2 * pad + 1),
        "residual convolutions": ({w.shape for w, _ in residual} - {(width, width, 1)}, set()),
        "the convolution after them": (last.weight.shape, (aux, width, 1)),
        "aux rows": (aux % 2, 0),
        "stretching of aux": ((stretch.time, stretch.frequency), (hop, 1)),
        "stretching of the features": ((steps, {s.frequency for s, _ in stages}), (hop, {1})),
        "the input layer": (inputs.weight.shape, (hidden, features + aux // 2)),
        "inputs of the GRU": (gru.input.shape, (3, hidden, hidden)),
        "columns of fc1": (fc1.weight.shape[1], hidden + aux // 2),
        "columns of fc2": (fc2.weight.shape[1], fc1.weight.shape[0]),
        "classes": (classes, 1 << (classes.bit_length() - 1)),
    }
    for what, (have, want) in expected.items():
        if have != want:
            raise ValueError(f"{what}: {have}, not {want}")


def network(model: ModelFile) -> Network:
    """Assign roles to the layers. Raises ValueError where order or sizes are not the network's."""
    layers = list(model.layers)

    def take(kind: type[T]) -> T:
        if not layers or not isinstance(layers[0], kind):
            found = type(layers[0]).__name__ if layers else "the end"
            raise ValueError(f"{found} where the network has its next {kind.__name__}")
        layer = layers.pop(0)
        assert isinstance(layer, kind)
        return layer

    def convolution() -> tuple[Float64, Float64]:
        conv, norm = take(Conv), take(BatchNorm)
        return fold(conv.weight, conv.bias, norm)

    first = convolution()
    residual = [convolution() for _ in range(2 * model.residual_blocks)]
    last = take(Conv)
    stretch = take(Stretch)
    stages = [(take(Stretch), take(Smoothing)) for _ in range(model.upsampling_layers)]
    inputs, gru, fc1, fc2 = take(Linear), take(Gru), take(Linear), take(Linear)
    parts = Parts(first, residual, last, stretch, stages, inputs, gru, fc1, fc2)
    _check_sizes(model, parts, len(layers))
    pad, aux = model.padding, len(last.weight)
    mel = MelNetwork(
        pad,
        first,
        tuple((weight[:, :, 0], bias) for weight, bias in residual),
        (last.weight[:, :, 0], np.zeros(aux) if last.bias is None else last.bias),
        upsampling_matrix([(stage.time, smoothing.weight) for stage, smoothing in stages], pad),
    )
    return Network(mel, inputs, gru, fc1, fc2)


Columns = tuple[Weights, int, int]  # with zeros before and behind, and how many of either


def _columns(weights: Weights, start: int, stop: int) -> Columns:
    """Columns start .. stop, with zeros before and behind to whole groups of four; how many."""
    before, behind = start % 4, -stop % 4
    return np.pad(weights[:, start:stop], ((0, 0), (before, behind))), before, behind


def _metadata(model: ModelFile, config: Tables, name: str) -> dict[str, Any]:
    """What the file's metadata says, besides layers and signal."""
    channels = next(layer.weight.shape[1] for layer in model.layers if isinstance(layer, Conv))
    features: dict[str, Any] = {
        "kind": "external",
        "n_mels": channels,
        "description": "not in model.bin, and its sizes are not those of the project's defaults",
    }
    if (channels, model.hop_length) == (FEATURES["n_mels"], FEATURES["hop_length"]):
        features = dict(FEATURES)
    own = config.get("features", {})
    return {
        "name": name,
        "architecture": "geneing-wavernn",
        "features": own if "kind" in own else merge(features, own),
        "training": config.get("training", {"source": "github.com/geneing/WaveRNN-Pytorch"}),
    }


def _check(config: Tables) -> None:
    known = {"name", "features", "training", "signal", "temperature", "matching", "matching_rounds"}
    unknown, signal = set(config) - known, config.get("signal", {})
    for table in ("features", "signal"):
        if not isinstance(config.get(table, {}), Mapping):
            raise ValueError(f"config {table!r} is no table")
    if unknown or set(signal) - {"companding", "pre_emphasis"}:
        raise ValueError(
            "model.bin says the rest itself: its config may hold name, features, training, "
            "temperature, matching, matching_rounds, signal.companding and signal.pre_emphasis, "
            f"not {', '.join(sorted(unknown) or sorted(signal))}"
        )


def _sample_rate(model: ModelFile, metadata: dict[str, Any], n_features: int) -> int:
    """The sample rate, once the features are known to have the sizes of the file."""
    definition = {"sample_rate": SAMPLE_RATE, **metadata["features"]}
    for key, size in (("n_mels", n_features), ("hop_length", model.hop_length)):
        if definition.get(key, size) != size:
            raise ValueError(f"config features.{key} is {definition[key]}; model.bin has {size}")
    check_features(metadata["features"])
    return read_integer(definition, "features", "sample_rate", 1, 384000)


def _frame_program(
    builder: Builder, net: Network, matrices: tuple[Columns, Columns]
) -> tuple[Buffer, Buffer]:
    """Emit it; what the frame gives to I, for every sample, and to fc1."""
    (input_m, _, _), (input_a, before_a, behind_a) = matrices
    hidden, aux = net.gru.recurrent.shape[1], net.mel.n_aux
    aux_rows = builder.buffer(before_a + aux + behind_a)
    net.mel.aux(builder, aux_rows[before_a : before_a + aux])
    per_frame = builder.linear("input.features", input_m, builder.features_with_margin)
    # Rows of aux behind a1 meet the zero columns that fill its last group.
    a1 = aux_rows[0 : before_a + aux // 2 - 1 + behind_a]
    frames = net.mel.frames(builder, hidden)
    builder.linear("input.aux", input_a, a1, bias=net.inputs.bias, out=frames[-hidden:])
    inputs = net.mel.upsampled(builder, per_frame, frames)
    a2 = aux_rows[before_a + aux // 2 : before_a + aux]
    fc1 = net.fc1
    return inputs, builder.linear("fc1.aux", fc1.weight[:, hidden:], a2, bias=fc1.bias)


def _gates(builder: Builder, gru: Gru, state: Buffer, y: Buffer) -> None:
    """Emit the GRU's step; its inputs are pruned like its recurrent matrix."""
    recurrent, gate_inputs = (
        builder.linear(
            name,
            update_first(w.reshape(-1, w.shape[2])),
            source,
            bias=update_first(b.reshape(-1)),
            prunable=True,
            parts=(1, 3),
        )
        for name, w, b, source in (
            ("gru.recurrent", gru.recurrent, gru.recurrent_bias, state),
            ("gru.input", gru.input, gru.input_bias, y),
        )
    )
    builder.gates(recurrent, gate_inputs, state)


def build(checkpoint: Checkpoint, config: Tables, name: str, storage: Storage) -> VoiceFile:
    """The voice. Raises ValueError naming what does not fit.

    The config's signal.companding is "mu-law" where the network was trained on it, and its
    signal.pre_emphasis that of the samples that it was trained on; the file says neither.
    """
    _check(config)
    model: ModelFile = checkpoint.layers
    metadata = _metadata(model, config, name)
    own_signal = config.get("signal", {})
    companding = str(own_signal.get("companding", "linear"))
    pre_emphasis = read_pre_emphasis(own_signal)
    temperature = read_temperature(config)
    try:
        net = network(model)
    except ValueError as error:
        raise ValueError(f"model.bin: {error}") from None
    hidden, aux, features = net.gru.recurrent.shape[1], net.mel.n_aux, net.mel.n_features
    sample_rate = _sample_rate(model, metadata, features)
    signal = _signal(net.fc2.weight.shape[0].bit_length() - 1, companding, pre_emphasis)
    of_features = _columns(net.inputs.weight, 1, 1 + features)
    of_aux = _columns(net.inputs.weight, 1 + features, features + aux // 2)
    builder = Builder(sample_rate, model.hop_length, features, storage, of_features[1:])
    builder.lookahead = net.mel.lookahead
    inputs, fc1_aux = _frame_program(builder, net, (of_features, of_aux))

    state, value = builder.buffer(hidden), builder.buffer(1)
    slot = builder.slot(1 << signal.bits)
    builder.begin_samples()
    x = value
    if companding == "mu-law":
        x = builder.embedding("input.values", signal.values()[:, None], slot)
    y = builder.linear("input.sample", net.inputs.weight[:, :1], x, add=inputs)
    _gates(builder, net.gru, state, y)
    builder.add(y, state, y)
    hidden_layer = builder.linear(
        "fc1", net.fc1.weight[:, :hidden], y, add=fc1_aux, activation="relu", prunable=True
    )
    logits = builder.logits("fc2", net.fc2.weight, hidden_layer, net.fc2.bias, temperature)
    first: dict[str, Any] = {"initial_token": signal.silence, "initial_value": 0.0}
    builder.draw(slot, logits, value, scale=signal.scale, offset=-1.0, **first)
    builder.output(signal, slot)
    metadata["signal"] = signal.metadata()
    metadata["layers"] = storage.metadata()
    return builder.voice(metadata)


def _signal(bits: int, companding: str, pre_emphasis: float) -> Signal:
    if companding not in ("linear", "mu-law"):
        raise ValueError(f"config signal.companding must be 'linear' or 'mu-law': {companding!r}")
    mu = 2.0**bits - 1 if companding == "mu-law" else 0.0
    return Signal(bits, companding, mu, pre_emphasis, "full-scale")


FAMILY = Family(
    "geneing-wavernn",
    build,
    recognises=lambda checkpoint: isinstance(checkpoint.layers, ModelFile),
)
