"""Lyra's generator in float64, from its equations; and where its published files are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Layers = Mapping[str, tuple[Float64, Float64]]  # weights (rows, cols), bias (rows)

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
FOLDER = Path(os.environ.get("LINNET_TEST_DATA", SHARED)) / "lyra-wavegru-16khz"


def relu(x: Float64) -> Float64:
    return np.maximum(x, 0)


def sigmoid(x: Float64) -> Float64:
    return 1 / (1 + np.exp(-x))


def conditioning(layers: Layers, features: Float64) -> Iterator[dict[str, Float64]]:
    """Frames (n, 160) -> every layer's result for each, under its name; columns first."""

    def linear(name: str, x: Float64) -> Float64:
        weights, bias = layers[name]
        return weights @ x + bias

    width = layers["conv1d"][1].size
    before = [np.zeros(160), np.full(160, np.log(500) / 10)]
    kept = [[np.zeros(width)] * dilation for dilation in (1, 2, 4)]
    for frame in features:
        found = {}
        y = found["conv1d"] = linear("conv1d", np.concatenate([*before, frame]))
        before = [before[1], frame]
        for i, past in enumerate(kept):
            a = relu(y)
            y = y + linear(f"conditioning_stack_{i}", np.concatenate([past.pop(0), a]))
            past.append(a)
            found[f"conditioning_stack_{i}"] = y
        columns = y[None]
        for i in range(3):
            pairs = [relu(linear(f"transpose_{i}", column)) for column in columns]
            columns = found[f"transpose_{i}"] = np.reshape(pairs, (-1, width))
        columns = found["conv_cond"] = np.stack([linear("conv_cond", c) for c in columns])
        found["conv_to_gates"] = np.stack([linear("conv_to_gates", c) for c in columns])
        yield found


def step(layers: Layers, condition: Float64, a: Float64, h: Float64) -> dict[str, Float64]:
    """One step, from the last one's bands a and state h; gates in the order of the files."""
    x = layers["ar_to_gates"][0] @ a + condition
    g = layers["gru_layer"][0] @ h + layers["gru_layer"][1]
    (xr, xu, xn), (gr, gu, gn) = np.split(x, 3), np.split(g, 3)
    u = sigmoid(xu + gu)
    h = u * h + (1 - u) * np.tanh(xn + sigmoid(xr + gr) * gn)
    found = {"ar_to_gates": x, "gru_layer": g, "state": h}
    p = found["proj"] = relu(layers["proj"][0] @ h + layers["proj"][1])
    for name in ("mix", "means", "scales"):
        found[name] = layers[name][0] @ p + layers[name][1]
    return found


def uniforms(n: int) -> npt.NDArray[np.float32]:
    """The first numbers that the original generator draws: std::minstd_rand after ten others."""
    state, numbers = 1, []
    for i in range(10 + n):
        state = 48271 * state % (2**31 - 1)
        if i >= 10:
            numbers.append(np.float32(state - 1) / np.float32(2147483646))
    return np.minimum(np.array(numbers, np.float32), np.nextafter(np.float32(1), np.float32(0)))
