"""The operations of a program as nodes of an ONNX graph; weights are dense.

An int8 matrix stays integers, behind a DequantizeLinear, and its operand passes through a
QuantizeLinear and a DequantizeLinear: runtimes that multiply integers may do so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from linnet.format.blocks import unpack_integers
from linnet.format.dtypes import INT8_MOST
from linnet.format.operations import (
    ACTIVATIONS,
    COMPANDINGS,
    Add,
    Draw,
    Embedding,
    Gates,
    History,
    Linear,
    Logistics,
    Operand,
    Operation,
    Output,
    Predict,
    StepUp,
    SubBands,
    Subscale,
    Upsample,
    sub_bands_state_size,
)
from linnet.format.tensor import Tensor
from linnet.format.voice_file import VoiceFile
from linnet_export.onnx.arena import Place
from linnet_export.onnx.graph import Graph, Value

_ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "exp": "Exp"}
_GREATEST_GAIN = 256.0
_LEAST_STEP = 2.0**-100 / INT8_MOST  # below, an operand counts as zeros


class Memory(Protocol):
    """Where operations find and leave their values."""

    def read(self, operand: Operand, size: int) -> Value: ...

    def write(self, operand: Operand, value: Value) -> None: ...

    def leave(self, operand: Operand, size: int, name: str = "output") -> None: ...


class Drawn:
    """What is drawn, as graph inputs: in the step before, and in this step once it is drawn.

    A token of the step before is -1 where there was none: it stands for the initial token, and for
    the initial value, which may differ from that token's.
    """

    def __init__(self, graph: Graph, program: tuple[Operation, ...]) -> None:
        self._graph = graph
        self.draws = {op.slot: op for op in program if isinstance(op, Draw)}
        self.mixture = next((op for op in program if isinstance(op, Logistics)), None)
        self._drawn: set[int] = set()
        output = program[-1]
        self.labels = dict.fromkeys(self.draws, "token")
        if isinstance(output, Output) and output.low is not None:
            self.labels = {output.high: "coarse", output.low: "fine"}

    def places(self) -> dict[str, Place]:
        """Where the engine has the outputs that are drawn from, and what it drew."""
        found = {}
        for slot, draw in self.draws.items():
            found[f"{self.labels[slot]}_logits"] = Place(draw.input, draw.classes)
            found[f"{self.labels[slot]}_value"] = Place(draw.out, 1)
        if self.mixture is not None:
            found["values"] = Place(self.mixture.out, self.mixture.bands)
            for name, operand in parameters(self.mixture).items():
                found[name] = Place(operand, self.mixture.bands * self.mixture.mixtures)
        return found

    def any_previous(self) -> str:
        """An input that is always there."""
        return self.previous(min(self.draws)) if self.draws else self.values("previous_").name

    def values(self, when: str = "") -> Value:
        """Drawn from the mixture of logistics, a value per band: (batch, bands)."""
        assert self.mixture is not None
        return self._graph.floats_in(f"{when}values", self.mixture.bands)

    def previous(self, slot: int) -> str:
        """The input of the slot's token of the step before."""
        return self._graph.tokens_in(f"previous_{self.labels[slot]}")

    def previous_value(self, slot: int) -> Value:
        """What the draw wrote in the step before."""
        draw, token = self.draws[slot], self.previous(slot)
        initial = self._graph.number(draw.initial_value)
        value = self._or_initial(token, initial, self._scaled(draw, token))
        return self._column(value, f"previous_{self.labels[slot]}_value")

    def drawn_value(self, slot: int) -> Value:
        """What the draw writes in this step; from here on its token is known."""
        self._drawn.add(slot)
        label = self.labels[slot]
        value = self._scaled(self.draws[slot], self._graph.tokens_in(label))
        return self._column(value, f"{label}_value")

    def index(self, slot: int) -> str:
        """The slot's token as it stands, at this place of the program."""
        if slot in self._drawn:
            return self._graph.tokens_in(self.labels[slot])
        token = self.previous(slot)
        initial = np.array(self.draws[slot].initial_token, np.int64)
        return self._or_initial(token, self._graph.constant(f"initial_{slot}", initial), token)

    def _or_initial(self, token: str, initial: str, value: str) -> str:
        first = self._graph.node("Less", [token, self._graph.integers(0)])
        return self._graph.node("Where", [first, initial, value])

    def _scaled(self, draw: Draw, token: str) -> str:
        number = self._graph.node("Cast", [token], to=1)  # to float32
        scaled = self._graph.node("Mul", [number, self._graph.number(draw.scale)])
        return self._graph.node("Add", [scaled, self._graph.number(draw.offset)])

    def _column(self, value: str, hint: str) -> Value:
        return self._graph.value("Unsqueeze", [value, self._graph.integers(1)], 1, hint)


def parameters(op: Logistics) -> dict[str, Operand]:
    """Of the mixtures, by the names of the graph's outputs."""
    return {"mixture_logits": op.input, "mixture_means": op.means, "mixture_scales": op.scales}


class Translator:
    """Turns one program's operations into nodes, in turn."""

    def __init__(self, file: VoiceFile, graph: Graph, memory: Memory, drawn: Drawn) -> None:
        self.file, self.graph, self.memory, self.drawn = file, graph, memory, drawn

    def run(self, program: tuple[Operation, ...]) -> None:
        """Raises ValueError for an operation without a translation."""
        for op in program:
            if type(op) not in _TRANSLATIONS:
                raise ValueError(f"the operation {op.name!r} has no ONNX form")
            _TRANSLATIONS[type(op)](self, op)

    def weights(self, tensor: int, suffix: str = "", shape: tuple[int, ...] = ()) -> str:
        """A tensor of the file as a dense constant."""
        name, dense = self.file.tensors[tensor].name, self.file.tensors[tensor].dense
        return self.graph.constant(name + suffix, dense.reshape(shape) if shape else dense)

    def integer_weights(self, tensor: int) -> str:
        """An int8 matrix of the file as integers and the scales of their rows, multiplied."""
        name, packed = self.file.tensors[tensor].name, self.file.tensors[tensor].packed
        integers = self.graph.constant(f"{name}.integers", unpack_integers(packed))
        scales = self.graph.constant(f"{name}.scales", np.array(packed.scales))
        return self.graph.node("DequantizeLinear", [integers, scales], f"{name}.weights", axis=0)


def _quantised(graph: Graph, x: str, tensor: Tensor) -> str:
    """x (batch, n) as the multiples of a step that an int8 matrix is multiplied with."""
    most, limit = float(INT8_MOST), np.float32(tensor.packed.input_range)
    if limit:
        x = graph.node("Clip", [x, graph.number(-float(limit)), graph.number(float(limit))])
        step = graph.number(float(limit / np.float32(INT8_MOST)))
        zero = graph.constant("int8_zero", np.array(0, np.int8))
    else:  # each row has a step of its own
        largest = graph.node("ReduceMax", [graph.node("Abs", [x])], axes=[1], keepdims=0)
        step = graph.node("Div", [largest, graph.number(most)])
        step = graph.node("Max", [step, graph.number(_LEAST_STEP)], f"{tensor.name}.step")
        zero = graph.zeros_like(step)
    integers = graph.node("QuantizeLinear", [x, step, zero], f"{tensor.name}.quantised", axis=0)
    return graph.node("DequantizeLinear", [integers, step, zero], axis=0)


def _linear(t: Translator, op: Linear) -> None:
    tensor = t.file.tensors[op.weights]
    rows, cols = tensor.shape
    x = t.memory.read(op.input, cols).name
    if tensor.packed.scales is None:
        inputs = [x, t.weights(op.weights)]
    else:
        inputs = [_quantised(t.graph, x, tensor), t.integer_weights(op.weights)]
    if op.bias is not None:
        inputs.append(t.weights(op.bias))
    y = t.graph.value("Gemm", inputs, rows, tensor.name, transB=1)
    if op.add is not None:
        y = t.graph.value("Add", [y.name, t.memory.read(op.add, rows).name], rows, tensor.name)
    t.memory.write(op.out, _activated(t, op.activation, y, tensor.name))


def _activated(t: Translator, number: int, y: Value, hint: str = "") -> Value:
    activation = ACTIVATIONS[number]
    if activation == "none":
        return y
    return t.graph.value(_ACTIVATIONS[activation], [y.name], y.size, hint)


def _gates(t: Translator, op: Gates) -> None:
    n = op.units

    def third(operand: Operand, number: int) -> str:
        return t.memory.read(Operand(operand.offset + number * n, operand.stride), n).name

    def binary(kind: str, a: str, b: str) -> str:
        return t.graph.node(kind, [a, b])

    update, reset, candidate = range(3)
    u, r = (
        t.graph.node("Sigmoid", [binary("Add", third(op.recurrent, gate), third(op.input, gate))])
        for gate in (update, reset)
    )
    reset_sum = binary("Mul", r, third(op.recurrent, candidate))
    e = t.graph.node("Tanh", [binary("Add", reset_sum, third(op.input, candidate))])
    # u state + (1 - u) e
    kept = binary("Mul", u, binary("Sub", t.memory.read(op.state, n).name, e))
    t.memory.write(op.state, Value(binary("Add", kept, e), n))


def _history(t: Translator, op: History) -> None:
    size = op.size * op.frames
    newest = t.memory.read(op.input, op.size)
    if op.frames > 1:
        kept = t.memory.read(Operand(op.out.offset + op.size, op.out.stride), size - op.size)
        newest = t.graph.value("Concat", [kept.name, newest.name], size, "window", axis=1)
    t.memory.write(op.out, newest)


def _upsample(t: Translator, op: Upsample) -> None:
    n_rows = t.file.header.rows
    window = t.memory.read(op.input, op.window * op.channels)
    frames = t.graph.node("Reshape", [window.name, t.graph.integers(0, op.window, op.channels)])
    weights = t.weights(op.weights, ".matrix", (n_rows, op.window))
    rows = t.graph.node("MatMul", [weights, frames], t.file.tensors[op.weights].name)
    t.memory.write(op.out, Value(rows, op.channels, n_rows))


def _add(t: Translator, op: Add) -> None:
    terms = [t.memory.read(operand, op.size).name for operand in (op.input, op.add)]
    t.memory.write(op.out, _activated(t, op.activation, t.graph.value("Add", terms, op.size)))


def _embedding(t: Translator, op: Embedding) -> None:
    inputs = [t.weights(op.table), t.drawn.index(op.slot)]
    size = t.file.tensors[op.table].shape[1]
    t.memory.write(op.out, t.graph.value("Gather", inputs, size, axis=0))


def _subscale(t: Translator, op: Subscale) -> None:
    """Other lanes are steps of their own: their values come from the caller."""
    t.memory.write(op.out, t.graph.floats_in("window", op.window))


def _draw(t: Translator, op: Draw) -> None:
    t.graph.output(f"{t.drawn.labels[op.slot]}_logits", t.memory.read(op.input, op.classes))
    t.memory.write(op.out, t.drawn.drawn_value(op.slot))


def _logistics(t: Translator, op: Logistics) -> None:
    for name, operand in parameters(op).items():
        t.graph.output(name, t.memory.read(operand, op.bands * op.mixtures))
    t.memory.write(op.out, t.drawn.values())


def _bands(t: Translator, op: SubBands) -> None:
    """As `_output`: the samples are made of the values."""
    filters = 0 if op.weights is None else t.file.tensors[op.weights].packed.rows
    t.memory.leave(op.state, sub_bands_state_size(op.levels, filters))


def _output(t: Translator, op: Output) -> None:
    """A sample is made of the tokens, which the caller draws; it, or its filter, may be heard."""
    t.memory.leave(op.state, 1)
    if COMPANDINGS[op.companding] == "excitation":
        t.memory.leave(op.past, 1, "previous_sample")


def _step_up(t: Translator, op: StepUp) -> None:
    graph = t.graph
    reflections = graph.node("Clip", [t.memory.read(op.input, op.order).name, *_limits(t, -1, 1)])
    a: list[Value] = []  # the coefficients so far, as one value
    for i in range(op.order):
        k = graph.columns(Value(reflections, op.order), i, i + 1)
        if a:
            backwards = graph.node("Gather", [a[0].name, graph.integers(*range(i)[::-1])], axis=1)
            change = graph.node("Mul", [k.name, backwards])
            a = [graph.value("Add", [a[0].name, change], i), k]
            a = [graph.value("Concat", [part.name for part in a], i + 1, axis=1)]
        else:
            a = [k]
    t.memory.write(op.out, a[0])


def _predict(t: Translator, op: Predict) -> None:
    graph, zero = t.graph, t.graph.number(0.0)
    past = t.memory.read(op.past, op.order)
    products = graph.node("Mul", [t.memory.read(op.input, op.order).name, past.name])
    total = graph.node("ReduceSum", [products, graph.integers(1)], keepdims=1)
    prediction = graph.node("Sub", [zero, total], "prediction")
    limits = _limits(t, op.least_gain, _GREATEST_GAIN)
    gain = graph.node("Clip", [t.memory.read(op.gain, 1).name, *limits], "gain")

    def root(x: str) -> str:
        """sign(x) sqrt(|x| / gain)."""
        halves = (
            graph.node("Sqrt", [graph.node("Div", [graph.node("Relu", [half]), gain])])
            for half in (x, graph.node("Sub", [zero, x]))
        )
        return graph.node("Sub", list(halves))

    newest = graph.columns(past, 0, 1).name
    told = [prediction, gain, root(prediction), root(newest)]
    t.memory.write(op.out, graph.value("Concat", told, len(told), axis=1))
    if op.order > 1:
        shifted = Operand(op.past.offset + 1, op.past.stride)
        t.memory.write(shifted, graph.columns(past, 0, op.order - 1))


def _limits(t: Translator, low: float, high: float) -> list[str]:
    return [t.graph.number(float(low)), t.graph.number(float(high))]


_TRANSLATIONS: dict[type[Any], Callable[[Translator, Any], None]] = {
    Linear: _linear,
    Gates: _gates,
    History: _history,
    Upsample: _upsample,
    Add: _add,
    Embedding: _embedding,
    Subscale: _subscale,
    Draw: _draw,
    Output: _output,
    Logistics: _logistics,
    SubBands: _bands,
    StepUp: _step_up,
    Predict: _predict,
}
