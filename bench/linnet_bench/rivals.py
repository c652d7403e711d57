"""Other libraries that multiply a pruned matrix with a vector on a CPU, where installed.

All are timed as their users call them, from Python, in float32, on one thread.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np

from linnet.format import blocks
from linnet_bench.products import UNSTRUCTURED, Float32, vector
from linnet_bench.timing import Timer, timer


def _module(name: str) -> Any | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def rivals(weights: Float32, block: str) -> dict[str, Timer]:
    """Timers of W x by name: dense products of all weights, sparse ones of the nonzeros.

    weights: (rows, cols). block: "dense" has no sparse products; "1x1" none in blocks.
    """
    found = {"numpy": _numpy(weights), **_torch_dense(weights), **_onnxruntime(weights)}
    if block != blocks.DENSE:
        found |= {**_scipy(weights, block), **_torch_sparse(weights)}
    return found


def _numpy(weights: Float32) -> Timer:
    x, y = vector(weights.shape[1]), np.empty(len(weights), np.float32)
    return timer(lambda: np.dot(weights, x, out=y))


def _scipy(weights: Float32, block: str) -> dict[str, Timer]:
    sparse = _module("scipy.sparse")
    if sparse is None:
        return {}
    x = vector(weights.shape[1])
    csr = sparse.csr_array(weights)
    found = {"scipy CSR": timer(lambda: csr @ x)}
    if block != UNSTRUCTURED and all(
        n % b == 0 for n, b in zip(weights.shape, blocks.block_shape(block), strict=True)
    ):
        bsr = sparse.bsr_array(csr, blocksize=blocks.block_shape(block))
        found["scipy BSR"] = timer(lambda: bsr @ x)
    return found


def _torch_dense(weights: Float32) -> dict[str, Timer]:
    torch = _module("torch")
    if torch is None:
        return {}
    w, x = torch.from_numpy(weights), torch.from_numpy(vector(weights.shape[1]))
    y = torch.empty(len(weights))
    return {"torch": timer(lambda: torch.mv(w, x, out=y))}


def _torch_sparse(weights: Float32) -> dict[str, Timer]:
    torch = _module("torch")
    if torch is None:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # says that sparse CSR is in beta
        w = torch.from_numpy(weights).to_sparse_csr()
    x = torch.from_numpy(vector(weights.shape[1]))
    return {"torch CSR": timer(lambda: w @ x)}


def _onnxruntime(weights: Float32) -> dict[str, Timer]:
    onnx, runtime = _module("onnx"), _module("onnxruntime")
    if onnx is None or runtime is None:
        return {}
    rows, cols = weights.shape
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = make.make_graph(
        [make.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [make.make_tensor_value_info("x", kind, [1, cols])],
        [make.make_tensor_value_info("y", kind, [1, rows])],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(weights.T), "w")],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    inputs = {"x": vector(cols).reshape(1, -1)}
    return {"onnxruntime": timer(lambda: session.run(None, inputs))}
