"""Facts about a voice's operations: which buffers and tensors they use, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass

from linnet.format.blocks import VECTOR
from linnet.format.operations import Operation
from linnet.format.voice_file import VoiceFile

FRAME, SAMPLE, AFTER = "frame", "sample", "after"


@dataclass(frozen=True)
class Extent:
    """Floats of the arena that an operation uses: `size` at offset + stride times the row."""

    name: str  # of the operand
    offset: int
    stride: int
    size: int

    def __str__(self) -> str:
        stride = f"+{self.stride}i" if self.stride else ""
        return f"{self.name} {self.offset}{stride}[{self.size}]"


@dataclass(frozen=True)
class OperationFacts:
    """One operation."""

    program: str  # FRAME, SAMPLE, or AFTER (a match)
    number: int  # within its program
    operation: str
    tensors: tuple[str, ...]  # their names
    shape: str  # of the matrix, "" without one
    layout: str
    stored_weights: int  # of the matrix
    bytes: int  # of all its tensors
    multiply_adds: float  # per sample of the signal, on average
    extents: tuple[Extent, ...]


def operation_facts(file: VoiceFile) -> list[OperationFacts]:
    """Every operation, the frame program first."""
    header = file.header
    programs: dict[str, tuple[tuple[Operation, ...], int]] = {
        FRAME: (file.frame_program, header.hop_length),
        SAMPLE: (file.sample_program, header.samples_per_step),
        AFTER: ((file.match,) if file.match else (), header.hop_length),
    }
    return [
        _facts(file, program, number, operation, samples)
        for program, (operations, samples) in programs.items()
        for number, operation in enumerate(operations)
    ]


def _facts(
    file: VoiceFile, program: str, number: int, operation: Operation, samples: int
) -> OperationFacts:
    """samples: that one run of its program makes."""
    tensors = file.tensors_of(operation)
    matrix = next((t for t in tensors.values() if t.layout != VECTOR), None)
    places = operation.operands(tensors, file.header.rows)
    return OperationFacts(
        program,
        number,
        operation.name,
        tuple(tensor.name for tensor in tensors.values()),
        f"{matrix.packed.rows} x {matrix.packed.cols}" if matrix else "",
        matrix.layout if matrix else "",
        matrix.packed.stored_weights if matrix else 0,
        sum(tensor.packed.nbytes for tensor in tensors.values()),
        operation.multiply_adds(tensors) / samples,
        tuple(Extent(name, *operand, floats) for name, operand, floats in places),
    )
