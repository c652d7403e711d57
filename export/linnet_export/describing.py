"""Describes what a checkpoint holds, before it is exported."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from linnet.format.blocks import BLOCKS, DENSE
from linnet.format.choice import best_block, fill_ratio
from linnet.table import table
from linnet_export.building.tensors import Weights
from linnet_export.families.known import nearest
from linnet_export.readers.reading import read_checkpoint


@dataclass(frozen=True)
class TensorLine:
    """One tensor; block and fill are None where it is no matrix."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    density: float  # share of weights that are not zero
    block: str | None  # the block shape that the exporter would choose, or "dense"
    fill: float | None  # weights that it would store per nonzero one


@dataclass(frozen=True)
class Description:
    """str() is a table, and what the checkpoint looks like."""

    tensors: tuple[TensorLine, ...]
    family: str | None  # None where no family knows any of the names
    known: int  # of the tensors' names, to that family
    unknown: tuple[str, ...]  # names that it does not know

    def __str__(self) -> str:
        rows: list[list[object]] = [["tensor", "type", "shape", "density", "best block", "fill"]]
        for t in self.tensors:
            fill = "" if t.fill is None else f"{t.fill:.2f}"
            shape = " x ".join(map(str, t.shape)) or "scalar"
            rows.append([t.name, t.dtype, shape, f"{t.density:.1%}", t.block or "", fill])
        return f"{table(rows, left=2)}\n\n{self.verdict()}"

    def verdict(self) -> str:
        if self.family is None:
            return (
                "looks like no family that linnet knows; a names map may help (docs/exporting.md)"
            )
        if not self.unknown:
            return f"looks like {self.family}"
        return (
            f"looks most like {self.family}, which knows {self.known} of the "
            f"{len(self.tensors)} names; unknown to it: {', '.join(self.unknown)}"
        )


def describe(checkpoint_path: str | os.PathLike[str]) -> Description:
    """List a checkpoint's tensors, and say which family's they are by their names.

    Raises ValueError for a file that is no checkpoint, OSError from the system.
    """
    checkpoint = read_checkpoint(Path(checkpoint_path))
    family = nearest(checkpoint)
    known, unknown = family.sort(checkpoint)
    return Description(
        _lines(checkpoint.tensors, checkpoint.bfloat16),
        family.name if known else None,
        len(known),
        tuple(sorted(unknown)),
    )


def _lines(tensors: Mapping[str, Weights], bfloat16: Collection[str]) -> tuple[TensorLine, ...]:
    return tuple(
        _line(name, tensor, "bfloat16" if name in bfloat16 else tensor.dtype.name)
        for name, tensor in tensors.items()
    )


def _line(name: str, tensor: Weights, dtype: str) -> TensorLine:
    density = np.count_nonzero(tensor) / max(tensor.size, 1)
    if tensor.ndim < 2 or tensor.size == 0:
        return TensorLine(name, tensor.shape, dtype, density, None, None)
    matrix = tensor.reshape(len(tensor), -1)
    block = best_block(matrix, "float16")
    if block in BLOCKS:
        fill = fill_ratio(matrix, block)
    else:
        assert block == DENSE
        fill = 1 / density if density else 1.0
    return TensorLine(name, tensor.shape, dtype, density, block, fill)
