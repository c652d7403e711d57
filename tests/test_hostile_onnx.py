"""Hostile ONNX files: odd nodes, odd tensors, and external data that stands where it should not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import limited
from linnet_export import CheckpointError, describe, export
from test_hostile_checkpoints import refused

onnx = pytest.importorskip("onnx")
helper, numpy_helper = pytest.importorskip("onnx.helper"), pytest.importorskip("onnx.numpy_helper")
FLOAT = onnx.TensorProto.FLOAT


def save(path: Path, nodes: list[Any], *tensors: Any) -> Path:
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", [], [], tensors)), str(path))
    return path


def matrix(name: str = "w") -> Any:
    return numpy_helper.from_array(np.ones((2, 3), np.float32), name)


def node(kind: str, inputs: list[str], *, outputs: int = 1, **attributes: Any) -> Any:
    return helper.make_node(kind, inputs, ["y"] * outputs, name=f"/m/{kind}", **attributes)


@pytest.mark.parametrize(
    "odd",
    [
        node("Constant", []),
        node("Constant", [], value_float=1.0),
        node("Constant", [], outputs=0, value_float=1.0),
        node("Identity", []),
        node("Identity", ["absent"]),
        node("MatMul", []),
        node("Gemm", ["x"], transB=1),
        node("Gemm", ["x", "w", "w"]),
        node("Conv", ["x", ""]),
        node("DequantizeLinear", []),
        node("DequantizeLinear", ["w", "w"], axis=7),
        node("DequantizeLinear", ["w", "w", "w"], axis=[1]),
        node("QuantizeLinear", ["w"]),
    ],
    ids=lambda node: f"{node.op_type}-{len(node.input)}",
)
def test_odd_nodes_are_passed_over(tmp_path: Path, odd: Any) -> None:
    path = save(tmp_path / "a.onnx", [odd], matrix(), matrix("v"))
    assert describe(path).family is None
    refused(path, "no family")


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (node("GRU", []), "GRU m: it lacks its weights"),
        (node("GRU", ["x", "w"]), "GRU m: it lacks its weights"),
        (node("GRU", ["x", "w", "w"]), "GRU m: W .* do not fit"),
        (node("GRU", ["x", "w", "absent"]), "absent is computed by the graph"),
        (node("GRU", ["x", "w", "w"], direction=3), "do not fit|direction"),
        (node("GRU", ["x", "w", "w"], hidden_size=[1]), "do not fit"),
        (node("MatMulInteger", ["x", "w"]), "MatMulInteger m: a quantised graph"),
        (node("QLinearConv", ["x"]), "QLinearConv m: a quantised graph"),
    ],
)
def test_odd_grus_and_quantised_nodes_are_refused_by_name(
    tmp_path: Path, odd: Any, message: str
) -> None:
    refused(save(tmp_path / "a.onnx", [odd], matrix()), message)


def tensor(**fields: Any) -> Any:
    return onnx.TensorProto(**{"name": "w", "data_type": FLOAT, "dims": [2, 2], **fields})


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (tensor(), "w: "),
        (tensor(raw_data=bytes(15)), "w: "),
        (tensor(raw_data=bytes(16), dims=[-2, -2]), "w has shape"),
        (tensor(raw_data=bytes(16), dims=[1 << 40, 1 << 40]), "--max-unpacked allows more"),
        (tensor(raw_data=bytes(16), dims=[1 << 20]), "w: "),
        (tensor(float_data=[1.0]), "w: "),
        (tensor(data_type=999, raw_data=bytes(16)), "no family"),
        (tensor(data_type=0), "no family"),
        (tensor(data_type=onnx.TensorProto.STRING, string_data=[b"a"] * 4), "no family"),
        (tensor(data_type=onnx.TensorProto.FLOAT8E4M3FN, raw_data=bytes(4)), "no family"),
    ],
)
def test_odd_tensors_are_refused(tmp_path: Path, odd: Any, message: str) -> None:
    refused(save(tmp_path / "a.onnx", [], odd), message)


@pytest.mark.parametrize("data", [b"\x00", b"\xff" * 100, b"\x0a\x05hello", b"x" * 1000])
def test_what_is_no_onnx_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.onnx").write_bytes(data)
    refused(tmp_path / "a.onnx", "not an ONNX file")


def external(location: str, **entries: Any) -> Any:
    found = tensor(data_location=onnx.TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        found.external_data.add(key=key, value=str(value))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of data, with what should not be read beside it."""
    (tmp_path / "secret").write_bytes(bytes(64))
    folder = tmp_path / "models"
    (folder / "below").mkdir(parents=True)
    (folder / "w.data").write_bytes(np.arange(8, dtype="<f4").tobytes())
    (folder / "below" / "w.data").write_bytes(np.arange(8, dtype="<f4").tobytes())
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "linked").symlink_to(tmp_path)
    os.mkfifo(folder / "fifo")
    return folder


@pytest.mark.parametrize(
    ("location", "entries", "message"),
    [
        ("absent", {}, "is missing"),
        ("", {}, "no file of its folder"),
        (".", {}, "no file of its folder"),
        ("/dev/zero", {}, "no file of its folder"),
        ("/etc/passwd", {}, "no file of its folder"),
        ("../secret", {}, "no file of its folder"),
        ("below/../../secret", {}, "no file of its folder"),
        ("..\\secret", {}, "no file of its folder"),
        ("C:\\secret", {}, "no file of its folder"),
        ("w.data\0", {}, "no file of its folder"),
        ("link", {}, "is reached by a link"),
        ("linked/secret", {}, "is reached by a link"),
        ("fifo", {}, "not a regular file"),
        ("below", {}, "not a regular file"),
        ("w.data", {"offset": 20}, "is cut short"),
        ("w.data", {"offset": -4}, "bytes at -4"),
        ("w.data", {"offset": "x"}, "has no number"),
        ("w.data", {"length": 4}, "has 4 bytes at 0, of 16"),
        ("w.data", {"length": 1 << 40}, "of 16"),
        ("w.data", {"offset": 1 << 70}, "of 16"),
        ("x" * 5000, {}, "missing|too long"),
    ],
)
def test_external_data_that_is_not_beside_the_file_is_refused(
    folder: Path, location: str, entries: dict[str, Any], message: str
) -> None:
    path = save(folder / "a.onnx", [], external(location, **entries))
    try:
        refused(path, message)
    except OSError as error:  # of the system, such as a name that is too long
        assert "too long" in str(error)


def test_external_data_beside_the_file_is_read(folder: Path) -> None:
    for location, entries in (("w.data", {"offset": 16}), ("below/w.data", {"length": 16})):
        path = save(folder / "a.onnx", [], external(location, **entries))
        (line,) = describe(path).tensors
        assert (line.name, line.shape) == ("w", (2, 2))


def test_external_data_that_is_named_many_times_is_within_the_budget(tmp_path: Path) -> None:
    (tmp_path / "w.data").write_bytes(bytes(1 << 24))
    tensors = []
    for i in range(100):
        tensors.append(external("w.data"))
        tensors[-1].name, tensors[-1].dims[:] = f"w{i}", [1 << 11, 1 << 11]
    path = save(tmp_path / "a.onnx", [], *tensors)
    found = limited.run("export", "--describe", path)
    assert found.status == 1 and found.memory < limited.MEMORY
    assert f"linnet: {path}: " in found.error and "--max-unpacked allows more" in found.error


def test_a_device_is_no_external_data(tmp_path: Path) -> None:
    make: Callable[..., None] = os.mknod
    try:
        make(tmp_path / "zero", 0o600 | 0o020000, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root makes devices")
    with pytest.raises((CheckpointError, PermissionError), match="not a regular|not permitted"):
        export(save(tmp_path / "a.onnx", [], external("zero")), tmp_path / "a.linnet")
