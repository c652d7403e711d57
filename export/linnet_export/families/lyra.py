"""Family "lyra-wavegru": the generator of Lyra v1 (github.com/google/lyra, v0.0.2, wavegru/).

C features x a frame, D conditioning channels, H units, B sub-bands, K logistics each. Per frame t:

    y0 = conv1d [x(t-2); x(t-1); x(t)];  y(i+1) = stack_i [a_i(t-d); a_i(t)] + y_i,  a_i = relu(y_i)

with d = 1, 2, 4; then each column of D channels becomes two by relu(transpose_i), three times; each
of the eight columns c becomes g = conv_to_gates (conv_cond c). Per step, with a the last step's
value of each band:

    h = GRU(ar_to_gates a + g, h);  p = relu(proj h)
    a_b = trunc(256 v) / 32768, v from a mixture of logistics: mix p, means p, softplus(scales p)

and the bands are merged two by two. The recurrent matrix is block-diagonal: its zeros are not
stored. Nor are those between the frames t - d and t of a history.

Start: x(-1) is silence, the frames before are zeros, and so are all a_i. The network was trained to
see one frame ahead: the samples of frame t are those that follow frame t + 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from linnet.format.voice_file import VoiceFile
from linnet_export.building.buffers import Buffer
from linnet_export.building.builder import Builder
from linnet_export.building.tensors import Weights
from linnet_export.families.family import Family, Tables, refuse_keys
from linnet_export.readers.checkpoint import Checkpoint
from linnet_export.readers.lyra_files import Float32, Layer
from linnet_export.writing.storage import Storage

# None of these stand in the files (lyra_config.cc, log_mel_spectrogram_extractor_impl.cc).
SAMPLE_RATE = 16000  # Hz
HOP_LENGTH = 640  # samples
FLOOR = 500.0  # of a mel band, in units of 16-bit samples
SILENCE = math.log(FLOOR) / 10  # a feature of digital silence
DILATIONS = (1, 2, 4)  # frames
STEPS_PER_UNIT = 256.0  # of a value, per unit
# Coefficients of the two branches that merge two bands (quadrature_mirror_filter.cc).
FILTERS = np.array(
    [
        [0.3255157470703125, 0.748626708984375, 0.961456298828125],
        [0.097930908203125, 0.564300537109375, 0.8737335205078125],
    ]
)
FEATURES: dict[str, Any] = {
    "kind": "log-mel",
    "sample_rate": SAMPLE_RATE,
    "n_fft": 2048,
    "win_length": 1280,
    "hop_length": HOP_LENGTH,
    "n_mels": 160,
    "fmin": 0.0,
    "fmax": 7920.0,
    "mel_scale": "htk",
    "mel_norm": "none",
    "mel_triangles": "mel",
    "power": 1.0,
    "log": "ln",
    "floor": FLOOR / 32768,
    "offset": math.log(32768),
    "scale": 0.1,
    "clip_min": None,
    "clip_max": None,
    "center": True,
    "pad_mode": "constant",
}


def _metadata(config: Tables, name: str) -> dict[str, Any]:
    """What the file's metadata says, besides the layers."""
    return {
        "name": name,
        "architecture": "lyra-wavegru",
        "features": dict(FEATURES),
        "signal": {"bits": 16, "companding": "linear", "mu": 0.0, "pre_emphasis": 0.0},
        "training": config.get("training", {"source": "github.com/google/lyra v0.0.2"}),
    }


def _check(layers: Mapping[str, Layer]) -> None:
    """Raises ValueError naming the layer whose size does not fit the others."""
    d, h = layers["conv1d"].bias.size, layers["gru_layer"].weights.shape[1]
    n_bands, outputs = layers["ar_to_gates"].weights.shape[1], layers["mix"].bias.size
    p = layers["proj"].bias.size
    gates = layers["conv_cond"].bias.size
    shapes = {
        "conv1d": (d, 3 * FEATURES["n_mels"]),
        **{f"conditioning_stack_{i}": (d, 2 * d) for i in range(len(DILATIONS))},
        **{f"transpose_{i}": (2 * d, d) for i in range(3)},
        "conv_cond": (gates, d),
        "conv_to_gates": (3 * h, gates),
        "ar_to_gates": (3 * h, n_bands),
        "gru_layer": (3 * h, h),
        "proj": (p, h),
        **{name: (outputs, p) for name in ("mix", "means", "scales")},
    }
    for name, shape in shapes.items():
        have = layers[name].weights.shape
        if have != shape:
            raise ValueError(f"{name}: {have[0]} x {have[1]} weights, not {shape[0]} x {shape[1]}")
    if n_bands & (n_bands - 1) or n_bands < 2 or outputs % n_bands:
        raise ValueError(f"mix: {outputs} logistics in {n_bands} bands")


def _update_first(rows: Float32) -> Float32:
    """Rows of reset, update and cell as update, reset, cell."""
    reset, update, cell = np.split(rows, 3)
    return np.concatenate([update, reset, cell])


def _apart(weights: Weights, dilation: int) -> Weights:
    """Columns of frames t - d and t, with zeros for the d - 1 frames between."""
    before, now = np.split(weights, 2, axis=1)
    between = np.zeros((len(weights), (dilation - 1) * before.shape[1]), weights.dtype)
    return np.concatenate([before, between, now], axis=1)


def build(checkpoint: Checkpoint, config: Tables, name: str, storage: Storage) -> VoiceFile:
    """The voice. Raises ValueError naming what does not fit."""
    refuse_keys(config, frozenset({"name", "training"}), "a folder's config may not hold")
    layers: Mapping[str, Layer] = checkpoint.layers
    metadata = _metadata(config, name)
    _check(layers)
    n_bands = layers["ar_to_gates"].weights.shape[1]
    hidden, n_features = layers["gru_layer"].weights.shape[1], FEATURES["n_mels"]
    builder = Builder(
        SAMPLE_RATE,
        HOP_LENGTH,
        n_features,
        storage,
        samples_per_step=n_bands,
        steps_per_row=HOP_LENGTH // n_bands // 8,
    )
    builder.lookahead = 1
    conditions = _conditioning(builder, layers)

    state, bands = builder.buffer(hidden), builder.buffer(n_bands)
    builder.begin_samples()

    def gates(name: str, source: Buffer, add: Buffer | None = None) -> Buffer:
        weights, bias = (_update_first(x) for x in (layers[name].weights, layers[name].bias))
        prunable = name == "gru_layer"
        return builder.linear(
            name, weights, source, bias=bias, add=add, prunable=prunable, parts=(1, 3)
        )

    builder.gates(gates("gru_layer", state), gates("ar_to_gates", bands, conditions), state)
    proj = layers["proj"]
    p = builder.linear(
        "proj", proj.weights, state, bias=proj.bias, activation="relu", prunable=True
    )
    mix, means, scales = (
        builder.linear(name, layers[name].weights, p, bias=layers[name].bias)
        for name in ("mix", "means", "scales")
    )
    builder.logistics(
        mix, means, scales, bands, scale_activation="softplus", values_per_unit=STEPS_PER_UNIT
    )
    builder.bands(bands, FILTERS)
    metadata["layers"] = storage.metadata()
    return builder.voice(metadata)


def _conditioning(builder: Builder, layers: Mapping[str, Layer]) -> Buffer:
    """Emit the frame program; the inputs of the gates, a row for each of the eight columns."""
    n = builder.features.size
    silence = np.full(n, SILENCE)
    builder.silence(silence)
    start = np.stack([np.zeros(n), np.zeros(n), silence])  # the first of these leaves at once
    window = builder.history(builder.features, 3, ("conv1d.initial", start))
    first = layers["conv1d"]
    y = builder.linear("conv1d", first.weights, window, bias=first.bias)
    zeros = builder.buffer(y.size)
    for i, dilation in enumerate(DILATIONS):
        name = f"conditioning_stack_{i}"
        a = builder.buffer(y.size)
        builder.add(y, zeros, a, "relu")
        frames = builder.history(a, dilation + 1)
        weights = _apart(layers[name].weights, dilation)
        y = builder.linear(name, weights, frames, bias=layers[name].bias, add=y)

    columns = [y]
    for i in range(3):
        layer = _stored(builder, layers, f"transpose_{i}")
        pairs = [builder.apply(layer, column, activation="relu") for column in columns]
        columns = [half for pair in pairs for half in (pair[: y.size], pair[y.size :])]
    to_cond = _stored(builder, layers, "conv_cond")
    gates = layers["conv_to_gates"]
    to_gates = builder.layer(
        "conv_to_gates", _update_first(gates.weights), bias=_update_first(gates.bias)
    )
    rows = builder.rows(to_gates.rows)
    for k, column in enumerate(columns):
        row = Buffer(rows.offset + k * rows.stride, rows.size)
        builder.apply(to_gates, builder.apply(to_cond, column), out=row)
    return rows


def _stored(builder: Builder, layers: Mapping[str, Layer], name: str) -> Any:
    return builder.layer(name, layers[name].weights, bias=layers[name].bias)


FAMILY = Family(
    "lyra-wavegru",
    build,
    recognises=lambda checkpoint: isinstance(checkpoint.layers, dict),
    unmatched="matching needs samples in step with their frames; Lyra's lag behind",
)
