"""An exported voice is the network that was trained: its scores against float64 mathematics."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from linnet import format
from linnet_export import export
from test_export import conditioning_in_float64, save_npz
from voices import Tensors, tiny_config, tiny_tensors

reference = pytest.importorskip("linnet.reference.engine", reason="the reference needs numba")

Float64 = npt.NDArray[np.float64]
Tokens = npt.NDArray[np.int64]
DATA = Path(os.environ.get("LINNET_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def sigmoid(x: Float64) -> Float64:
    return 1 / (1 + np.exp(-x))


def gru(t: dict[str, Float64], x: Float64, h: Float64, more: Any = 0.0) -> Float64:
    """torch.nn.GRU's step; more: what else the gates get."""
    i = (t["gru.weight_ih_l0"] @ x + t["gru.bias_ih_l0"] + more).reshape(3, -1)
    r = (t["gru.weight_hh_l0"] @ h + t["gru.bias_hh_l0"]).reshape(3, -1)
    update = sigmoid(i[1] + r[1])
    candidate = np.tanh(i[2] + sigmoid(i[0] + r[0]) * r[2])
    return np.asarray((1 - update) * candidate + update * h)


def nats(t: dict[str, Float64], names: tuple[str, ...], x: Float64, token: int) -> float:
    for name in names:
        x = t[f"{name}.weight"] @ x + t[f"{name}.bias"]
        x = x if name == names[-1] else np.maximum(x, 0)
    return float(x.max() + np.log(np.exp(x - x.max()).sum()) - x[token])


def upsampled(t: dict[str, Float64], tensors: Tensors, mel: Float64, hop: int) -> Float64:
    """Conditioning per sample, (C, T hop)."""
    if "upsample.weight" not in t:
        return np.asarray(np.repeat(conditioning_in_float64(tensors, mel), hop, axis=1))
    window = t["upsample.weight"].shape[1]
    # Valid all the way: the frames beyond the ends are conditioning of zero features.
    reach = window // 2
    wider = conditioning_in_float64(tensors, np.pad(mel, ((0, 0), (reach, reach))))
    windows = np.lib.stride_tricks.sliding_window_view(wider, window, axis=1)
    samples = np.einsum("hw,ctw->cth", t["upsample.weight"], windows)
    return np.asarray(samples.reshape(len(wider), -1))


def score_dual(tensors: Tensors, config: dict[str, Any], mel: Float64, tokens: Tokens) -> Float64:
    t = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    condition = upsampled(t, tensors, mel, config["features"]["hop_length"])
    return bytes_drawn(t, condition, tokens, np.zeros((len(tokens), 1)))


def score_subscale(
    tensors: Tensors, config: dict[str, Any], mel: Float64, tokens: Tokens
) -> Float64:
    """Sub-tensor by sub-tensor, each a signal of its own that sees the earlier ones."""
    t = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    condition = upsampled(t, tensors, mel, config["features"]["hop_length"])
    b, future, past = (config["network"][key] for key in ("sub_tensors", "future", "past"))
    folded = np.pad(tokens.reshape(-1, b) * 2 / 65535 - 1, ((past, future), (0, 0)))
    scores = np.zeros(len(tokens))
    for s in range(b):
        looked = []
        for place in range(len(tokens) // b):
            seen = np.zeros((b - 1, past + future + 1))
            for d in range(1, s + 1):
                seen[d - 1] = folded[place : place + past + future + 1, s - d]
            window = np.concatenate([seen.ravel(), np.eye(b)[s]])
            looked.append(np.maximum(t["look.weight"] @ window + t["look.bias"], 0))
        more = np.array(looked) @ t["look_gates.weight"].T
        scores[s::b] = bytes_drawn(t, condition[:, s::b], tokens[s::b], more)
    return scores


def bytes_drawn(
    t: dict[str, Float64], condition: Float64, tokens: Tokens, more: Float64
) -> Float64:
    """Nats (n,) of tokens as two bytes; condition (C, n), and what else the gates get."""
    h = np.zeros(t["gru.weight_hh_l0"].shape[1])
    half = len(h) // 2
    before, scores = 32768, []
    for step, token in enumerate(tokens.tolist()):
        bytes_ = np.array([before >> 8, before & 255, token >> 8]) * 2 / 255 - 1
        h = gru(t, np.concatenate([bytes_, condition[:, step]]), h, more[step])
        coarse = nats(t, ("O1", "O2"), h[:half], token >> 8)
        scores.append(coarse + nats(t, ("O3", "O4"), h[half:], token & 255))
        before = token
    return np.array(scores)


def score_single(tensors: Tensors, config: dict[str, Any], mel: Float64, tokens: Tokens) -> Float64:
    t = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    condition = upsampled(t, tensors, mel, config["features"]["hop_length"])
    h = np.zeros(t["gru.weight_hh_l0"].shape[1])
    middle = 1 << (config["signal"]["bits"] - 1)
    before, scores = middle, []
    for step, token in enumerate(tokens.tolist()):
        x = np.array([before / middle - 1])
        if "embedding.weight" in t:
            x = t["embedding.weight"][before]
        h = gru(t, np.concatenate([x, condition[:, step]]), h)
        scores.append(nats(t, ("fc1", "fc2"), h, token))
        before = token
    return np.array(scores)


SCORES = {
    "wavernn-dual-softmax": score_dual,
    "wavernn-softmax": score_single,
    "wavernn-subscale": score_subscale,
}


@pytest.mark.parametrize(
    ("architecture", "shape"),
    [
        ("wavernn-dual-softmax", {}),
        ("wavernn-dual-softmax", {"kernels": (), "hidden": 40, "block": "16x1"}),
        ("wavernn-dual-softmax", {"window": 3, "block": "1x4"}),
        ("wavernn-softmax", {"block": "1x16", "kernels": (1, 3)}),
        ("wavernn-softmax", {"embedding": 12, "window": 5}),
        ("wavernn-subscale", {}),
    ],
)
def test_scores_are_those_of_the_network(
    tmp_path: Path, architecture: str, shape: dict[str, Any]
) -> None:
    config = tiny_config(architecture)
    tensors = tiny_tensors(config, **shape)
    export(save_npz(tmp_path / "a.npz", tensors, config), tmp_path / "a.linnet", dtype="float32")
    random = np.random.default_rng(0)
    mel = random.standard_normal((10, 6))
    tokens = random.integers(0, 1 << config["signal"]["bits"], 6 * config["features"]["hop_length"])
    expected = SCORES[architecture](tensors, config, mel, tokens)
    found = reference.ReferenceVoice(tmp_path / "a.linnet").score(mel, tokens)
    # Errors of float32 sums of some hundred products, carried on by the state; any other network
    # differs in the first digit.
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_the_1024_unit_workload_keeps_its_blocks(tmp_path: Path) -> None:
    path = DATA / "lyra-sparse-wavernn-1024" / "wavernn_1024_95_4x4.npz"
    if not path.exists():
        pytest.skip(f"no third-party weights in {DATA}")
    report = export(path, tmp_path / "a.linnet")
    print(report)
    voice = format.read(tmp_path / "a.linnet")
    recurrent = voice.tensor("gru.recurrent")
    assert recurrent.layout == "4x4" and recurrent.packed.stored_weights == 16 * 9722
    assert recurrent.packed.nbytes <= 2.15 * recurrent.packed.stored_weights
    with np.load(path) as source:
        weights = source["wavernn_gru.weight"].astype(np.float16).astype(np.float32)
        logits = source["finelogit.weight"].astype(np.float16).astype(np.float32)
    halves = weights.reshape(3, 2, 512, 1024).swapaxes(0, 1).reshape(3072, 1024)
    np.testing.assert_array_equal(recurrent.dense, halves)
    np.testing.assert_array_equal(voice.tensor("finelogit").dense, logits)
