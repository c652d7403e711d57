"""What `linnet.format.reading.read` proves of the programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

import numpy as np

from linnet.errors import FormatError
from linnet.format.blocks import BLOCKS, DENSE, TABLE, VECTOR, ceil_div
from linnet.format.operations import (
    ACTIVATIONS,
    COMPANDINGS,
    MOST_ORDER,
    MOST_TRANSFORM,
    MOST_VISITS,
    NONE,
    OPERATION_SIZE,
    SPREADS,
    Add,
    Bands,
    Draw,
    Embedding,
    Gates,
    History,
    Linear,
    Logistics,
    Match,
    Operand,
    Operation,
    Output,
    Predict,
    StepUp,
    Upsample,
    bands_state_size,
)
from linnet.format.voice_file import Tensor, VoiceFile


class _Programs:
    """Checks every index of the two programs; `fail` names the operation at hand."""

    def __init__(self, voice: VoiceFile, operations_at: int) -> None:
        self.voice = voice
        self.operations_at = operations_at
        self.at = operations_at
        self.rows = 1
        self.operation: Operation = voice.sample_program[0]
        self.classes: dict[int, int] = {}
        self.mixture: Logistics | None = None

    def fail(self, message: str) -> FormatError:
        name = type(self.operation).__name__.lower()
        return FormatError(f"operation {name}: {message}", self.at)

    def expect(self, condition: bool, message: str) -> None:
        if not condition:
            raise self.fail(message)

    def operations(self) -> Iterator[Operation]:
        """Every operation, with `at` and `rows` set for it."""
        voice = self.voice
        for i, operation in enumerate(voice.frame_program + voice.sample_program):
            self.at = self.operations_at + i * OPERATION_SIZE
            self.rows = 1 if i < len(voice.frame_program) else voice.header.rows
            self.operation = operation
            yield operation

    def run(self) -> None:
        header = self.voice.header
        if header.silence is not None:
            silence = self.tensor(header.silence, (VECTOR,), "silence")
            self.expect(silence.shape[0] == header.n_features, "silence is not a frame")
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
            if isinstance(operation, Logistics):
                self.expect(self.mixture is None, "a second mixture of logistics")
                self.mixture = operation
        if len(self.classes) != header.n_slots:
            raise FormatError("n_slots: a slot that no draw writes", 56)
        last = self.voice.sample_program[-1]
        ends = (Output, Bands)
        outputs = sum(isinstance(operation, ends) for operation in self.operations())
        if outputs != 1 or not isinstance(last, ends):
            raise self.fail("a sample program has exactly one output, its last operation")
        frame_only = (History, Upsample, StepUp, Match)
        sample_only = (Embedding, Draw, Logistics, Predict, Match, *ends)
        n_frame = len(self.voice.frame_program)
        for i, operation in enumerate(self.operations()):
            wrong = sample_only if i < n_frame else frame_only
            self.expect(not isinstance(operation, wrong), "stands in the wrong program")
            getattr(self, type(operation).__name__.lower())(operation)
        if (match := self.voice.match) is not None:
            self.at = self.operations_at + OPERATION_SIZE * (
                n_frame + len(self.voice.sample_program)
            )
            self.operation = match
            self.match(match)

    def range(self, operand: Operand, size: int, what: str) -> None:
        end = operand.offset + operand.stride * (self.rows - 1) + size
        self.expect(
            end <= self.voice.header.arena_size, f"{what} ends at float {end}, beyond the arena"
        )

    def apart(self, a: Operand, a_size: int, b: Operand, b_size: int, what: str) -> None:
        """The floats that either touches over a whole frame must be different ones."""
        a_end = a.offset + a.stride * (self.rows - 1) + a_size
        b_end = b.offset + b.stride * (self.rows - 1) + b_size
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
        if op.initial is not None:
            initial = self.tensor(op.initial, (VECTOR,), "initial")
            self.expect(initial.shape[0] == op.size * op.frames, "initial is not the window")

    def upsample(self, op: Upsample) -> None:
        rows = self.voice.header.rows
        weights = self.tensor(op.weights, (VECTOR,), "weights")
        self.expect(op.channels >= 1 and op.window >= 1, "an empty window")
        self.expect(
            weights.shape[0] == rows * op.window,
            f"{weights.shape[0]} weights, not {rows} x {op.window}",
        )
        self.expect(op.out.stride >= op.channels, "rows overlap")
        out = Operand(op.out.offset)
        size = (rows - 1) * op.out.stride + op.channels
        self.range(op.input, op.window * op.channels, "in")
        self.range(out, size, "out")
        self.apart(op.input, op.window * op.channels, out, size, "in and out")

    def add(self, op: Add) -> None:
        self.expect(op.size >= 1, "no floats")
        self.expect(op.activation < len(ACTIVATIONS), f"activation {op.activation} is unknown")
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

    def logistics(self, op: Logistics) -> None:
        self.expect(1 <= op.mixtures <= 256, f"{op.mixtures} mixtures")
        self.expect(1 <= op.bands <= 64, f"{op.bands} bands")
        self.expect(op.spread < len(SPREADS), f"spread {op.spread} is unknown")
        self.expect(op.random_word + 2 * op.bands <= NONE, "random words beyond 2^32")
        self.finite()
        self.expect(op.steps >= 0, "steps below 0")
        self.expect(2 <= op.classes <= 65536, f"{op.classes} classes")
        self.expect(op.steps == 0 or op.classes == 65536, "steps without 65536 classes")
        size = op.mixtures * op.bands
        self.range(op.out, op.bands, "out")
        for operand, what in ((op.input, "in"), (op.means, "means"), (op.scales, "scales")):
            self.range(operand, size, what)
            self.apart(operand, size, op.out, op.bands, f"{what} and out")

    def bands(self, op: Bands) -> None:
        self.expect(op.levels <= 6, f"{op.levels} levels")
        per_step = self.voice.header.samples_per_step
        self.expect(op.bands == per_step, f"{op.bands} bands, but {per_step} samples per step")
        self.expect(not self.classes, "a slot is not in the output")
        drawn = self.mixture.bands if self.mixture else 0
        self.expect(drawn == op.bands, f"{drawn} bands are drawn, not {op.bands}")
        coefficients = 0
        if op.levels == 0:
            self.expect(op.weights is None, "weights without levels")
        else:
            self.expect(op.weights is not None, "no weights")
            assert op.weights is not None
            coefficients = self.tensor(op.weights, (VECTOR,), "weights").shape[0]
            self.expect(
                coefficients % 2 == 0 and coefficients <= 32, f"{coefficients} coefficients"
            )
        self.finite()
        self.expect(-1 < op.pre_emphasis < 1, "pre_emphasis is not within (-1, 1)")
        size = bands_state_size(op.levels, coefficients)
        self.range(op.input, op.bands, "in")
        self.range(op.state, size, "state")
        self.apart(op.input, op.bands, op.state, size, "in and state")

    def output(self, op: Output) -> None:
        self.expect(self.voice.header.samples_per_step == 1, "one sample where a step has several")
        self.expect(self.mixture is None, "a mixture of logistics is not in the output")
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
        if COMPANDINGS[op.companding] == "excitation":
            self.excitation(op)
        else:
            none = Operand(0)
            self.expect(op.predicted == op.past == none, "a prediction without an excitation")

    def excitation(self, op: Output) -> None:
        self.expect(op.low is None, "an excitation of two slots")
        self.expect(op.scale > 0 and op.log_1_mu > 0, "scale or log(1 + mu) is not positive")
        self.range(op.predicted, 2, "predicted")
        self.range(op.past, 1, "past")
        self.apart(op.past, 1, op.predicted, 2, "past and predicted")
        self.apart(op.past, 1, op.state, 1, "past and state")
        self.apart(op.state, 1, op.predicted, 2, "state and predicted")

    def stepup(self, op: StepUp) -> None:
        self.expect(1 <= op.order <= MOST_ORDER, f"order {op.order}")
        self.range(op.input, op.order, "in")
        self.range(op.out, op.order, "out")
        self.apart(op.input, op.order, op.out, op.order, "in and out")

    def predict(self, op: Predict) -> None:
        self.expect(1 <= op.order <= MOST_ORDER, f"order {op.order}")
        self.expect(0 < op.least_gain <= 1, "least_gain is not within (0, 1]")
        read = [("in", op.input, op.order), ("gain", op.gain, 1)]
        written = [("out", op.out, 4), ("past", op.past, op.order)]
        for what, operand, size in read + written:
            self.range(operand, size, what)
        for what, operand, size in written:
            for other, from_, n in read:
                self.apart(operand, size, from_, n, f"{what} and {other}")
        self.apart(op.out, 4, op.past, op.order, "out and past")

    def match(self, op: Match) -> None:
        window, synthesis, turns = (
            self.tensor(index, (VECTOR,), what).shape[0]
            for index, what in (
                (op.window, "window"),
                (op.synthesis, "synthesis"),
                (op.turns, "turns"),
            )
        )
        self.expect(
            16 <= turns <= MOST_TRANSFORM and turns.bit_count() == 1, f"a transform of {turns}"
        )
        self.expect(
            window % 2 == 0 and window <= turns, f"a window of {window} for a transform of {turns}"
        )
        self.expect(synthesis == window, f"synthesis of {synthesis} floats, not {window}")
        features, bins = self.voice.header.n_features, turns // 2 + 1
        for index, shape, what in (
            (op.bands, (features, bins), "bands"),
            (op.spread, (bins, features), "spread"),
        ):
            found = self.tensor(index, (DENSE, *BLOCKS), what).shape
            self.expect(found == shape, f"{what} has shape {found}, not {shape}")
        self.expect(op.power in (1, 2), f"power {op.power}")
        self.finite()
        self.expect(op.floor > 0, "floor is not positive")
        self.expect(0 <= op.limit <= 80, "limit outside 0 .. 80")
        self.expect(1 <= op.visits <= MOST_VISITS, f"{op.visits} visits")
        self.expect(self.voice.delay <= 1024, "it delays samples by more than 1024 frames")


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
