"""ONNX graphs as checkpoints: weights in the forms that torch.onnx gives them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from linnet_export import describe, export
from linnet_export.readers.reading import read_checkpoint
from test_export import save_npz
from test_export_networks import gru
from voices import tiny_config, tiny_tensors

onnx = pytest.importorskip("onnx")
helper, numpy_helper = pytest.importorskip("onnx.helper"), pytest.importorskip("onnx.numpy_helper")

CONFIG = tiny_config("wavernn-softmax")
TENSORS = tiny_tensors(CONFIG, kernels=(3,))
HIDDEN = TENSORS["gru.weight_hh_l0"].shape[1]
# Names of torch's modules in the graph below.
NAMES = {
    **{name: name.replace("gru.", "rnn.cell.") for name in TENSORS if name.startswith("gru.")},
    **{f"fc2.{role}": f"head.{role}" for role in ("weight", "bias")},
    "fc1.weight": "fc1.weight",
}


def update_first(gates: Any) -> Any:
    """torch's reset, update, candidate in ONNX's order, with its axis of directions."""
    return gates.reshape(3, HIDDEN, -1)[[1, 0, 2]].reshape(1, *gates.shape)


def gru_weights() -> dict[str, Any]:
    biases = [update_first(TENSORS[f"gru.bias_{side}_l0"]) for side in ("ih", "hh")]
    return {
        "onnx::GRU_1": update_first(TENSORS["gru.weight_ih_l0"]),
        "onnx::GRU_2": update_first(TENSORS["gru.weight_hh_l0"]),
        "onnx::GRU_3": np.concatenate(biases, axis=1),
    }


def graph(**attributes: Any) -> Any:
    """As torch.onnx writes a WaveRNN: folded constants have no names, Gemm and MatMul differ."""
    constants = {
        **gru_weights(),
        "conditioning.0.weight": TENSORS["conditioning.0.weight"],
        "conditioning.0.bias": TENSORS["conditioning.0.bias"],
        "fc1.weight": np.ascontiguousarray(TENSORS["fc1.weight"].T),  # (in, out)
        "fc1.bias": TENSORS["fc1.bias"],
        "onnx::Gemm_4": TENSORS["fc2.weight"],
        "shape": np.array([1, -1]),
    }
    attributes = {"hidden_size": HIDDEN, "linear_before_reset": 1, **attributes}
    nodes = [
        helper.make_node(
            "GRU",
            ["x", "onnx::GRU_1", "onnx::GRU_2", "onnx::GRU_3"],
            ["y"],
            name="/rnn/cell/GRU",
            **attributes,
        ),
        helper.make_node("MatMul", ["y", "fc1.weight"], ["a"], name="/fc1/MatMul"),
        helper.make_node("Add", ["a", "fc1.bias"], ["b"], name="/fc1/Add"),
        helper.make_node(
            "Constant",
            [],
            ["bias"],
            name="/head/Constant",
            value=numpy_helper.from_array(TENSORS["fc2.bias"]),
        ),
        helper.make_node("Gemm", ["b", "onnx::Gemm_4", "bias"], ["c"], name="/head/Gemm", transB=1),
    ]
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    return helper.make_graph(nodes, "g", [], [], initializers)


def save(path: Path, graph: Any) -> Path:
    model = helper.make_model(graph)
    helper.set_model_props(model, {"config": json.dumps(CONFIG)})
    onnx.save(model, str(path))
    return path


def test_nodes_weights_make_the_same_voice(tmp_path: Path) -> None:
    export(save_npz(tmp_path / "a.npz", TENSORS, CONFIG), tmp_path / "a.linnet", name="x")
    path = save(tmp_path / "b.onnx", graph())
    export(path, tmp_path / "b.linnet", names=NAMES, name="x")
    assert (tmp_path / "b.linnet").read_bytes() == (tmp_path / "a.linnet").read_bytes()


@pytest.mark.filterwarnings("ignore")  # of deprecation, and of what tracing may miss
def test_torchs_own_export_gives_its_modules_names(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Network(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv1d(5, 5, 3)
            self.gru = torch.nn.GRU(5, 8, batch_first=True)
            self.fc1 = torch.nn.Linear(8, 6)

        def forward(self, x: Any, h: Any) -> Any:
            y, _ = self.gru(self.conv(x).transpose(1, 2), h)
            return self.fc1(y)

    network = Network().eval()
    inputs = torch.zeros(1, 5, 7), torch.zeros(1, 1, 8)
    torch.onnx.export(network, inputs, str(tmp_path / "a.onnx"), dynamo=False)
    found = read_checkpoint(tmp_path / "a.onnx").tensors
    expected = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(found[name], tensor)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"linear_before_reset": 0}, "rnn.cell: linear_before_reset is 0.*multiply the product"),
        ({"direction": "reverse"}, "direction is 'reverse'"),
        ({"activations": ["Sigmoid", "Relu"]}, "activations"),
        ({"clip": 3.0}, "clip is 3.0"),
        ({"hidden_size": 5}, "do not fit"),
    ],
)
def test_a_gru_of_other_arithmetic_is_refused(
    tmp_path: Path, attributes: dict[str, Any], message: str
) -> None:
    path = save(tmp_path / "a.onnx", graph(**attributes))
    with pytest.raises(ValueError, match=message):
        export(path, tmp_path / "a.linnet", names=NAMES)


def test_a_gru_whose_weights_the_graph_computes_is_refused(tmp_path: Path) -> None:
    computed = graph()
    computed.node[0].input[2] = "sliced"
    path = save(tmp_path / "a.onnx", computed)
    with pytest.raises(ValueError, match="sliced is computed by the graph"):
        export(path, tmp_path / "a.linnet", names=NAMES)


def test_gates_have_the_order_of_the_operator() -> None:
    """onnxruntime's GRU beside torch's equations, with weights as `graph` gives them to it."""
    runtime = pytest.importorskip("onnxruntime")
    weights = gru_weights()
    node = helper.make_node(
        "GRU", ["x", *weights], ["y"], hidden_size=HIDDEN, linear_before_reset=1
    )
    size = weights["onnx::GRU_1"].shape[2]
    x = np.random.default_rng(0).standard_normal((6, 1, size)).astype(np.float32)
    infos = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("x", "y")
    ]
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    model = helper.make_model(
        helper.make_graph([node], "g", infos[:1], infos[1:], constants),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    (found,) = runtime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    t = {name: tensor.astype(np.float64) for name, tensor in TENSORS.items()}
    h = np.zeros(HIDDEN)
    for step, inputs in enumerate(x[:, 0].astype(np.float64)):
        h = gru(t, inputs, h)
        # float32 sums of some dozen products; another order changes the first digit.
        assert np.abs(found[step, 0, 0] - h).max() < 1e-4


def anonymous(weights: dict[str, Any], scopes: dict[str, str]) -> Any:
    """As torch's dynamo exporter writes `graph`: nodes with their modules in their metadata."""
    constants = {
        "val_1": weights["onnx::GRU_1"],
        "val_2": weights["onnx::GRU_2"],
        "val_3": weights["onnx::GRU_3"],
        "conditioning.0.weight": TENSORS["conditioning.0.weight"],
        "conditioning.0.bias": TENSORS["conditioning.0.bias"],
        "val_4": np.ascontiguousarray(TENSORS["fc1.weight"].T),
        "fc1.bias": TENSORS["fc1.bias"],
        "head.weight": TENSORS["fc2.weight"],
        "head.bias": TENSORS["fc2.bias"],
    }
    nodes = [
        helper.make_node(
            "GRU", ["x", "val_1", "val_2", "val_3"], ["y"], "node_gru",
            hidden_size=HIDDEN, linear_before_reset=1,
        ),
        helper.make_node("MatMul", ["y", "val_4"], ["a"], "node_matmul"),
        helper.make_node("Add", ["a", "fc1.bias"], ["b"], "node_add"),
        helper.make_node("Gemm", ["b", "head.weight", "head.bias"], ["c"], "node_linear", transB=1),
    ]  # fmt: skip
    for node in nodes:
        if node.name in scopes:
            entry = node.metadata_props.add()
            entry.key, entry.value = "pkg.torch.onnx.name_scopes", scopes[node.name]
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    return helper.make_graph(nodes, "g", [], [], initializers)


def test_modules_of_the_dynamo_exporter_are_named(tmp_path: Path) -> None:
    export(save_npz(tmp_path / "a.npz", TENSORS, CONFIG), tmp_path / "a.linnet", name="x")
    scopes = {
        "node_gru": "['', 'rnn', 'rnn.cell', 'gru']",
        "node_matmul": "['', 'fc1', 'linear']",
        "node_linear": "['', 'head', 'linear']",
    }
    path = save(tmp_path / "b.onnx", anonymous(gru_weights(), scopes))
    export(path, tmp_path / "b.linnet", names=NAMES, name="x")
    assert (tmp_path / "b.linnet").read_bytes() == (tmp_path / "a.linnet").read_bytes()
    for odd in ("", "[]", "['']", "[['fc1'", "'" * 100_000):
        path = save(tmp_path / "c.onnx", anonymous(gru_weights(), {"node_gru": odd}))
        names = {line.name for line in describe(path).tensors}
        assert {"node_gru.weight_hh_l0", "node_matmul.weight"} <= names


@pytest.mark.filterwarnings("ignore")
def test_torchs_dynamo_export_gives_its_modules_names(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript", reason="torch's dynamo exporter needs it")

    class Network(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv1d(5, 5, 3)
            self.gru = torch.nn.GRU(5, 8, num_layers=2, batch_first=True)
            self.fc1 = torch.nn.Linear(8, 6)

        def forward(self, x: Any, h: Any) -> Any:
            y, _ = self.gru(self.conv(x).transpose(1, 2), h)
            return self.fc1(y)

    network = Network().eval()
    inputs = torch.zeros(1, 5, 7), torch.zeros(2, 1, 8)
    torch.onnx.export(network, inputs, str(tmp_path / "a.onnx"), dynamo=True, verbose=False)
    found = read_checkpoint(tmp_path / "a.onnx").tensors
    expected = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(found[name], tensor)


def test_a_bidirectional_gru_is_described_and_not_exported(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    weights = torch.nn.GRU(5, 8, bidirectional=True).state_dict()

    def stacked(name: str) -> Any:
        both = [weights[f"{name}_l0{end}"].numpy() for end in ("", "_reverse")]
        gates = [w.reshape(3, 8, -1)[[1, 0, 2]].reshape(w.shape) for w in both]
        return np.stack(gates)

    constants = {
        "w": stacked("weight_ih"),
        "r": stacked("weight_hh"),
        "b": np.concatenate([stacked("bias_ih"), stacked("bias_hh")], axis=1),
    }
    node = helper.make_node(
        "GRU", ["x", "w", "r", "b"], ["y"], "/rnn/GRU",
        hidden_size=8, linear_before_reset=1, direction="bidirectional",
    )  # fmt: skip
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    path = save(tmp_path / "a.onnx", helper.make_graph([node], "g", [], [], initializers))
    found = read_checkpoint(path).tensors
    assert set(found) == {f"rnn.{name}" for name in weights}
    for name, tensor in weights.items():
        np.testing.assert_array_equal(found[f"rnn.{name}"], tensor.numpy())
    assert "direction is 'bidirectional'" in str(describe(path))
    with pytest.raises(ValueError, match="direction is 'bidirectional'.*run forwards"):
        export(path, tmp_path / "a.linnet")


def test_constants_that_are_dequantised_are_computed(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    stored = random.integers(-127, 128, (6, 8), np.int8)
    scale, zero = random.random(6).astype(np.float32), random.integers(-9, 9, 6, np.int8)
    constants = {"q": stored, "fc.weight_scale": scale, "zero": zero}
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "fc.weight_scale", "zero"], ["w"], axis=0),
        helper.make_node("Gemm", ["x", "w"], ["y"], "/fc/Gemm", transB=1),
    ]
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    path = save(tmp_path / "a.onnx", helper.make_graph(nodes, "g", [], [], initializers))
    ((name, found),) = read_checkpoint(path).tensors.items()
    assert name == "fc.weight"
    difference = stored.astype(np.float32) - zero.astype(np.float32)[:, None]
    np.testing.assert_array_equal(found, difference * scale[:, None])
