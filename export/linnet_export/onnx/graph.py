"""An ONNX graph under construction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

OPSET, IR_VERSION = 17, 8  # of 2022: old enough for every runtime in use
BATCH = "batch"


class Value(NamedTuple):
    """A float32 value of the graph: (batch, size), or (batch, rows, size) where it has rows."""

    name: str
    size: int
    rows: int = 0


class Graph:
    """Collects nodes; those that no output needs are left out of the model."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._nodes: list[Any] = []
        self._constants: dict[str, npt.NDArray[Any]] = {}
        self._inputs: dict[str, Any] = {}
        self._outputs: list[Any] = []
        self._names: dict[str, int] = {}

    def node(self, kind: str, inputs: Sequence[str], hint: str = "", **attributes: Any) -> str:
        """A node of one output; returns the output's name, which begins with the hint."""
        from onnx import helper

        name = hint or kind.lower()
        self._names[name] = count = self._names.get(name, 0) + 1
        output = name if count == 1 else f"{name}:{count}"
        self._nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def value(
        self, kind: str, inputs: Sequence[str], size: int, hint: str = "", **attributes: Any
    ) -> Value:
        """As `node`, for a result (batch, size)."""
        return Value(self.node(kind, inputs, hint, **attributes), size)

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        """An initialiser. The same name stands for the same array."""
        name = f"{name}:constant"
        self._constants[name] = array
        return name

    def integers(self, *values: int) -> str:
        return self.constant("_".join(map(str, values)), np.array(values, np.int64))

    def number(self, value: float) -> str:
        return self.constant(repr(value), np.array(value, np.float32))

    def floats_in(self, name: str, size: int) -> Value:
        """An input of floats (batch, size)."""
        from onnx import TensorProto

        self._declare(self._inputs, name, TensorProto.FLOAT, [BATCH, size])
        return Value(name, size)

    def tokens_in(self, name: str) -> str:
        """An input of integers (batch,)."""
        from onnx import TensorProto

        self._declare(self._inputs, name, TensorProto.INT64, [BATCH])
        return name

    def output(self, name: str, value: Value) -> None:
        """Make a value an output of that name."""
        from onnx import TensorProto, helper

        self._nodes.append(helper.make_node("Identity", [value.name], [name]))
        rows = [value.rows] if value.rows else []
        shape: list[str | int | None] = [BATCH, *rows, value.size]
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def zeros(self, size: int, like: str) -> Value:
        """Zeros (batch, size); like: a value that has the batch."""
        shape = self.node("Shape", [like], start=0, end=1)
        whole = self.node("Concat", [shape, self.integers(size)], axis=0)
        return self.value("Expand", [self.number(0.0), whole], size)

    def zeros_like(self, value: str) -> str:
        """int8 zeros in the shape of a value."""
        from onnx import numpy_helper

        zero = numpy_helper.from_array(np.zeros(1, np.int8))
        return self.node("ConstantOfShape", [self.node("Shape", [value])], value=zero)

    def stack(self, rows: Sequence[Value]) -> Value:
        """Values (batch, size) as one of (batch, rows, size)."""
        axis = self.integers(1)
        parts = [self.node("Unsqueeze", [row.name, axis]) for row in rows]
        name = self.node("Concat", parts, rows[0].name, axis=1)
        return Value(name, rows[0].size, len(rows))

    def columns(self, value: Value, start: int, stop: int) -> Value:
        """Columns start .. stop of a value without rows."""
        if (start, stop) == (0, value.size):
            return value
        places = [self.integers(n) for n in (start, stop, 1)]
        return self.value("Slice", [value.name, *places], stop - start)

    def model(self, properties: dict[str, str], description: str) -> Any:
        """The finished onnx.ModelProto."""
        from onnx import helper, numpy_helper

        needed = {output.name for output in self._outputs}
        nodes = []
        for node in reversed(self._nodes):
            if needed.intersection(node.output):
                needed.update(node.input)
                nodes.append(node)
        graph = helper.make_graph(
            nodes[::-1],
            self.name,
            [info for name, info in self._inputs.items() if name in needed],
            self._outputs,
            [
                numpy_helper.from_array(array, name)
                for name, array in self._constants.items()
                if name in needed
            ],
            doc_string=description,
        )
        model = helper.make_model(
            graph,
            producer_name="linnet",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        helper.set_model_props(model, properties)
        return model

    def _declare(self, where: dict[str, Any], name: str, kind: int, shape: list[Any]) -> None:
        from onnx import helper

        where.setdefault(name, helper.make_tensor_value_info(name, kind, shape))
