"""What the operations of a voice's programs read and write, weigh and cost."""

from __future__ import annotations

from dataclasses import dataclass

from linnet._program_checks import operand_ranges
from linnet.format.blocks import VECTOR
from linnet.format.operations import Bands, Gates, Linear, Match, Operation, Upsample
from linnet.format.voice_file import Tensor, VoiceFile

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

    program: str  # FRAME, SAMPLE, or AFTER: what follows the samples
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
    operations: list[tuple[str, int, Operation]] = [
        *((FRAME, number, op) for number, op in enumerate(file.frame_program)),
        *((SAMPLE, number, op) for number, op in enumerate(file.sample_program)),
    ]
    ranges = operand_ranges(file)
    if file.match is not None:
        operations.append((AFTER, 0, file.match))
        ranges.append([])
    facts = []
    for (program, number, op), places in zip(operations, ranges, strict=True):
        tensors = tensors_of(op, file)
        matrix = next((t for t in tensors if t.layout != VECTOR), None)
        samples = header.samples_per_step if program == SAMPLE else header.hop_length
        extents = [Extent(name, *operand, size) for name, operand, size in places]
        facts.append(
            OperationFacts(
                program,
                number,
                type(op).__name__.lower(),
                tuple(tensor.name for tensor in tensors),
                f"{matrix.packed.rows} x {matrix.packed.cols}" if matrix else "",
                matrix.layout if matrix else "",
                matrix.packed.stored_weights if matrix else 0,
                sum(tensor.packed.nbytes for tensor in tensors),
                multiply_adds(op, file) / samples,
                tuple(extents),
            )
        )
    return facts


def tensors_of(op: Operation, file: VoiceFile) -> list[Tensor]:
    """The tensors that an operation reads."""
    indices = [getattr(op, name) for name in op.tensors]
    return [file.tensors[index] for index in indices if index is not None]


def multiply_adds(op: Operation, file: VoiceFile) -> int:
    """Of one run, without activations and draws."""
    if isinstance(op, Linear):
        return file.tensors[op.weights].packed.stored_weights
    if isinstance(op, Upsample):
        return file.tensors[op.weights].packed.rows * op.channels
    if isinstance(op, Bands) and op.weights is not None:
        # Every level merges all bands in pairs, of which each passes half of the coefficients.
        return op.levels * op.bands * file.tensors[op.weights].packed.rows // 2
    if isinstance(op, Match):
        window, turns, bands, spread = (
            file.tensors[i].packed for i in (op.window, op.turns, op.bands, op.spread)
        )
        # A visit takes windows, two transforms of n / 4 log2(n) complex products, gains.
        transforms = 2 * turns.rows * (turns.rows.bit_length() - 1)
        gains = turns.rows + bands.stored_weights + spread.stored_weights
        return op.visits * (2 * window.rows + transforms + gains)
    return 2 * op.units if isinstance(op, Gates) else 0
