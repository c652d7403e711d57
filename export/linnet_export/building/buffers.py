"""Places in the arena, token slots, and matrices that operations share."""

from __future__ import annotations

from dataclasses import dataclass

from linnet.format.operations import Operand


@dataclass(frozen=True)
class Buffer:
    """Floats of the arena: `size` at `offset`, and `stride` further for every sample of a frame.

    A slice is a buffer, so concatenation is one buffer whose slices are written separately.
    """

    offset: int
    size: int
    stride: int = 0

    def __getitem__(self, part: slice) -> Buffer:
        start, stop, step = part.indices(self.size)
        if step != 1 or stop <= start:
            raise ValueError(
                f"[{part.start}:{part.stop}] is no part of a buffer of {self.size} floats"
            )
        return Buffer(self.offset + start, stop - start, self.stride)

    @property
    def operand(self) -> Operand:
        return Operand(self.offset, self.stride)


@dataclass(frozen=True)
class Slot:
    """A token slot and how many classes its draw has."""

    number: int
    classes: int


@dataclass(frozen=True)
class Layer:
    """A stored matrix, and perhaps its bias, for any number of linear operations."""

    name: str
    rows: int
    cols: int
    weights: int  # tensor
    bias: int | None  # tensor
