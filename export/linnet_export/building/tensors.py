"""The tensors of a checkpoint, handed out by role; what is missing or left over is one error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[Any]


class Tensors:
    """Roles of an architecture, taken one by one.

    First all names are required, then `finish` raises one error that lists what is missing and what
    is unknown; after that, `get` finds what it asks for.
    """

    def __init__(self, tensors: Mapping[str, Weights]) -> None:
        self._tensors = dict(tensors)
        self._taken: set[str] = set()
        self._missing: list[str] = []

    def names(self, pattern: str) -> list[re.Match[str]]:
        """The names that match a pattern as a whole."""
        found = (re.fullmatch(pattern, name) for name in self._tensors)
        return [match for match in found if match]

    def count(self, pattern: str) -> int:
        """One more than the greatest number that stands where the pattern has its group."""
        return max((int(match[1]) for match in self.names(pattern)), default=-1) + 1

    def has(self, name: str) -> bool:
        return name in self._tensors

    def require(self, *names: str) -> None:
        """Note which of these are missing, and count them all as known."""
        self._taken.update(names)
        self._missing += [name for name in names if name not in self._tensors]

    def finish(self) -> None:
        """Raise UnknownTensors where a tensor is missing or one of the checkpoint is unknown."""
        unknown = sorted(set(self._tensors) - self._taken)
        if self._missing or unknown:
            raise UnknownTensors(self._missing, unknown)

    def get(self, name: str, *shape: int | None) -> Weights:
        """The tensor, checked against a shape in which None is any size."""
        tensor = np.asarray(self._tensors[name])
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
