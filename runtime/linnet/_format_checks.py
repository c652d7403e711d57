"""What `linnet.format.read` proves beyond header and directory: sections, blocks, programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

import numpy as np

from linnet.blocks import (
    BLOCKS,
    DENSE,
    GROUP,
    MAX_BLOCKS_ASIDE,
    NO_BLOCK_ROW,
    TABLE,
    VECTOR,
    Float32,
    ceil_div,
    widen,
)
from linnet.errors import FormatError
from linnet.format import Bytes, Section, Tensor, VoiceFile
from linnet.operations import (
    ACTIVATIONS,
    COMPANDINGS,
    OPERATION_SIZE,
    Add,
    Draw,
    Embedding,
    Gates,
    History,
    Linear,
    Operand,
    Operation,
    Output,
    Upsample,
)


def check_padding(data: Bytes, sections: list[Section]) -> None:
    """Sections must not overlap, and bytes between them must be zero."""
    end = 0
    for section in sorted((s for s in sections if s.size), key=lambda s: s.offset):
        if section.offset < end:
            raise FormatError(f"{section.name}: overlaps another section", section.offset)
        if data[end : section.offset].any():
            raise FormatError("padding: not zero", end)
        end = section.offset + section.size
    if data[end:].any():
        raise FormatError("padding: not zero", end)


def check_tensor(tensor: Tensor, sections: list[Section]) -> None:
    """Sizes, quads, columns, zero padding and finite weights of one tensor."""
    packed, values_at = tensor.packed, sections[0].offset
    rows, cols = tensor.shape

    def fail(what: str, offset: int, message: str) -> FormatError:
        return FormatError(f"{what} of {tensor.name!r}: {message}", offset)

    if tensor.layout == VECTOR and (tensor.dtype != "float32" or cols != 1):
        raise fail("dtype", values_at, "a vector is one column of fp32")
    if tensor.layout in BLOCKS:
        r, c = BLOCKS[tensor.layout]
        expected = packed.n_blocks * r * c
    elif tensor.layout == TABLE:
        expected = rows * ceil_div(cols, GROUP) * GROUP
    else:
        expected = ceil_div(rows, GROUP) * GROUP * cols
    if packed.values.size != expected:
        raise fail("values", values_at, f"{packed.values.size} weights, not {expected}")
    if tensor.layout in BLOCKS:
        _check_blocks(tensor, sections)
    weights = widen(packed.values, tensor.dtype)
    if not np.isfinite(weights).all():
        raise fail("values", values_at, "a weight is NaN or infinite")
    if _padding_weights(tensor, weights).any():
        raise fail("values", values_at, "a weight beyond the matrix is not zero")


def _check_blocks(tensor: Tensor, sections: list[Section]) -> None:
    packed = tensor.packed
    columns, quads = packed.columns, packed.quads
    assert columns is not None and quads is not None
    r, c = BLOCKS[tensor.layout]
    block_rows, block_cols = ceil_div(packed.rows, r), ceil_div(packed.cols, c)
    columns_at, quads_at = sections[1].offset, sections[2].offset
    if max(block_rows, block_cols) > MAX_BLOCKS_ASIDE:
        raise FormatError(
            f"rows of {tensor.name!r}: more than 65535 block rows or columns", quads_at
        )
    width = 1 if block_cols <= 256 else 2
    if packed.index_width != width:
        raise FormatError(f"index_width of {tensor.name!r}: {packed.index_width}, not {width}")
    if len(quads) != ceil_div(block_rows, 4):
        raise FormatError(
            f"quads of {tensor.name!r}: {len(quads)} for {block_rows} block rows", quads_at
        )
    named = quads["block_rows"][quads["block_rows"] != NO_BLOCK_ROW]
    if not np.array_equal(np.sort(named), np.arange(block_rows)):
        raise FormatError(f"quads of {tensor.name!r}: not every block row exactly once", quads_at)
    if 4 * int(quads["steps"].sum(dtype=np.int64)) != packed.n_blocks:
        raise FormatError(f"quads of {tensor.name!r}: steps do not add up to n_blocks", quads_at)
    if packed.n_blocks and int(columns.max()) >= block_cols:
        raise FormatError(f"columns of {tensor.name!r}: beyond the matrix", columns_at)


def _padding_weights(tensor: Tensor, weights: Float32) -> Float32:
    """The stored weights that stand for rows or columns beyond the matrix."""
    packed = tensor.packed
    rows, cols = tensor.shape
    if tensor.layout == TABLE:
        return np.asarray(weights.reshape(rows, -1)[:, cols:])
    if tensor.layout in (VECTOR, DENSE):
        last = weights.reshape(-1, cols, GROUP)[-1]
        return np.asarray(last[:, rows - (ceil_div(rows, GROUP) - 1) * GROUP :])
    r, c = BLOCKS[tensor.layout]
    block_row, block_col = packed.places()
    row = block_row[:, None] * r + np.arange(r)
    col = block_col[:, None] * c + np.arange(c)
    beyond = (row >= rows)[:, :, None] | (col >= cols)[:, None, :]
    return np.asarray(weights.reshape(-1, r, c)[beyond])


class _Programs:
    """Checks every index of the two programs; `fail` names the operation at hand."""

    def __init__(self, voice: VoiceFile, operations_at: int) -> None:
        self.voice = voice
        self.operations_at = operations_at
        self.at = operations_at
        self.steps = 1
        self.operation: Operation = voice.sample_program[0]
        self.classes: dict[int, int] = {}

    def fail(self, message: str) -> FormatError:
        name = type(self.operation).__name__.lower()
        return FormatError(f"operation {name}: {message}", self.at)

    def expect(self, condition: bool, message: str) -> None:
        if not condition:
            raise self.fail(message)

    def operations(self) -> Iterator[Operation]:
        """Every operation, with `at` and `steps` set for it."""
        voice = self.voice
        for i, operation in enumerate(voice.frame_program + voice.sample_program):
            self.at = self.operations_at + i * OPERATION_SIZE
            self.steps = 1 if i < len(voice.frame_program) else voice.header.hop_length
            self.operation = operation
            yield operation

    def run(self) -> None:
        header = self.voice.header
        for operation in self.operations():
            if isinstance(operation, Draw):
                self.expect(
                    operation.slot < header.n_slots, f"slot {operation.slot} does not exist"
                )
                self.expect(
                    operation.slot not in self.classes, f"slot {operation.slot} is drawn twice"
                )
                self.expect(1 <= operation.classes <= 65536, f"{operation.classes} classes")
                self.classes[operation.slot] = operation.classes
        if len(self.classes) != header.n_slots:
            raise FormatError("n_slots: a slot that no draw writes", 56)
        last = self.voice.sample_program[-1]
        outputs = sum(isinstance(operation, Output) for operation in self.operations())
        if outputs != 1 or not isinstance(last, Output):
            raise self.fail("a sample program has exactly one output, its last operation")
        frame_only, sample_only = (History, Upsample), (Embedding, Draw, Output)
        n_frame = len(self.voice.frame_program)
        for i, operation in enumerate(self.operations()):
            wrong = sample_only if i < n_frame else frame_only
            self.expect(not isinstance(operation, wrong), "stands in the wrong program")
            getattr(self, type(operation).__name__.lower())(operation)

    def range(self, operand: Operand, size: int, what: str) -> None:
        end = operand.offset + operand.stride * (self.steps - 1) + size
        self.expect(
            end <= self.voice.header.arena_size, f"{what} ends at float {end}, beyond the arena"
        )

    def apart(self, a: Operand, a_size: int, b: Operand, b_size: int, what: str) -> None:
        """The floats that either touches over a whole frame must be different ones."""
        a_end = a.offset + a.stride * (self.steps - 1) + a_size
        b_end = b.offset + b.stride * (self.steps - 1) + b_size
        self.expect(a.offset >= b_end or b.offset >= a_end, f"{what} overlap")

    def tensor(self, index: int, layouts: tuple[str, ...], what: str) -> Tensor:
        self.expect(index < len(self.voice.tensors), f"{what} {index} does not exist")
        tensor = self.voice.tensors[index]
        self.expect(tensor.layout in layouts, f"{what} {tensor.name!r} is a {tensor.layout}")
        return tensor

    def finite(self) -> None:
        for f in fields(self.operation):
            value = getattr(self.operation, f.name)
            self.expect(
                not isinstance(value, float) or bool(np.isfinite(value)), f"{f.name} is not finite"
            )

    def linear(self, op: Linear) -> None:
        weights = self.tensor(op.weights, (DENSE, *BLOCKS), "weights")
        rows, cols = weights.shape
        if weights.layout in BLOCKS:
            c = BLOCKS[weights.layout][1]
            cols = ceil_div(cols, c) * c
        if op.bias is not None:
            bias = self.tensor(op.bias, (VECTOR,), "bias")
            self.expect(bias.shape[0] == rows, f"bias of {bias.shape[0]} floats for {rows} rows")
        self.expect(op.activation < len(ACTIVATIONS), f"activation {op.activation} is unknown")
        self.range(op.input, cols, "in")
        self.range(op.out, rows, "out")
        self.apart(op.input, cols, op.out, rows, "in and out")
        if op.add is not None:
            self.range(op.add, rows, "add")
            self.apart(op.add, rows, op.out, rows, "add and out")

    def gates(self, op: Gates) -> None:
        self.expect(op.units >= 1, "no units")
        self.range(op.recurrent, 3 * op.units, "recurrent")
        self.range(op.input, 3 * op.units, "input")
        self.range(op.state, op.units, "state")
        self.apart(op.recurrent, 3 * op.units, op.state, op.units, "recurrent and state")
        self.apart(op.input, 3 * op.units, op.state, op.units, "input and state")

    def history(self, op: History) -> None:
        self.expect(op.size >= 1 and op.frames >= 1, "an empty window")
        self.range(op.input, op.size, "in")
        self.range(op.out, op.size * op.frames, "out")
        self.apart(op.input, op.size, op.out, op.size * op.frames, "in and out")

    def upsample(self, op: Upsample) -> None:
        hop = self.voice.header.hop_length
        weights = self.tensor(op.weights, (VECTOR,), "weights")
        self.expect(op.channels >= 1 and op.window >= 1, "an empty window")
        self.expect(
            weights.shape[0] == hop * op.window,
            f"{weights.shape[0]} weights, not {hop} x {op.window}",
        )
        self.expect(op.out.stride >= op.channels, "rows overlap")
        out = Operand(op.out.offset)
        size = (hop - 1) * op.out.stride + op.channels
        self.range(op.input, op.window * op.channels, "in")
        self.range(out, size, "out")
        self.apart(op.input, op.window * op.channels, out, size, "in and out")

    def add(self, op: Add) -> None:
        self.expect(op.size >= 1, "no floats")
        for operand, what in ((op.input, "in"), (op.add, "add")):
            self.range(operand, op.size, what)
            if operand != op.out:
                self.apart(operand, op.size, op.out, op.size, f"{what} and out")
        self.range(op.out, op.size, "out")

    def embedding(self, op: Embedding) -> None:
        table = self.tensor(op.table, (TABLE,), "table")
        self.expect(op.slot in self.classes, f"slot {op.slot} does not exist")
        self.expect(table.shape[0] >= self.classes[op.slot], "fewer rows than classes")
        self.range(op.out, table.shape[1], "out")

    def draw(self, op: Draw) -> None:
        self.expect(op.initial_token < op.classes, "the initial token is not below the classes")
        self.finite()
        self.range(op.input, op.classes, "in")
        self.range(op.out, 1, "out")

    def output(self, op: Output) -> None:
        self.expect(op.high in self.classes, f"slot {op.high} does not exist")
        tokens = self.classes[op.high]
        if op.low is not None:
            self.expect(
                op.low in self.classes and op.low != op.high, f"slot {op.low} does not exist"
            )
            self.expect(self.classes[op.low] <= 256, "the low slot has more than 256 classes")
            tokens *= 256
        self.expect(tokens <= 65536, "tokens beyond 65535")
        self.expect(
            set(self.classes) == {op.high, op.low} - {None}, "a slot is neither high nor low"
        )
        self.expect(op.companding < len(COMPANDINGS), f"companding {op.companding} is unknown")
        self.finite()
        self.expect(-1 < op.pre_emphasis < 1, "pre_emphasis is not within (-1, 1)")
        self.range(op.state, 1, "state")


def check_programs(voice: VoiceFile, operations_at: int) -> None:
    """Prove every index, range and slot of both programs."""
    _Programs(voice, operations_at).run()


def operand_ranges(voice: VoiceFile) -> list[list[tuple[str, Operand, int]]]:
    """Per operation of the frame and the sample program: each operand's name, place and floats."""
    noted = _NotedRanges(voice)
    noted.run()
    n_operations = len(voice.frame_program) + len(voice.sample_program)
    return [noted.found.get(i * OPERATION_SIZE, []) for i in range(n_operations)]


class _NotedRanges(_Programs):
    def __init__(self, voice: VoiceFile) -> None:
        super().__init__(voice, 0)
        self.found: dict[int, list[tuple[str, Operand, int]]] = {}

    def range(self, operand: Operand, size: int, what: str) -> None:
        super().range(operand, size, what)
        self.found.setdefault(self.at, []).append((what, operand, size))
