"""An ONNX model that also computes how far a float32 run of it may be from its own results.

`with_bounds` turns a model into float64 and adds nodes after every node: beside a value x stands
x's bound, the distance within which every computation in float32 lies that rounds each operation
once, in whatever order it sums, with or without fusing; carried on from node to node.
"""

from __future__ import annotations

from typing import Any

import numpy as np

U = 2.0**-24  # the relative error of one rounding to float32
GROWTH = 1 + 2.0**-20  # products of errors, and what float64 itself rounds
SIGMOID, TANH = 2 * U, 4 * U  # test_functions.py derives and tests 1.5 and 3.5
EXP = 4 * U  # relative; test_functions.py derives less than 2
SUMS_OF_PARTS = 5  # additions that join the partial sums of a row
FLOAT, DOUBLE = 1, 11  # onnx.TensorProto

# Nodes that only move or choose values, and which of their inputs those are.
_MOVES = {
    "Identity": (0,),
    "Slice": (0,),
    "Reshape": (0,),
    "Unsqueeze": (0,),
    "Expand": (0,),
    "Gather": (0,),
    "Where": (1, 2),
    "Cast": (),
    "Less": (),
    "Shape": (),
    "ConstantOfShape": (),
}


class _Bounds:
    def __init__(self, model: Any) -> None:
        from onnx import helper, numpy_helper

        self.helper, self.numpy_helper = helper, numpy_helper
        graph = model.graph
        self.arrays = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
        self.arrays = {
            name: array.astype(np.float64) if array.dtype == np.float32 else array
            for name, array in self.arrays.items()
        }
        self.nodes: list[Any] = []
        self.bounds: dict[str, str] = {}  # value -> its bound, where it is not 0
        self.inputs = list(graph.input)
        for info in self.inputs:
            if info.type.tensor_type.elem_type == FLOAT:
                info.type.tensor_type.elem_type = DOUBLE
        for info in list(self.inputs):
            if info.name.startswith("state."):
                bound = helper.make_tensor_value_info("x", DOUBLE, None)
                bound.CopyFrom(info)
                bound.name = self.bounds[info.name] = f"{info.name}!"
                self.inputs.append(bound)
        for node in graph.node:
            if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                getattr(self, node.op_type.lower())(node)
                continue
            if node.op_type == "Cast":
                node.attribute[0].i = DOUBLE
            self.nodes.append(node)
            name = getattr(self, node.op_type.lower(), self.moved)(node)
            if name is not None:
                self.bounds[node.output[0]] = name
        self.outputs = list(graph.output)
        for info in list(self.outputs):
            info.type.tensor_type.elem_type = DOUBLE
            bound = helper.make_tensor_value_info("x", DOUBLE, None)
            bound.CopyFrom(info)
            bound.name = f"{info.name}!"
            self.nodes.append(helper.make_node("Identity", [self.bound(info.name)], [bound.name]))
            self.outputs.append(bound)

    def model(self, opset: Any) -> Any:
        initializers = [self.numpy_helper.from_array(a, name) for name, a in self.arrays.items()]
        graph = self.helper.make_graph(self.nodes, "b", self.inputs, self.outputs, initializers)
        return self.helper.make_model(graph, opset_imports=[opset], ir_version=8)

    def call(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind}!{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, value: Any) -> str:
        name = f"constant!{len(self.arrays)}"
        self.arrays[name] = np.asarray(value, np.float64)
        return name

    def times(self, x: str, factor: Any) -> str:
        return self.call("Mul", x, self.constant(factor))

    def plus(self, *terms: str) -> str:
        total = terms[0]
        for term in terms[1:]:
            total = self.call("Add", total, term)
        return total

    def bound(self, value: str) -> str:
        return self.bounds.get(value) or self.times(value, 0.0)

    def magnitude(self, value: str) -> str:
        """What a computed value may reach."""
        return self.plus(self.call("Abs", value), self.bound(value))

    def rounded(self, node: Any, *errors: str) -> str:
        """Errors that came in, and one rounding of the result."""
        own = self.times(self.call("Abs", node.output[0]), U)
        return self.times(self.plus(own, *errors), GROWTH)

    def moved(self, node: Any) -> str | None:
        if node.op_type == "Concat":
            carriers: tuple[int, ...] = tuple(range(len(node.input)))
        else:
            carriers = _MOVES[node.op_type]
        if not any(node.input[i] in self.bounds for i in carriers):
            return None
        inputs = [self.bound(name) if i in carriers else name for i, name in enumerate(node.input)]
        output = f"{node.op_type}!{len(self.nodes)}"
        copy = type(node)()
        copy.CopyFrom(node)
        del copy.input[:], copy.output[:]
        copy.input.extend(inputs)
        copy.output.append(output)
        self.nodes.append(copy)
        return output

    def add(self, node: Any) -> str:
        return self.rounded(node, *(self.bound(name) for name in node.input))

    sub = add

    def mul(self, node: Any) -> str:
        a, b = node.input
        spread = self.call(
            "Sub",
            self.call("Mul", self.magnitude(a), self.magnitude(b)),
            self.call("Abs", node.output[0]),
        )
        return self.rounded(node, spread)

    def relu(self, node: Any) -> str:
        return self.bound(node.input[0])

    def sigmoid(self, node: Any) -> str:
        return self.plus(self.times(self.bound(node.input[0]), 0.25), self.constant(SIGMOID))

    def tanh(self, node: Any) -> str:
        return self.plus(self.bound(node.input[0]), self.constant(TANH))

    def exp(self, node: Any) -> str:
        carried = self.call("Sub", self.call("Exp", self.bound(node.input[0])), self.constant(1.0))
        return self.times(
            self.call("Mul", node.output[0], self.plus(carried, self.constant(EXP))), GROWTH
        )

    def clip(self, node: Any) -> str:
        return self.bound(node.input[0])

    def div(self, node: Any) -> str:
        """Of a positive divisor."""
        a, b = node.input
        least = self.call("Sub", b, self.bound(b))
        largest = self.call("Div", self.magnitude(a), least)
        return self.rounded(node, self.call("Sub", largest, self.call("Abs", node.output[0])))

    def sqrt(self, node: Any) -> str:
        """|sqrt a - sqrt b| is at most sqrt |a - b|, and |a - b| / sqrt a."""
        error = self.call("Relu", self.bound(node.input[0]))  # float64 may round it below 0
        positive = self.plus(node.output[0], self.constant(1e-30))
        steep = self.call("Min", self.call("Sqrt", error), self.call("Div", error, positive))
        return self.rounded(node, steep)

    def reducesum(self, node: Any) -> str:
        x, axes = node.input
        sums = [
            self.call("ReduceSum", part, axes, keepdims=1)
            for part in (
                self.bound(x),
                self.magnitude(x),
                self.plus(self.times(x, 0.0), self.constant(1.0)),
            )
        ]
        carried, largest, count = sums
        steps = self.plus(count, self.constant(float(SUMS_OF_PARTS)))
        own = self.times(self.call("Mul", largest, steps), U)
        return self.times(self.plus(carried, own), GROWTH)

    def gemm(self, node: Any) -> str:
        x, weights, *bias = node.input
        w = np.abs(self.arrays[weights])
        n = np.count_nonzero(w, axis=1) + 1 + SUMS_OF_PARTS
        magnitudes = self.constant(w)
        largest = self.call("Gemm", self.magnitude(x), magnitudes, transB=1)
        if bias:
            largest = self.plus(largest, self.constant(np.abs(self.arrays[bias[0]])))
        carried = self.call("Gemm", self.bound(x), magnitudes, transB=1)
        return self.times(self.plus(carried, self.times(largest, n * U)), GROWTH)

    def abs(self, node: Any) -> str:
        return self.bound(node.input[0])

    max = abs  # of a value and a constant

    def reducemax(self, node: Any) -> str:
        return self.call("ReduceMax", self.bound(node.input[0]), axes=[1], keepdims=0)

    def steps(self, step: str) -> tuple[str, str]:
        """Steps (batch,) and their bounds as (batch, 1); one that is constant as it is."""
        found = step, self.bound(step)
        if step in self.arrays:
            return found
        columns = [self.call("Unsqueeze", each, self.axis) for each in found]
        return columns[0], columns[1]

    @property
    def axis(self) -> str:
        self.arrays["axis!"] = np.array([1])
        return "axis!"

    def quantizelinear(self, node: Any) -> None:
        """Float64 has no such node. What lies so near to a half that errors can carry it across is
        rounded to one of two integers."""
        x, (step, error) = node.input[0], self.steps(node.input[1])
        exact = self.call("Div", x, step)
        integers = self.call("Round", exact)
        limits = [self.constant(limit) for limit in (-127.0, 127.0)]
        self.nodes.append(self.helper.make_node("Clip", [integers, *limits], [node.output[0]]))
        # Of the step, and of the three roundings on either way to the quotient.
        relative = self.plus(self.call("Div", error, step), self.constant(4 * U))
        off = self.plus(
            self.call("Div", self.bound(x), step),
            self.call("Mul", self.call("Abs", exact), relative),
        )
        off = self.times(off, 1 + 2.0**-10)
        ways = [self.call("Round", self.call(kind, exact, off)) for kind in ("Add", "Sub")]
        apart = [self.call("Abs", self.call("Sub", way, integers)) for way in ways]
        self.bounds[node.output[0]] = self.call("Max", *apart)

    def dequantizelinear(self, node: Any) -> None:
        integers, step = node.input[:2]
        if integers in self.arrays:
            scaled = self.arrays[integers].astype(np.float64) * self.arrays[step][:, None]
            self.arrays[node.output[0]] = scaled
            return
        step, error = self.steps(step)
        self.nodes.append(self.helper.make_node("Mul", [integers, step], [node.output[0]]))
        carried = self.call("Mul", self.bound(integers), self.plus(step, error))
        own = self.call("Mul", self.call("Abs", integers), error)
        self.bounds[node.output[0]] = self.rounded(node, carried, own)

    def matmul(self, node: Any) -> str:
        weights, x = node.input
        w = np.abs(self.arrays[weights])
        magnitudes = self.constant(w)
        largest = self.call("MatMul", magnitudes, self.magnitude(x))
        carried = self.call("MatMul", magnitudes, self.bound(x))
        return self.times(self.plus(carried, self.times(largest, w.shape[1] * U)), GROWTH)


def with_bounds(model: Any) -> Any:
    """The model in float64, with an output `name!` for every output `name`, its bound.

    Every state has an input `name!` too: how far it may be off already.
    """
    copy = type(model)()
    copy.CopyFrom(model)
    return _Bounds(copy).model(copy.opset_import[0])
