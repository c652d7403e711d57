"""Training for int8: gradients of rounded weights, updates of the weights themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch (extra: train)")

from linnet.format.dtypes import as_stored  # noqa: E402
from linnet_training.networks.lpc import LpcWaveRNN  # noqa: E402
from linnet_training.quantiser import EVERY, Quantiser, round_operands  # noqa: E402


def network(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return LpcWaveRNN(hidden_size=16, n_mels=8, hop_length=20, channels=24, head_size=16, order=4)


def test_weights_are_rounded_as_the_exporter_rounds_them() -> None:
    model, rounded = network(), network()
    Quantiser(model, "lpc-wavernn", 3).round_weights(rounded, model)
    other = {n for n, w in model.named_parameters() if torch.equal(w, rounded.get_parameter(n))}
    assert all("bias" in name or name.startswith("envelope.") for name in other)
    assert {"envelope.reflection.weight", "O1.bias"} <= other
    for name, weight in model.named_parameters():
        if name not in other:
            split = 3 if name == "gru.weight_ih_l0" else 0
            matrix = weight.detach().view(len(weight), -1).numpy()
            found = rounded.get_parameter(name).detach().view(len(weight), -1).numpy()
            np.testing.assert_array_equal(found[:, :split], matrix[:, :split])
            np.testing.assert_allclose(
                found[:, split:], as_stored(matrix[:, split:], "int8"), rtol=1e-6
            )


def test_gradients_are_those_of_rounded_weights_and_the_weights_come_back() -> None:
    model, rounded = network(), network()
    quantiser = Quantiser(model, "lpc-wavernn", 3)
    quantiser.round_weights(rounded, model)
    before = {name: w.clone() for name, w in model.state_dict().items()}
    states = torch.rand(5, 16)
    with quantiser.rounded(model):
        model.logits(states).square().sum().backward()
    rounded.logits(states).square().sum().backward()
    for name in ("O1.weight", "O2.weight", "O1.bias"):
        torch.testing.assert_close(
            model.get_parameter(name).grad, rounded.get_parameter(name).grad, rtol=1e-5, atol=1e-6
        )
    assert all(torch.equal(w, before[name]) for name, w in model.state_dict().items())


def test_scales_follow_the_weights_now_and_then() -> None:
    model = network()
    quantiser = Quantiser(model, "lpc-wavernn", 3)
    largest = []
    for call in range(EVERY + 1):
        with torch.no_grad():
            model.O1.weight.mul_(2.0 if call == 1 else 1.0)
        with quantiser.rounded(model):
            largest.append(float(model.O1.weight.detach().abs().max()))
    assert largest[1] == largest[0]  # cut off where the scale ends
    assert largest[EVERY] == pytest.approx(2 * largest[0], rel=0.01)


def test_operands_are_rounded_and_gradients_pass() -> None:
    model = network()
    states = (torch.rand(4, 16) - 0.5).requires_grad_()
    plain = model.O1(states)
    round_operands(model)
    rounded = model.O1(states)
    assert 0 < (rounded - plain).abs().max() < 16 * 0.5 / 2 / 127
    rounded.sum().backward()
    torch.testing.assert_close(states.grad, model.O1.weight.sum(0).expand(4, 16))
    assert torch.equal(model.O1(torch.zeros(1, 16)), model.O1.bias[None])
