"""Reading the folder of Lyra v1's generator: `PREFIX_LAYER_{weights,mask,bias}.raw.gz`.

Each file is float32, little-endian, without a header, compressed by gzip. A layer's rows are the
floats of its bias; its columns follow. The mask is 1 where a weight is kept, 0 elsewhere.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from linnet_export.readers.budget import Budget
from linnet_export.readers.checkpoint import Checkpoint

Float32 = npt.NDArray[np.float32]

LAYERS = (
    "conv1d",
    *(f"conditioning_stack_{i}" for i in range(3)),
    *(f"transpose_{i}" for i in range(3)),
    *("conv_cond", "conv_to_gates", "ar_to_gates", "gru_layer", "proj", "mix", "means", "scales"),
)
_PARTS = ("weights", "mask", "bias")
_FIRST = re.compile(r"(.*)_conv1d_weights\.raw\.gz")
_PIECE = 1 << 20  # bytes that are unpacked at once


@dataclass(frozen=True)
class Layer:
    """y = W x + b."""

    weights: Float32  # (rows, cols)
    bias: Float32  # (rows,)


def recognises(path: Path, start: bytes) -> bool:
    """Whether it is a folder: no other checkpoint is one."""
    return path.is_dir()


def read(path: Path, budget: Budget) -> Checkpoint:
    """The whole folder, whose layers are a dict of Layer by name. Raises ValueError."""
    layers = read_folder(path, budget)
    return Checkpoint(tensors(layers), layers=layers)


def read_folder(path: Path, budget: Budget | None = None) -> dict[str, Layer]:
    """All layers by name, within a budget (None: its default).

    Raises ValueError that lists missing files, or names the file that holds what it should not.
    """
    prefixes = sorted(match[1] for file in path.iterdir() if (match := _FIRST.fullmatch(file.name)))
    if len(prefixes) != 1:
        found = f"several: {', '.join(prefixes)}" if prefixes else "no *_conv1d_weights.raw.gz"
        raise ValueError(f"a folder that is not one of Lyra's generators: {found}")
    files = {
        (layer, part): path / f"{prefixes[0]}_{layer}_{part}.raw.gz"
        for layer in LAYERS
        for part in _PARTS
    }
    missing = [file.name for file in files.values() if not file.is_file()]
    if missing:
        raise ValueError(f"missing files: {', '.join(missing)}")
    layers, budget = {}, budget or Budget(path)
    for layer in LAYERS:
        weights, mask, bias = (_floats(files[layer, part], budget) for part in _PARTS)
        name = files[layer, "weights"].name
        if not bias.size or weights.size % bias.size or not weights.size:
            raise ValueError(f"{name}: {weights.size} weights for {bias.size} biases")
        if mask.size != weights.size:
            raise ValueError(f"{name}: {weights.size} weights, but the mask has {mask.size}")
        if not np.isin(mask, (0.0, 1.0)).all():
            raise ValueError(f"{files[layer, 'mask'].name}: not all of it is 0 or 1")
        layers[layer] = Layer((weights * mask).reshape(bias.size, -1), bias)
    return layers


def _floats(path: Path, budget: Budget) -> Float32:
    pieces = []
    try:
        with gzip.open(path) as file:
            while piece := file.read(_PIECE):
                budget.spend(2 * len(piece), path.name)  # once more as they are joined
                pieces.append(piece)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path.name}: {error}") from None
    data = b"".join(pieces)
    if len(data) % 4:
        raise ValueError(f"{path.name}: {len(data)} bytes are no array of float32")
    values = np.frombuffer(data, "<f4")
    if not np.isfinite(values).all():
        raise ValueError(f"{path.name}: a value is NaN or infinite")
    return values


def tensors(layers: Mapping[str, Layer]) -> dict[str, Float32]:
    """All weights by the names of their files; what masks leave out is zero."""
    return {
        f"{name}_{part}": array
        for name, layer in layers.items()
        for part, array in (("weights", layer.weights), ("bias", layer.bias))
    }
