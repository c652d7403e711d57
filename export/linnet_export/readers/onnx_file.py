"""ONNX files as checkpoints: their weights, under the names that torch's modules give them.

Initialisers of floats keep their names. Where torch.onnx stores a module's weights in another form,
or without a name ("onnx::..."), they are named after the node that uses them: "/rnn1/GRU" makes
them `rnn1`.

* GRU: W, R and B, whose gates stand as update, reset, candidate, become `rnn1.weight_ih_l0`,
  `.weight_hh_l0`, `.bias_ih_l0` and `.bias_hh_l0` with reset, update, candidate.
* Gemm, MatMul and Conv: `.weight` and `.bias`; a matrix (in, out) becomes torch's (out, in).

Nothing else of the graph is read; what the network is, the config says (JSON under "config" in the
model's metadata).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from linnet.errors import install
from linnet_export.building.tensors import Weights
from linnet_export.readers.checkpoint import Checkpoint, parse_config

ANONYMOUS = "onnx::"  # how torch.onnx begins the names of weights that it made itself

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


def read(path: Path) -> Checkpoint:
    """Read the weights of an .onnx file. Raises ValueError."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise ImportError(f"reading ONNX needs onnx: {install('export')}") from error
    try:
        model = onnx.load(str(path))
    except (DecodeError, ValueError) as error:
        raise ValueError(f"{path}: not an ONNX file: {error}") from None
    try:
        weights = _Graph(model.graph).weights()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    # onnx gives bfloat16 as ml_dtypes.bfloat16, which numpy does not compute with.
    narrow = frozenset(name for name, w in weights.items() if _is_bfloat16(w))
    tensors = {n: w.astype(np.float32) if n in narrow else w for n, w in weights.items()}
    properties = {entry.key: entry.value for entry in model.metadata_props}
    config = parse_config(properties["config"], str(path)) if "config" in properties else {}
    return Checkpoint(tensors, config, narrow)


class _Graph:
    def __init__(self, graph: Any) -> None:
        from onnx import numpy_helper

        self.nodes = graph.node
        self.constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
        self.initializers = list(self.constants)
        for node in self.nodes:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
            elif node.op_type == "Identity" and node.input[0] in self.constants:
                self.constants[node.output[0]] = self.constants[node.input[0]]
        self.found: dict[str, Weights] = {}
        self.used: set[str] = set()

    def weights(self) -> dict[str, Weights]:
        """Raises ValueError for a GRU that is no voice's, and where two weights have one name."""
        for number, node in enumerate(self.nodes):
            module = node.name.strip("/").rpartition("/")[0].replace("/", ".") or node.name
            if node.op_type == "GRU":
                self.gru(node, module or f"gru_{number}")
            elif node.op_type in ("Gemm", "MatMul", "Conv"):
                self.layer(node, module or f"{node.op_type.lower()}_{number}")
        for name in self.initializers:
            array = self.constants[name]
            if name not in self.used and (array.dtype.kind == "f" or _is_bfloat16(array)):
                self.put(name, array)
        return self.found

    def put(self, name: str, array: Weights) -> None:
        if name in self.found:
            raise ValueError(f"two weights would be called {name}")
        self.found[name] = np.ascontiguousarray(array)

    def gru(self, node: Any, module: str) -> None:
        attributes = _attributes(node)
        for name, (default, wanted, why) in _GRU_ATTRIBUTES.items():
            value = attributes.get(name, default)
            if value != wanted:
                raise ValueError(f"GRU {module}: {name} is {value!r}, not {wanted!r}: {why}")
        w, r, *rest = (self.constant(name, module) for name in node.input[1:4] if name)
        hidden = r.shape[-1] if r.ndim else 0
        b = rest[0] if rest else np.zeros((1, 6 * hidden), w.dtype)
        if (
            (w.ndim, w.shape[:2]) != (3, (1, 3 * hidden))
            or r.shape != (1, 3 * hidden, hidden)
            or b.shape != (1, 6 * hidden)
            or attributes.get("hidden_size", hidden) != hidden
        ):
            raise ValueError(
                f"GRU {module}: W {w.shape}, R {r.shape} and B {b.shape} do not fit each other"
            )
        for name, array in (
            ("weight_ih_l0", w[0]),
            ("weight_hh_l0", r[0]),
            ("bias_ih_l0", b[0, : 3 * hidden]),
            ("bias_hh_l0", b[0, 3 * hidden :]),
        ):
            gates = array.reshape(3, hidden, -1)[[1, 0, 2]]  # reset, update, candidate
            self.put(f"{module}.{name}", gates.reshape(array.shape))

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
        for role, name in zip(("weight", "bias"), node.input[1:3], strict=False):
            array = self.constants.get(name)
            if array is None or name in self.used:
                continue
            turn = turned and role == "weight" and array.ndim == 2
            named = name in self.initializers and not name.startswith(ANONYMOUS)
            if turn or not named:
                self.used.add(name)
                self.put(name if named else f"{module}.{role}", array.T if turn else array)


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
