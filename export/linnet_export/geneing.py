"""Front end "geneing-wavernn": the voices of github.com/geneing/WaveRNN-Pytorch (`model.bin`).

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

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from linnet.format import VoiceFile
from linnet_export.buffers import Buffer
from linnet_export.config import Signal
from linnet_export.geneing_file import (
    BatchNorm,
    Conv,
    Gru,
    Layer,
    Linear,
    ModelFile,
    Smoothing,
    Stretch,
)
from linnet_export.program import Builder
from linnet_export.storage import Storage, Weights

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
Float64 = npt.NDArray[np.float64]
T = TypeVar("T", bound=Layer)


@dataclass(frozen=True)
class Network:
    """The layers under their roles, batch norms folded, sizes checked."""

    first: tuple[Float64, Float64]  # (A, C, 2 pad + 1), (A,)
    residual: tuple[tuple[Float64, Float64], ...]  # two per block: (A, A), (A,)
    last: tuple[Weights, Weights]  # (A, A), (A,)
    upsampling: Float64  # (hop, 2 pad + 1)
    inputs: Linear  # (H, 1 + C + A/2 - 1)
    gru: Gru
    fc1: Linear  # (P, H + A/2)
    fc2: Linear  # (2^bits, P)

    @property
    def n_features(self) -> int:
        return int(self.first[0].shape[1])

    @property
    def aux(self) -> int:
        return int(self.first[0].shape[0])


def _fold(conv: Conv, norm: BatchNorm) -> tuple[Float64, Float64]:
    """Convolution and the batch norm after it as one convolution, in float64."""
    if norm.weight.shape != (conv.weight.shape[0],):
        raise ValueError("model.bin: a batch norm does not fit the convolution before it")
    factor = norm.weight / np.sqrt(norm.variance.astype(np.float64) + norm.eps)
    bias = norm.bias - norm.mean * factor
    if conv.bias is not None:
        bias = bias + conv.bias * factor
    return conv.weight * factor[:, None, None], bias


def upsampling_matrix(stages: list[tuple[int, Weights]], pad: int) -> Float64:
    """Stretching and smoothing as weights (hop, 2 pad + 1): of frames t - pad .. t + pad, for the
    samples of frame t.

    stages: (repetition in time, odd smoothing filter) in turn. Raises ValueError where a frame
    would reach further than `pad` frames, because the original cuts the signal there.
    """
    n_frames = 4 * pad + 3
    centre = n_frames // 2
    response = np.zeros(n_frames)
    response[centre] = 1.0
    hop = 1
    for repeat, smoothing in stages:
        k = len(smoothing)
        if k % 2 == 0:
            raise ValueError(f"model.bin: a smoothing filter of {k} samples has no centre")
        response = np.pad(np.repeat(response, repeat), k // 2)
        windows = np.lib.stride_tricks.sliding_window_view(response, k)
        response = windows @ smoothing.astype(np.float64)
        hop *= repeat
    frames = response.reshape(n_frames, hop)
    window = frames[centre - pad : centre + pad + 1]
    if np.count_nonzero(window) != np.count_nonzero(frames):
        raise ValueError(f"model.bin: the upsampling reaches beyond the padding of {pad} frames")
    # Frame t sees the impulse d frames later where the impulse saw it d frames before: backwards.
    return np.ascontiguousarray(window[::-1].T)


def network(model: ModelFile) -> Network:
    """Assign roles to the layers. Raises ValueError where order or sizes are not the network's."""
    layers = list(model.layers)

    def take(kind: type[T]) -> T:
        if not layers or not isinstance(layers[0], kind):
            found = type(layers[0]).__name__ if layers else "the end"
            raise ValueError(f"model.bin: {found} where the network has its next {kind.__name__}")
        layer = layers.pop(0)
        assert isinstance(layer, kind)
        return layer

    first = _fold(take(Conv), take(BatchNorm))
    residual = [_fold(take(Conv), take(BatchNorm)) for _ in range(2 * model.residual_blocks)]
    last = take(Conv)
    stretch = take(Stretch)
    stages = []
    for _ in range(model.upsampling_layers):
        stages.append((take(Stretch), take(Smoothing)))
    inputs, gru, fc1, fc2 = take(Linear), take(Gru), take(Linear), take(Linear)
    pad, hop = model.padding, model.hop_length
    aux, features, k = first[0].shape
    hidden = gru.recurrent.shape[1]
    last_bias = np.zeros(aux, np.float32) if last.bias is None else last.bias
    steps = int(np.prod([stage.time for stage, _ in stages]))
    expected = {
        "layers after the last": (len(layers), 0),
        "frames of the first convolution": (k, 2 * pad + 1),
        "aux rows": (aux % 2, 0),
        "residual convolutions": (
            {w.shape for w, _ in residual} | {last.weight.shape},
            {(aux, aux, 1)},
        ),
        "stretching of aux": ((stretch.time, stretch.frequency), (hop, 1)),
        "stretching of the features": ((steps, {s.frequency for s, _ in stages}), (hop, {1})),
        "columns of the input layer": (inputs.weight.shape, (hidden, features + aux // 2)),
        "inputs of the GRU": (gru.input.shape, (3, hidden, hidden)),
        "columns of fc1": (fc1.weight.shape[1], hidden + aux // 2),
        "columns of fc2": (fc2.weight.shape[1], fc1.weight.shape[0]),
        "classes": (fc2.weight.shape[0], 1 << (fc2.weight.shape[0].bit_length() - 1)),
    }
    for what, (have, want) in expected.items():
        if have != want:
            raise ValueError(f"model.bin: {what}: {have}, not {want}")
    return Network(
        first,
        tuple((weight[:, :, 0], bias) for weight, bias in residual),
        (last.weight[:, :, 0], last_bias),
        upsampling_matrix([(stage.time, smoothing.weight) for stage, smoothing in stages], pad),
        inputs,
        gru,
        fc1,
        fc2,
    )


def _columns(weights: Weights, start: int, stop: int) -> tuple[Weights, int, int]:
    """Columns start .. stop, with zeros before and behind to whole groups of four; how many."""
    before, behind = start % 4, -stop % 4
    return np.pad(weights[:, start:stop], ((0, 0), (before, behind))), before, behind


def _update_first(gates: Weights) -> Weights:
    """(3, H, ...) reset, update, candidate -> (3H, ...) update, reset, candidate."""
    return np.concatenate([gates[1], gates[0], gates[2]])


def metadata(model: ModelFile, name: str) -> dict[str, Any]:
    """What the file's metadata says, besides layers and signal."""
    channels = next(layer.weight.shape[1] for layer in model.layers if isinstance(layer, Conv))
    features: dict[str, Any] = {
        "kind": "external",
        "n_mels": channels,
        "description": "not in model.bin, and its sizes are not those of the project's defaults",
    }
    if (channels, model.hop_length) == (FEATURES["n_mels"], FEATURES["hop_length"]):
        features = dict(FEATURES)
    return {
        "name": name,
        "architecture": "geneing-wavernn",
        "features": features,
        "training": {"source": "github.com/geneing/WaveRNN-Pytorch"},
    }


def build(model: ModelFile, storage: Storage, metadata: dict[str, Any]) -> VoiceFile:
    """The voice. Raises ValueError naming what does not fit."""
    net = network(model)
    hidden, aux, features = net.gru.recurrent.shape[1], net.aux, net.n_features
    bits = net.fc2.weight.shape[0].bit_length() - 1
    input_m, before_m, behind_m = _columns(net.inputs.weight, 1, 1 + features)
    input_a, before_a, behind_a = _columns(net.inputs.weight, 1 + features, features + aux // 2)

    margin = (before_m, behind_m)
    builder = Builder(SAMPLE_RATE, model.hop_length, features, storage, margin)
    # The first convolution and the upsampling both see frames t - pad .. t + pad, when frame t +
    # pad arrives. Both start from zero frames, as a reset leaves them, so nothing has to run before
    # the first.
    builder.lookahead = model.padding
    aux_rows = builder.buffer(before_a + aux + behind_a)
    _frame_program(builder, net, aux_rows[before_a : before_a + aux])
    window = 2 * model.padding + 1
    frames = builder.buffer((window + 1) * hidden)
    per_frame = builder.linear("input.features", input_m, builder.features_with_margin)
    builder.history_into(per_frame, frames[: window * hidden])
    constant = frames[window * hidden :]
    # Rows of aux behind a1 meet the zero columns that fill its last group.
    a1 = aux_rows[0 : before_a + aux // 2 - 1 + behind_a]
    builder.linear("input.aux", input_a, a1, bias=net.inputs.bias, out=constant)
    weights = np.concatenate([net.upsampling, np.ones((model.hop_length, 1))], axis=1)
    inputs = builder.upsample("upsample", weights, frames)
    a2 = aux_rows[before_a + aux // 2 : before_a + aux]
    fc1_aux = builder.linear("fc1.aux", net.fc1.weight[:, hidden:], a2, bias=net.fc1.bias)

    state, x, slot = builder.buffer(hidden), builder.buffer(1), builder.slot(1 << bits)
    builder.begin_samples()
    y = builder.linear("input.sample", net.inputs.weight[:, :1], x, add=inputs)
    recurrent, gate_inputs = (
        builder.linear(
            name, _update_first(w), source, bias=_update_first(b), prunable=True, parts=(1, 3)
        )
        for name, w, b, source in (
            ("gru.recurrent", net.gru.recurrent, net.gru.recurrent_bias, state),
            ("gru.input", net.gru.input, net.gru.input_bias, y),
        )
    )
    builder.gates(recurrent, gate_inputs, state)
    builder.add(y, state, y)
    hidden_layer = builder.linear(
        "fc1", net.fc1.weight[:, :hidden], y, add=fc1_aux, activation="relu", prunable=True
    )
    logits = builder.linear("fc2", net.fc2.weight, hidden_layer, bias=net.fc2.bias, prunable=True)
    signal = Signal(bits, "linear", 0.0, 0.0, "full-scale")
    builder.draw(
        slot,
        logits,
        x,
        scale=signal.scale,
        offset=-1.0,
        initial_token=signal.silence,
        initial_value=0.0,
    )
    builder.output(signal, slot)
    metadata["signal"] = signal.metadata()
    metadata["layers"] = storage.metadata()
    return builder.voice(metadata)


def _frame_program(builder: Builder, net: Network, out: Buffer) -> None:
    """aux of one frame: a convolution, residual blocks, a last layer."""
    weight, bias = net.first
    window = builder.history(builder.features, weight.shape[2])
    matrix = weight.transpose(0, 2, 1).reshape(len(weight), -1)
    a = builder.linear("aux.first", matrix, window, bias=bias, activation="relu")
    for i in range(0, len(net.residual), 2):
        (w1, b1), (w2, b2) = net.residual[i : i + 2]
        inner = builder.linear(f"aux.{i}", w1, a, bias=b1, activation="relu")
        a = builder.linear(f"aux.{i + 1}", w2, inner, bias=b2, add=a)
    builder.linear("aux.last", net.last[0], a, bias=net.last[1], out=out)
