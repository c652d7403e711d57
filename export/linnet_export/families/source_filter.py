"""Family "source-filter": pitch from a network, an all-pole filter from the features themselves.

Tensors, under torch's names, C channels:

    convolutions.{i}.weight (C_out, C_in, k), .bias   over frames, the first of features; relu
    hidden.weight (C, C), .bias                       relu
    pitch.weight (bins, C), .bias                     logits of bins of the logarithm of F0
    voicing.weight (1, C), .bias                      the logit of being voiced
    phases (n)                                        turns of the harmonics at every `spacing` Hz

The envelope has no weights of its own: a band of the features is the power around its centre, and
the filter is the one whose response has that power (Makhoul 1975, "Linear prediction").

The table `network` of the config; all but `ahead` have these defaults:

    ahead             frames behind a frame that its convolutions see
    lowest, highest   Hz: the centres of the first and the last bin (62, 460)
    reach             bins on both sides of the likeliest whose mean is taken (2)
    order, grid       of the filter; points of the circle at which its power is known (16, 256)
    power             by which the excitation's power is multiplied (1.3)
    white_noise       its share of the power, for a filter of full order (1e-4)
    top, spacing      Hz: harmonics stay below; between two phases (7900, 62.5)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from linnet.features import complete, mel_basis, mel_centres
from linnet.features.definition import log_unit, to_features
from linnet.format.blocks import DENSE, pack
from linnet.format.voice_file import VoiceFile
from linnet_export.building.buffers import Buffer, Layer
from linnet_export.building.builder import Builder
from linnet_export.building.tensors import Tensors, Weights
from linnet_export.config import Config, read_integer
from linnet_export.families.family import configured, refuse_keys
from linnet_export.writing.storage import Storage

Float64 = npt.NDArray[np.float64]

NAMES = r"(convolutions\.\d+|hidden|pitch|voicing)\.(weight|bias)|phases"
AUTOCORRELATION = "autocorrelation"
MOST_SAMPLES = 64  # of a step
MOST_HARMONICS = 1024
DEFAULTS = {
    "lowest": 62.0,
    "highest": 460.0,
    "reach": 2,
    "order": 16,
    "grid": 256,
    "power": 1.3,
    "white_noise": 1e-4,
    "top": 7900.0,
    "spacing": 62.5,
}


def read_network(config: Config) -> dict[str, Any]:
    """The table `network`, whole. Raises ValueError naming the key."""
    refuse_keys(config.network, frozenset({"ahead", *DEFAULTS}), "config network: unknown keys")
    table = {**DEFAULTS, **config.network}
    for key, low, high in (("ahead", 0, 64), ("reach", 0, 64), ("order", 1, 64)):
        read_integer(table, "network", key, low, high)
    read_integer(table, "network", "grid", 2 * table["order"] + 2, 16384)
    half = config.sample_rate / 2
    numbers: tuple[tuple[str, float, float], ...] = (
        ("lowest", 20, half),
        ("highest", 20, half),
        ("power", 0, 100),
        ("white_noise", 0, 1),
        ("top", 20, half),
        ("spacing", 1, half),
    )
    for key, least, most in numbers:
        value = table[key]
        known = isinstance(value, int | float) and not isinstance(value, bool)
        if not known or not least <= value <= most:
            raise ValueError(f"config network.{key} must be in {least} .. {most}, not {value!r}")
    if not table["lowest"] < table["highest"]:
        raise ValueError("config network.lowest must be below network.highest")
    if table["top"] / table["lowest"] > MOST_HARMONICS:
        raise ValueError(f"config network.top has more than {MOST_HARMONICS} harmonics")
    return table


def read_features(config: Config) -> dict[str, Any]:
    """The whole definition. Raises ValueError for features that tell no envelope."""
    full = complete(config.features)
    for wrong, what in (
        (full["center"] is not True, "frames that are centred on their samples"),
        (full["log"] == "none" or full["floor_by"] != "max", "logarithms above a floor"),
        (full["pre_emphasis"] != 0, "features without pre-emphasis"),
        (full["power"] not in (1, 2), "a power of 1 or 2"),
    ):
        if wrong:
            raise ValueError(f"a source-filter voice needs {what}")
    return full


def envelope(
    features: Mapping[str, Any], table: Mapping[str, Any], pre_emphasis: float
) -> tuple[Float64, Float64, Float64]:
    """W (points, n_mels), b (points), C (order + 1, points) of half a circle: W x + b is the log
    of the power of the pre-emphasised signal, C times the power its autocorrelation."""
    grid, order = table["grid"], table["order"]
    points = grid // 2 + 1
    angles = 2 * np.pi * np.arange(points) / grid
    places = mel_centres(features) * grid / features["sample_rate"]
    between = np.stack(
        [np.interp(np.arange(points), places, row) for row in np.eye(len(places))], axis=1
    )
    size = features["win_length"]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    tilt = np.abs(1 - pre_emphasis * np.exp(-1j * angles)) ** 2
    per_band = 2 / features["power"]  # from a band's logarithm to that of its power
    widths = np.log(mel_basis(features).astype(np.float64).sum(axis=1))
    weights = per_band * log_unit(features) / features["scale"] * between
    bias = between @ (-per_band * (log_unit(features) * features["offset"] + widths))
    bias += np.log(np.maximum(tilt, 1e-12) / (window**2).sum())
    twice = np.where((np.arange(points) == 0) | (np.arange(points) == grid / 2), 1.0, 2.0) / grid
    cosines = np.cos(np.outer(np.arange(order + 1), angles)) * twice
    cosines[0] *= 1 + table["white_noise"]
    return weights, bias, cosines


def prediction_gain(autocorrelation: Float64, power: float) -> float:
    """The gain of the filter (export/FORMAT.md, "levinson")."""
    a: Float64 = np.zeros(0)
    error = autocorrelation[0]
    for i in range(len(autocorrelation) - 1):
        k = -(autocorrelation[i + 1] + a @ autocorrelation[i:0:-1]) / error
        a = np.append(a + k * a[::-1], k)
        error *= 1 - k * k
    return math.sqrt(power * error)


def build(
    tensors: Tensors, config: Config, storage: Storage, metadata: dict[str, Any]
) -> VoiceFile:
    """The voice of a checkpoint. Raises ValueError naming the tensor or the config's key."""
    n = tensors.count(r"convolutions\.(\d+)\.(?:weight|bias)")
    layers = [f"convolutions.{i}" for i in range(max(n, 1))]
    parts = [*layers, "hidden", "pitch", "voicing"]
    tensors.require(*(f"{part}.{kind}" for part in parts for kind in ("weight", "bias")), "phases")
    tensors.finish()
    table, features = read_network(config), read_features(config)
    if config.signal.companding != "linear":
        raise ValueError(f"config signal.companding is {config.signal.companding!r}, not 'linear'")
    samples = max(d for d in range(1, MOST_SAMPLES + 1) if config.hop_length % d == 0)
    builder = Builder(
        config.sample_rate, config.hop_length, config.n_features, storage, samples_per_step=samples
    )
    silent = float(to_features(np.zeros((1, 1)), features)[0, 0])
    if silent:
        builder.silence(np.full(config.n_features, silent))
    builder.lookahead = table["ahead"] + 1
    pitch = _pitch(builder, tensors, layers, table, silent)
    filters = _filters(builder, features, table, config.signal.pre_emphasis, silent)
    rate = config.sample_rate
    most = math.ceil(table["top"] / table["lowest"])
    phases = tensors.get("phases", None)
    parts_ = builder.harmonics(pitch, most, phases, table["top"] / rate, rate / table["spacing"])
    pitches, both = builder.history(pitch, 2), builder.history(parts_, 2)

    builder.begin_samples()
    excitation = builder.source(pitches, both)
    order = table["order"]
    builder.all_pole(
        excitation, filters[:order], filters[order : order + 1], config.signal.pre_emphasis
    )
    return builder.voice(metadata)


def _pitch(
    builder: Builder, tensors: Tensors, layers: list[str], table: Mapping[str, Any], silent: float
) -> Buffer:
    """Emit the network; the pitch of the frame `ahead` frames ago.

    That of frame 0 depends on what the first layer gave as many frames before as the later layers
    see: the program has to run on so many silent ones first.
    """
    frame, before = builder.features, 0
    for i, layer in enumerate(layers):
        weight = tensors.get(f"{layer}.weight", None, frame.size, None)
        bias = tensors.get(f"{layer}.bias", len(weight))
        rows, columns, k = weight.shape
        initial = ("silent", np.full((k, columns), silent)) if silent and i == 0 else None
        window = builder.history(frame, k, initial) if k > 1 else frame
        matrix = weight.transpose(0, 2, 1).reshape(rows, k * columns)
        frame = builder.linear(layer, matrix, window, bias=bias, activation="relu", prunable=True)
        before += 0 if i == 0 else k - 1
    builder.priming = max(0, before - table["ahead"])
    weight = tensors.get("hidden.weight", None, frame.size)
    bias = tensors.get("hidden.bias", len(weight))
    frame = builder.linear("hidden", weight, frame, bias=bias, activation="relu")
    weights = [tensors.get(f"{part}.weight", None, frame.size) for part in ("pitch", "voicing")]
    biases = [
        tensors.get(f"{part}.bias", len(weight))
        for part, weight in zip(("pitch", "voicing"), weights, strict=True)
    ]
    bins = len(weights[0])
    if len(weights[1]) != 1:
        raise ValueError(f"voicing.weight: {len(weights[1])} rows, not 1")
    logits = builder.linear("pitch", np.concatenate(weights), frame, bias=np.concatenate(biases))
    low, high = (math.log(table[key] / builder.sample_rate) for key in ("lowest", "highest"))
    centres = np.linspace(low, high, bins)
    return builder.pitch(logits[:bins], logits[bins : bins + 1], centres, table["reach"])


def _filters(
    builder: Builder,
    features: Mapping[str, Any],
    table: Mapping[str, Any],
    pre_emphasis: float,
    silent: float,
) -> Buffer:
    """Emit the envelope; coefficients and gain of every row, between the frames around it."""
    weights, bias, cosines = envelope(features, table, pre_emphasis)
    power = builder.linear("envelope", weights, builder.features, bias=bias, activation="exp")
    # Sums of products of either sign, whose small differences the filter is made of: 16 bits are
    # too few.
    tensor = builder.tensor(AUTOCORRELATION, pack(cosines, DENSE, "float32"))
    rows, columns = cosines.shape
    frame = builder.apply(Layer(AUTOCORRELATION, rows, columns, tensor, None), power)
    window = builder.history(frame, builder.lookahead + 1)  # of which the oldest two are needed
    x = (np.arange(builder.n_rows) + 0.5) / builder.n_rows
    between = np.stack([1 - x, x], axis=1)
    lags = builder.upsample("between", between, window[: 2 * rows])
    quiet = cosines @ np.exp(weights.sum(axis=1) * silent + bias)
    # A part in a thousand more, so that rounding leaves silence silent.
    return builder.levinson(lags, table["power"], 1.001 * prediction_gain(quiet, table["power"]))


def checkpoint(voice: VoiceFile) -> dict[str, Weights]:
    """The tensors that a voice was built from, as it stores them: the inverse of `build`."""
    found = {tensor.name: np.array(tensor.dense) for tensor in voice.tensors}
    tensors: dict[str, Weights] = {}
    channels, i = voice.header.n_features, 0
    while (name := f"convolutions.{i}") in found:
        rows, columns = found[name].shape  # column: frame of the window, then channel
        kernel = found[name].reshape(rows, columns // channels, channels)
        tensors[f"{name}.weight"] = np.ascontiguousarray(kernel.transpose(0, 2, 1))
        tensors[f"{name}.bias"] = found[f"{name}.bias"].reshape(-1)
        channels, i = rows, i + 1
    tensors["hidden.weight"] = found["hidden"]
    tensors["hidden.bias"] = found["hidden.bias"].reshape(-1)
    for name, part in (("pitch", slice(None, -1)), ("voicing", slice(-1, None))):
        tensors[f"{name}.weight"] = found["pitch"][part]
        tensors[f"{name}.bias"] = found["pitch.bias"].reshape(-1)[part]
    tensors["phases"] = found["harmonics.phases"].reshape(-1)
    return tensors


FAMILY = configured(
    "source-filter",
    build,
    NAMES,
    checkpoint=checkpoint,
    spared=("envelope",),
    exact=(AUTOCORRELATION,),
)
