"""One tensor of a file: a name and a matrix."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from linnet.format.blocks import Packed, unpack
from linnet.format.dtypes import Float32


@dataclass(frozen=True)
class Tensor:
    """One tensor; its arrays are views of the file."""

    name: str
    packed: Packed

    @property
    def shape(self) -> tuple[int, int]:
        return self.packed.rows, self.packed.cols

    @property
    def layout(self) -> str:
        return self.packed.layout

    @property
    def dtype(self) -> str:
        return self.packed.dtype

    @cached_property
    def dense(self) -> Float32:
        """The weights as float32: `(rows, cols)`, for a vector `(rows,)`."""
        return unpack(self.packed)
