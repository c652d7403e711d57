"""The tensors of a checkpoint, handed out by role; what is missing or left over is one error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[Any]

_BIAS = re.compile(r"(.*)\.bias(_ih_l0|_hh_l0|)")  # of torch's modules, which may have none


def unreadable(type: str, shape: tuple[int, ...]) -> Weights:
    """Stands for a tensor of a type that linnet does not read; it takes no memory."""
    return np.broadcast_to(np.zeros((), [(type or "unknown", "u1")]), shape)


def type_name(tensor: Weights) -> str:
    """The name of a tensor's type, readable or not."""
    return tensor.dtype.names[0] if tensor.dtype.names else tensor.dtype.name


class Tensors:
    """Roles of an architecture, taken one by one.

    First all names are required, then `finish` raises one error that lists what is missing and what
    is unknown; after that, `get` finds what it asks for.
    """

    def __init__(self, tensors: Mapping[str, Weights]) -> None:
        self._tensors = dict(tensors)
        self._taken: set[str] = set()
        self._missing: list[str] = []
        self._absent: set[str] = set()  # biases of layers without one

    def names(self, pattern: str) -> list[re.Match[str]]:
        """The names that match a pattern as a whole."""
        found = (re.fullmatch(pattern, name) for name in self._tensors)
        return [match for match in found if match]

    def count(self, pattern: str) -> int:
        """One more than the greatest number that stands where the pattern has its group; where
        numbers are left out, at most one more than there are tensors."""
        greatest = max((int(match[1]) for match in self.names(pattern)), default=-1)
        return min(greatest, len(self._tensors)) + 1

    def has(self, name: str) -> bool:
        return name in self._tensors

    def require(self, *names: str) -> None:
        """Note which of these are missing, and count them all as known."""
        self._taken.update(names)
        self._missing += [name for name in names if name not in self._tensors]

    def finish(self) -> None:
        """Raise UnknownTensors where a tensor is missing or one of the checkpoint is unknown.

        A layer without any bias has zeros for one, if nothing else is wrong.
        """
        unknown = sorted(set(self._tensors) - self._taken)
        self._absent = {name for name in self._missing if self._has_no_bias(name)}
        if unknown or set(self._missing) - self._absent:
            raise UnknownTensors(self._missing, unknown)

    def _has_no_bias(self, name: str) -> bool:
        match = _BIAS.fullmatch(name)
        if match is None:
            return False
        biases = [f"{match[1]}.bias{kind}" for kind in ("_ih_l0", "_hh_l0") if match[2]]
        return self.has(f"{match[1]}.weight{match[2]}") and not any(map(self.has, biases))

    def get(self, name: str, *shape: int | None) -> Weights:
        """The tensor, checked against a shape in which None is any size."""
        if name in self._absent:
            return np.zeros([size or 0 for size in shape], np.float32)
        tensor = np.asarray(self._tensors[name])
        if tensor.dtype.kind != "f":
            raise ValueError(f"{name} is of type {type_name(tensor)}; voices are made of floats")
        fits = tensor.ndim == len(shape) and all(
            want in (None, have) for want, have in zip(shape, tensor.shape, strict=False)
        )
        if not fits:
            wanted = " x ".join("any" if n is None else str(n) for n in shape)
            raise ValueError(f"{name}: shape {tensor.shape}, not {wanted}")
        if not np.isfinite(tensor).all():
            raise ValueError(f"{name}: a weight is NaN or infinite")
        return tensor


class UnknownTensors(ValueError):
    """A checkpoint whose tensors are not those of the architecture."""

    def __init__(self, missing: list[str], unknown: list[str]) -> None:
        self.missing, self.unknown = missing, unknown
        parts = []
        if missing:
            parts.append("missing tensors: " + ", ".join(missing))
        if unknown:
            parts.append("unknown tensors: " + ", ".join(unknown))
        super().__init__("; ".join(parts))
