"""ONNX files as checkpoints: their weights, under the names that torch's modules give them.

Initialisers of floats keep their names. Where torch.onnx stores a module's weights in another form,
or without a name ("onnx::..."), they are named after the node that uses them: "/rnn1/GRU" makes
them `rnn1`.

* GRU: W, R and B, whose gates stand as update, reset, candidate, become `rnn1.weight_ih_l0`,
  `.weight_hh_l0`, `.bias_ih_l0` and `.bias_hh_l0` with reset, update, candidate. A module's second
  GRU is its layer 1; what runs backwards ends in `_reverse`.
* Gemm, MatMul and Conv: `.weight` and `.bias`; a matrix (in, out) becomes torch's (out, in).

A node's module stands in its name or, as torch's dynamo exporter has it, in its metadata.
DequantizeLinear of constants is computed. Nothing else of the graph is read; what the network is,
the config says (JSON under "config" in the model's metadata).
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from linnet.errors import install
from linnet_export.building.tensors import Weights
from linnet_export.readers.budget import Budget
from linnet_export.readers.checkpoint import Checkpoint, parse_config
from linnet_export.readers.onnx_tensors import OnnxTensors

# Names that torch.onnx gives weights that it made itself: the older exporter's, and dynamo's.
_ANONYMOUS = re.compile(r"onnx::.*|val_\d+")
_SCOPES = "pkg.torch.onnx.name_scopes"
_DIRECTIONS = {"forward": ("",), "reverse": ("_reverse",), "bidirectional": ("", "_reverse")}
_QUANTISED = frozenset(
    """
    ConvInteger DynamicQuantizeLSTM DynamicQuantizeMatMul MatMulInteger MatMulIntegerToFloat
    MatMulNBits QAttention QGemm QLinearConv QLinearMatMul
    """.split()
)

# Attributes of the GRU operator that change what it computes: default, the value read, why only it.
_GRU_ATTRIBUTES: dict[str, tuple[Any, Any, str]] = {
    "direction": ("forward", "forward", "voices run forwards"),
    "linear_before_reset": (
        0,
        1,
        "with 0 the reset gate multiplies the state before the recurrent product; WaveRNN's cells "
        "(torch's GRU) multiply the product, and the weights of the one do not serve the other",
    ),
    "activations": (["Sigmoid", "Tanh"], ["Sigmoid", "Tanh"], "voices have no other gates"),
    "clip": (0.0, 0.0, "voices clip nothing"),
}


def recognises(path: Path, start: bytes) -> bool:
    """Whether it has the name of such a file; its content has no mark."""
    return path.suffix == ".onnx"


def read(path: Path, budget: Budget) -> Checkpoint:
    """Read the weights of an .onnx file. Raises ValueError."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise ImportError(f"reading ONNX needs onnx: {install('export')}") from error
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise ValueError(f"not an ONNX file: {error}") from None
    graph = _Graph(model.graph, OnnxTensors(path, budget))
    weights = graph.weights()
    if not weights and not graph.obstacles:
        raise ValueError("not an ONNX file with weights")
    # onnx gives bfloat16 as ml_dtypes.bfloat16, which numpy does not compute with.
    narrow = frozenset(name for name, w in weights.items() if _is_bfloat16(w))
    tensors = {n: w.astype(np.float32) if n in narrow else w for n, w in weights.items()}
    properties = {entry.key: entry.value for entry in model.metadata_props}
    config = parse_config(properties["config"]) if "config" in properties else {}
    return Checkpoint(tensors, config, narrow, obstacles=tuple(graph.obstacles))


class _Graph:
    def __init__(self, graph: Any, tensors: OnnxTensors) -> None:
        self.nodes = graph.node
        self.constants = {i.name: tensors.array(i) for i in graph.initializer}
        self.initializers = list(self.constants)
        self.aliases: dict[str, str] = {}  # what an Identity gives -> what it takes
        self.found: dict[str, Weights] = {}
        self.used: set[str] = set()
        self.layers: Counter[str] = Counter()  # GRUs of a module so far
        self.obstacles: list[str] = []
        for node in self.nodes:
            self._note_constant(node, tensors)

    def _note_constant(self, node: Any, tensors: OnnxTensors) -> None:
        """Keep what a node gives where that is a constant."""
        if not node.output:
            return
        names = [self.aliases.get(name, name) for name in node.input]
        known = [self.constants.get(name) for name in names]
        value: Weights | None = None
        if node.op_type == "Constant":
            stored = next((a for a in node.attribute if a.name == "value"), None)
            value = None if stored is None else tensors.array(stored.t)
        elif node.op_type == "Identity" and names:
            self.aliases[node.output[0]] = names[0]
        elif node.op_type == "DequantizeLinear":
            value = _dequantised(known, _attributes(node))
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            self.used.update(node.input[1:])  # scales
        if value is not None:
            self.constants[node.output[0]] = value

    def weights(self) -> dict[str, Weights]:
        """Raises ValueError for a GRU whose weights are unclear, and where two weights have one
        name."""
        for number, node in enumerate(self.nodes):
            module = _module(node)
            if node.op_type == "GRU":
                self.gru(node, module or f"gru_{number}")
            elif node.op_type in ("Gemm", "MatMul", "Conv"):
                self.layer(node, module or f"{node.op_type.lower()}_{number}")
            elif node.op_type in _QUANTISED:
                self.obstacles.append(
                    f"{node.op_type} {module}: a quantised graph, whose weights are integers; "
                    "export the model from before its quantisation"
                )
        for name in self.initializers:
            array = self.constants[name]
            if name not in self.used and (array.dtype.kind in "fV" or _is_bfloat16(array)):
                self.put(name, array)
        return self.found

    def put(self, name: str, array: Weights) -> None:
        if name in self.found:
            raise ValueError(f"two weights would be called {name}")
        self.found[name] = array if array.dtype.names else np.ascontiguousarray(array)

    def gru(self, node: Any, module: str) -> None:
        attributes = _attributes(node)
        for name, (default, wanted, why) in _GRU_ATTRIBUTES.items():
            value = attributes.get(name, default)
            if value != wanted:
                self.obstacles.append(f"GRU {module}: {name} is {value!r}, not {wanted!r}: {why}")
        names = [self.aliases.get(name, name) for name in node.input[1:4] if name]
        if len(names) < 2:
            raise ValueError(f"GRU {module}: it lacks its weights")
        w, r, *rest = (self.constant(name, module) for name in names)
        hidden = r.shape[-1] if r.ndim else 0
        suffixes = _DIRECTIONS.get(attributes.get("direction", "forward"), ("",))
        n = len(suffixes)
        b = rest[0] if rest else np.zeros((n, 6 * hidden), w.dtype)
        if (
            (w.ndim, w.shape[:2]) != (3, (n, 3 * hidden))
            or r.shape != (n, 3 * hidden, hidden)
            or b.shape != (n, 6 * hidden)
            or attributes.get("hidden_size", hidden) != hidden
        ):
            raise ValueError(
                f"GRU {module}: W {w.shape}, R {r.shape} and B {b.shape} do not fit each other"
            )
        layer = self.layers[module]
        self.layers[module] += 1
        for i, suffix in enumerate(suffixes):
            for name, array in (
                ("weight_ih", w[i]),
                ("weight_hh", r[i]),
                ("bias_ih", b[i, : 3 * hidden]),
                ("bias_hh", b[i, 3 * hidden :]),
            ):
                # Reset, update, candidate.
                gates = array.reshape(3, hidden, *array.shape[1:])[[1, 0, 2]]
                self.put(f"{module}.{name}_l{layer}{suffix}", gates.reshape(array.shape))

    def constant(self, name: str, module: str) -> Weights:
        if name not in self.constants:
            raise ValueError(
                f"GRU {module}: {name} is computed by the graph, not stored; "
                "export the model with its constants folded"
            )
        self.used.add(name)
        return self.constants[name]

    def layer(self, node: Any, module: str) -> None:
        attributes = _attributes(node)
        if attributes.get("alpha", 1.0) != 1.0 or attributes.get("beta", 1.0) != 1.0:
            raise ValueError(f"Gemm {module}: its weights are scaled by alpha or beta")
        turned = node.op_type == "MatMul" or (
            node.op_type == "Gemm" and not attributes.get("transB", 0)
        )
        names = [self.aliases.get(name, name) for name in node.input[1:3]]
        for role, name in zip(("weight", "bias"), names, strict=False):
            array = self.constants.get(name)
            if array is None or name in self.used:
                continue
            turn = turned and role == "weight" and array.ndim == 2
            named = name in self.initializers and not _ANONYMOUS.fullmatch(name)
            if turn or not named:
                self.used.add(name)
                self.put(name if named else f"{module}.{role}", array.T if turn else array)


def _module(node: Any) -> str:
    """The name of the module that a node belongs to; "" where nothing says it."""
    scopes = next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), "")
    modules: list[str] = re.findall(r"'([^']*)'", scopes)
    if len(modules) > 1 and modules[-2]:
        return modules[-2]  # the last is the node itself
    return node.name.strip("/").rpartition("/")[0].replace("/", ".") or str(node.name)


def _dequantised(inputs: list[Weights | None], attributes: dict[str, Any]) -> Weights | None:
    """DequantizeLinear; None where its inputs are no constants, or come in blocks."""
    if len(inputs) < 2 or any(given is None for given in inputs[:2]):
        return None
    x, scale, *zero = (np.asarray(given, np.float32) for given in inputs if given is not None)
    axis = attributes.get("axis", 1)
    if scale.ndim:
        axes = range(-x.ndim, x.ndim)
        if scale.ndim > 1 or axis not in axes or scale.size not in (1, x.shape[axis]):
            return None
        shape = [1] * x.ndim
        shape[axis] = scale.size
        scale, *zero = (part.reshape(shape) for part in (scale, *zero))
    return np.asarray((x - zero[0] if zero else x) * scale, np.float32)


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return {name: _text(value) for name, value in found.items()}


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return [_text(part) for part in value] if isinstance(value, list) else value


def _is_bfloat16(array: Weights) -> bool:
    return array.dtype.name == "bfloat16"
