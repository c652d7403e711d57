"""The arena of a program as values of an ONNX graph.

A program reads and writes floats of one arena (export/FORMAT.md, "Programs"); a graph has values.
`Writes` first notes which floats a program writes. `Arena` then knows for every float which value
holds it, so that reading is a slice, or several put together. Floats of strided operands are kept
apart by their stride, each under the address that it has for the first sample of a frame; programs
that reach the same floats by different strides are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from linnet.format.operations import Operand
from linnet_export.onnx.graph import Graph, Value

NOT_WRITTEN = -1


class Place(NamedTuple):
    """`size` floats of the arena at an operand."""

    operand: Operand
    size: int


class Writes:
    """Notes what a program writes; every read gives a placeholder.

    stride: (arena_size) of the operand that wrote each float, NOT_WRITTEN where none did.
    times: (arena_size) how many operations wrote each.
    by_output: what the last operation of the sample program leaves for the next step, by name.
    """

    def __init__(self, arena_size: int, n_steps: int) -> None:
        self.n_steps = n_steps  # runs of the program within a frame
        self.stride = np.full(arena_size, NOT_WRITTEN, np.int64)
        self.times = np.zeros(arena_size, np.int64)
        self.by_output: dict[str, Place] = {}

    def read(self, operand: Operand, size: int) -> Value:
        return Value("", size)

    def write(self, operand: Operand, value: Value) -> None:
        if 0 < operand.stride < value.size:
            raise ValueError(
                f"rows of {value.size} floats, {operand.stride} apart, overlap: "
                "such programs have no ONNX form"
            )
        touched = footprint(operand, value.size, value.rows or self.n_steps)
        others = self.stride[touched]
        if np.any((others != NOT_WRITTEN) & (others != operand.stride)):
            raise ValueError(
                f"float {operand.offset} of the arena is written with different strides: "
                "such programs have no ONNX form"
            )
        self.stride[touched] = operand.stride
        self.times[touched] += 1

    def leave(self, operand: Operand, size: int, name: str = "output") -> None:
        self.write(operand, Value("", size))
        self.by_output[name] = Place(operand, size)

    def by_rows(self, stride: int, start: int, stop: int) -> bool:
        """Whether floats start .. stop are written, but not with the stride that they are read
        with: every row by itself."""
        strides = self.stride[footprint(Operand(start, stride), stop - start, self.n_steps)]
        return bool(stride and strides.max() == 0)

    def by(self, stride: int, start: int, stop: int) -> npt.NDArray[np.bool_]:
        """Which of the floats start .. stop are written, for any of the steps.

        Raises ValueError where they are written with another stride.
        """
        touched = footprint(Operand(start, stride), stop - start, self.n_steps)
        strides = self.stride[touched]
        if np.any((strides != NOT_WRITTEN) & (strides != stride)):
            raise ValueError(
                f"float {start} of the arena is read with another stride than it was written: "
                "such programs have no ONNX form"
            )
        return np.asarray((strides != NOT_WRITTEN).any(axis=0))


def footprint(operand: Operand, size: int, n_steps: int) -> npt.NDArray[np.int64]:
    """Addresses (steps, size) that an operand has over a frame."""
    steps = np.arange(n_steps if operand.stride else 1)
    return np.asarray(operand.offset + operand.stride * steps[:, None] + np.arange(size))


class Piece(NamedTuple):
    """Floats start .. stop of the arena: columns of a value from `first` on."""

    start: int
    stop: int
    value: Value
    first: int

    def part(self, start: int, stop: int) -> Piece:
        return Piece(start, stop, self.value, self.first + start - self.start)


Initial = Callable[[int, int, int], list[Piece]]


class Arena:
    """The values that the arena holds while a program runs.

    initial: what floats start .. stop of a stride hold before the program writes them.
    """

    def __init__(self, graph: Graph, initial: Initial) -> None:
        self.graph = graph
        self._initial = initial
        self._pieces: dict[int, list[Piece]] = {}

    def read(self, operand: Operand, size: int) -> Value:
        """The value (batch, size) at an operand."""
        parts = [
            self.graph.columns(p.value, p.first, p.first + p.stop - p.start)
            for p in self.pieces(operand.stride, operand.offset, operand.offset + size)
        ]
        if len(parts) == 1:
            return parts[0]
        return self.graph.value("Concat", [part.name for part in parts], size, axis=1)

    def write(self, operand: Operand, value: Value) -> None:
        start, stop = operand.offset, operand.offset + value.size
        kept = [Piece(start, stop, value, 0)]
        for piece in self._pieces.get(operand.stride, []):
            if piece.start < start:
                kept.append(piece.part(piece.start, min(piece.stop, start)))
            if piece.stop > stop:
                kept.append(piece.part(max(piece.start, stop), piece.stop))
        self._pieces[operand.stride] = sorted(kept)

    def leave(self, operand: Operand, size: int, name: str = "output") -> None:
        """No value of the graph is there: the step is over."""

    def pieces(self, stride: int, start: int, stop: int) -> list[Piece]:
        """What floats start .. stop hold, in order, no two neighbours of one value."""
        found: list[Piece] = []
        at = start
        for piece in self._pieces.get(stride, []):
            if piece.stop > at and piece.start < stop:
                if piece.start > at:
                    found += self._begin(stride, at, piece.start)
                found.append(piece.part(max(piece.start, at), min(piece.stop, stop)))
                at = piece.stop
        if at < stop:
            found += self._begin(stride, at, stop)
        merged = found[:1]
        for piece in found[1:]:
            last = merged[-1]
            if piece.value == last.value and piece.first == last.first + last.stop - last.start:
                merged[-1] = Piece(last.start, piece.stop, last.value, last.first)
            else:
                merged.append(piece)
        return merged

    def _begin(self, stride: int, start: int, stop: int) -> list[Piece]:
        initial = self._initial(stride, start, stop)
        self._pieces[stride] = sorted([*self._pieces.get(stride, []), *initial])
        return initial
