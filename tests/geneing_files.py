"""Files in the format of geneing/WaveRNN-Pytorch's model.bin, of any sizes, with random weights."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from linnet.pruning import prune
from linnet_export.building.batch_norm import BatchNorm
from linnet_export.readers.geneing_file import (
    Conv,
    Gru,
    Layer,
    Linear,
    ModelFile,
    Smoothing,
    Stretch,
)

Float32 = npt.NDArray[np.float32]


def random_model(
    hidden: int = 128,
    sparsity: float = 0.0,
    factors: tuple[int, ...] = (4, 5),
    features: int = 12,
    width: int = 16,
    aux: int = 24,
    blocks: int = 2,
    head: int = 32,
    bits: int = 9,
    padding: int = 2,
    seed: int = 0,
) -> ModelFile:
    """A network of these sizes; sparsity: zeros of the recurrent layer, in groups of four."""
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> Float32:
        return np.asarray(random.standard_normal(shape) / np.sqrt(shape[-1]), np.float32)

    def conv(out: int, channels: int, k: int, has_bias: bool = False) -> Conv:
        weight = normal(out, channels * k).reshape(out, channels, k)
        return Conv(weight, normal(out) if has_bias else None)

    def norm(n: int) -> BatchNorm:
        scale, variance = (np.exp(0.3 * normal(n)) for _ in range(2))
        return BatchNorm(float(np.float32(1e-5)), scale, normal(n), normal(n), variance)

    def linear(rows: int, cols: int) -> Linear:
        return Linear(2 * normal(rows, cols), normal(rows))

    def gate(cols: int) -> Float32:
        return (
            prune(2 * normal(hidden, cols), "1x4", sparsity) if sparsity else normal(hidden, cols)
        )

    layers: list[Layer] = [conv(width, features, 2 * padding + 1), norm(width)]
    for _ in range(2 * blocks):
        layers += [conv(width, width, 1), norm(width)]
    layers += [conv(aux, width, 1, has_bias=True), Stretch(int(np.prod(factors)), 1)]
    for factor in factors:
        k = 2 * factor + 1
        filters = (1 + 0.2 * random.standard_normal(k)) / k
        layers += [Stretch(factor, 1), Smoothing(filters.astype(np.float32))]
    layers += [
        linear(hidden, 1 + features + aux // 2 - 1),
        Gru(
            np.stack([gate(hidden) for _ in range(3)]),
            np.stack([gate(hidden) for _ in range(3)]),
            normal(3, hidden),
            normal(3, hidden),
        ),
        linear(head, hidden + aux // 2),
        linear(1 << bits, head),
    ]
    return ModelFile(blocks, len(factors), int(np.prod(factors)), padding, tuple(layers))


def to_bytes(model: ModelFile) -> bytes:
    """The file."""
    header = (model.residual_blocks, model.upsampling_layers, model.hop_length, model.padding)
    return struct.pack("<4i", *header) + b"".join(map(_layer, model.layers))


def _floats(*arrays: Float32) -> bytes:
    return b"".join(np.ascontiguousarray(array, "<f4").tobytes() for array in arrays)


def _compressed(dense: Float32) -> bytes:
    """Groups of four columns that hold a weight; the last may reach beyond the matrix."""
    rows, cols = dense.shape
    groups = np.pad(dense, ((0, 0), (0, -cols % 4))).reshape(rows, -1, 4)
    stored = np.abs(groups).max(axis=2) > 0
    index = b"".join(bytes(np.flatnonzero(row).tolist()) + b"\xff" for row in stored) + b"\xff"
    values = groups[stored]
    return struct.pack("<i", values.size) + _floats(values) + struct.pack("<i", len(index)) + index


def _layer(layer: Layer) -> bytes:
    def packed(kind: int, name: str, *numbers: int) -> bytes:
        return struct.pack(f"<i64s{len(numbers)}i", kind, name.encode(), *numbers)

    match layer:
        case Conv(weight, bias):
            out, channels, k = weight.shape
            start = packed(1, "Conv1d", 4, bias is not None, channels, out, k)
            return start + _floats(weight) + (b"" if bias is None else _floats(bias))
        case Smoothing(weight):
            return packed(2, "Conv2d", 4, len(weight)) + _floats(weight)
        case BatchNorm(eps, weight, bias, mean, variance):
            start = packed(3, "BatchNorm1d", 4, len(weight)) + struct.pack("<f", eps)
            return start + _floats(weight, bias, mean, variance)
        case Linear(weight, bias):
            return packed(4, "Linear", 4, *weight.shape) + _compressed(weight) + _floats(bias)
        case Gru():
            hidden, inputs = layer.input.shape[1:]
            matrices = b"".join(_compressed(w) for w in (*layer.input, *layer.recurrent))
            biases = _floats(layer.input_bias, layer.recurrent_bias)
            return packed(5, "GRU", 4, hidden, inputs) + matrices + biases
        case Stretch(time, frequency):
            return packed(6, "Stretch2d", time, frequency)
