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
from linnet_export.building.tensors import Weights, type_name
from linnet_export.exporting import prepared
from linnet_export.families.known import likely
from linnet_export.readers.checkpoint import Checkpoint
from linnet_export.readers.errors import blamed_on, printable
from linnet_export.readers.reading import read_checkpoint


@dataclass(frozen=True)
class TensorLine:
    """One tensor; block and fill are None where it is no matrix."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    density: float | None  # share of weights that are not zero; None of a type that is not read
    block: str | None  # the block shape that the exporter would choose, or "dense"
    fill: float | None  # weights that it would store per nonzero one


@dataclass(frozen=True)
class Description:
    """str() is a table, and what the checkpoint looks like."""

    tensors: tuple[TensorLine, ...]
    family: str | None  # None where no family knows any of the names
    known: int  # of the tensors' names, to that family
    unknown: tuple[str, ...]  # names that it does not know
    obstacles: tuple[str, ...] = ()  # why it makes no voice, whatever its names are

    def __str__(self) -> str:
        rows: list[list[object]] = [["tensor", "type", "shape", "density", "best block", "fill"]]
        for t in self.tensors:
            fill = "" if t.fill is None else f"{t.fill:.2f}"
            density = "" if t.density is None else f"{t.density:.1%}"
            shape = " x ".join(map(str, t.shape)) or "scalar"
            rows.append([printable(t.name), t.dtype, shape, density, t.block or "", fill])
        lines = [table(rows, left=2), "", self.verdict(), *map(printable, self.obstacles)]
        return "\n".join(lines)

    def verdict(self) -> str:
        if self.family is None:
            return (
                "looks like no family that linnet knows; a names map may help (docs/exporting.md)"
            )
        if not self.unknown:
            return f"looks like {self.family}"
        return (
            f"looks most like {self.family}, which knows {self.known} of the "
            f"{len(self.tensors)} names; unknown to it: {printable(', '.join(self.unknown))}"
        )


def describe(
    checkpoint_path: str | os.PathLike[str],
    key: str | None = None,
    max_unpacked: int | None = None,
) -> Description:
    """List a checkpoint's tensors as `export` sees them, and say which family's they are by their
    names.

    key, max_unpacked: which of its tensors, and how many bytes they may be, as `read_checkpoint`
        takes them.
    Raises CheckpointError (a ValueError) for a file that is no checkpoint, OSError from the system.
    """
    path = Path(checkpoint_path)
    checkpoint = read_checkpoint(path, key, max_unpacked)
    with blamed_on(path):
        return _description(prepared(checkpoint, {}))


def _description(checkpoint: Checkpoint) -> Description:
    family = likely(checkpoint)
    known, unknown = family.sort(checkpoint) if family else ([], list(checkpoint.tensors))
    return Description(
        _lines(checkpoint.tensors, checkpoint.bfloat16),
        family.name if family else None,
        len(known),
        tuple(sorted(unknown)),
        checkpoint.obstacles,
    )


def _lines(tensors: Mapping[str, Weights], bfloat16: Collection[str]) -> tuple[TensorLine, ...]:
    return tuple(
        _line(name, tensor, "bfloat16" if name in bfloat16 else type_name(tensor))
        for name, tensor in tensors.items()
    )


def _line(name: str, tensor: Weights, dtype: str) -> TensorLine:
    if tensor.dtype.names or tensor.dtype.kind not in "fiub":
        return TensorLine(name, tensor.shape, dtype, None, None, None)
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
