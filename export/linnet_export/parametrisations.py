"""Weights that a checkpoint keeps as parts, as torch's utilities leave them there, computed.

* torch.nn.utils.prune: `X_orig` times `X_mask`.
* torch.nn.utils.weight_norm: `X_g` times `X_v`, whose norm it replaces; in its newer form
  `parametrizations.X.original0` and `.original1`.
* torch.ao.pruning: `parametrizations.X.original` times `parametrizations.X.0.mask`.
* torch.compile: the module's name in the names, wherever it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from linnet_export.building.tensors import Weights
from linnet_export.readers.checkpoint import Checkpoint

_COMPILED = re.compile(r"(?:^|(?<=\.))_orig_mod\.")


def _masked(weights: Weights, mask: Weights) -> Weights:
    if weights.shape != mask.shape:
        raise ValueError(f"a mask of shape {mask.shape} for weights of shape {weights.shape}")
    return np.asarray(weights * mask.astype(weights.dtype))


def _normalised(magnitude: Weights, direction: Weights) -> Weights | None:
    """g v / |v|, with the norm over all axes of which g has one element (Salimans and Kingma 2016,
    "Weight normalization"); None where the shapes are not those of a norm."""
    v, g = direction.astype(np.float64), magnitude.astype(np.float64)
    if g.ndim == 0:
        g = g.reshape((1,) * v.ndim)
    ones = [axis for axis, n in enumerate(g.shape) if n == 1]
    if g.ndim != v.ndim or len(ones) < v.ndim - 1 or v.ndim < 2:
        return None
    if any(n != v.shape[axis] for axis, n in enumerate(g.shape) if axis not in ones):
        return None
    axes = tuple(ones)
    with np.errstate(divide="ignore", invalid="ignore"):  # of a NaN the exporter says whose it is
        weights = v * (g / np.sqrt(np.square(v).sum(axis=axes, keepdims=True)))
    return np.asarray(weights, direction.dtype)


# The name of one part, whose groups are the module and the weight; the name of the other part; what
# makes the weight of them.
_FORMS: tuple[tuple[str, str, Callable[[Weights, Weights], Weights | None]], ...] = (
    (r"(.*\.|)([^.]+)_orig", "{}{}_mask", _masked),
    (r"(.*\.|)parametrizations\.([^.]+)\.original", "{}parametrizations.{}.0.mask", _masked),
    (r"(.*\.|)([^.]+)_g", "{}{}_v", _normalised),
    (
        r"(.*\.|)parametrizations\.([^.]+)\.original0",
        "{}parametrizations.{}.original1",
        _normalised,
    ),
)


def whole_weights(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint, with parts replaced by the weights that they make, under these weights'
    names.

    Raises ValueError naming the weights whose parts do not fit each other.
    """
    theirs = {_COMPILED.sub("", name): tensor for name, tensor in checkpoint.tensors.items()}
    if len(theirs) < len(checkpoint.tensors):
        raise ValueError("two tensors have one name without torch.compile's _orig_mod")
    narrow = {_COMPILED.sub("", name) for name in checkpoint.bfloat16}
    parts: dict[str, str] = {}  # name of a part -> the weight's
    made: dict[str, Weights] = {}
    for name, tensor in theirs.items():
        for pattern, other, make in _FORMS:
            match = re.fullmatch(pattern, name)
            second = other.format(*match.groups()) if match else ""
            if match is None or second not in theirs or tensor.dtype.kind != "f":
                continue
            weight = match[1] + match[2]
            try:
                whole = make(tensor, theirs[second])
            except (ValueError, TypeError) as error:
                raise ValueError(f"{weight}: {error}") from None
            if whole is None:
                continue
            made[weight] = whole
            if weight in theirs:
                raise ValueError(f"{weight} is there as a whole, and in parts: {name}")
            parts |= {name: weight, second: weight}
    names = dict.fromkeys(parts.get(name, name) for name in theirs)
    return replace(
        checkpoint,
        tensors={name: made[name] if name in made else theirs[name] for name in names},
        bfloat16=frozenset(parts.get(name, name) for name in narrow),
    )
