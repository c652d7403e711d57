"""A whole `.linnet` file as Python values: its numbers, its tensors, its programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from linnet.format.blocks import ceil_div
from linnet.format.operations import Match, Operation, Subscale, Tensors
from linnet.format.tensor import Tensor


@dataclass(frozen=True)
class Header:
    """The numbers of a voice, as the file's header names them."""

    sample_rate: int  # Hz
    hop_length: int  # samples per frame
    n_features: int  # floats per frame
    lookahead: int  # frames
    priming: int  # frames
    arena_size: int  # floats
    n_slots: int
    features_at: int  # floats
    samples_per_step: int = 1  # of the sample program
    steps_per_row: int = 1
    silence: int | None = None  # tensor: the features of a silent frame; None: zeros

    @property
    def steps(self) -> int:
        """Runs of the sample program per frame."""
        return self.hop_length // self.samples_per_step

    @property
    def rows(self) -> int:
        """Rows per frame, of buffers that have one for every `steps_per_row` steps."""
        return self.steps // self.steps_per_row


@dataclass(frozen=True)
class VoiceFile:
    """A whole file."""

    header: Header
    metadata: dict[str, Any]
    tensors: tuple[Tensor, ...]
    frame_program: tuple[Operation, ...]
    sample_program: tuple[Operation, ...]
    file_size: int = 0  # bytes
    match: Match | None = None  # runs after the sample program

    @property
    def minor(self) -> int:
        """The format's minor version: the least that has all that the file holds."""
        if self.subscale is not None:
            return 4
        new = any(op.number > 13 for op in (*self.frame_program, *self.sample_program))
        if new or any(tensor.dtype == "int8" for tensor in self.tensors):
            return 3
        later = self.match is not None and (self.match.momentum or self.match.rounds)
        if later or any(tensor.layout == "8x4" for tensor in self.tensors):
            return 2
        return 0 if self.match is None else 1

    @property
    def subscale(self) -> Subscale | None:
        """What says how its samples are made in sub-tensors."""
        first = self.sample_program[0]
        return first if isinstance(first, Subscale) else None

    @property
    def ahead(self) -> int:
        """Frames, within the look-ahead, that the first sub-tensor is ahead of the last."""
        return 0 if self.subscale is None else self.subscale.frames_ahead(self.header.hop_length)

    @property
    def delay(self) -> int:
        """Frames by which matched samples come later than the sample program's."""
        if self.match is None:
            return 0
        window, _ = self.tensors[self.match.window].shape
        return 2 * ceil_div(window // 2, self.header.hop_length) - 2 + self.match.iterations

    @property
    def lookahead(self) -> int:
        """Frames that must arrive after a frame before its samples can be made."""
        return self.header.lookahead + self.delay

    def tensor(self, name: str) -> Tensor:
        """The tensor of that name. Raises KeyError."""
        for tensor in self.tensors:
            if tensor.name == name:
                return tensor
        raise KeyError(name)

    def tensors_of(self, operation: Operation) -> Tensors:
        """The tensors that an operation reads, by the fields that hold their indices."""
        indices = {name: getattr(operation, name) for name in operation.tensors}
        return {name: self.tensors[i] for name, i in indices.items() if i is not None}
