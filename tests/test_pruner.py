"""The pruner on networks that are not ours: exact sparsity, gates, lasting masks, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linnet.pruning import block_size, diagonal_blocks, expand_mask, prune

torch = pytest.importorskip("torch", reason="training needs torch (extra: train)")

from linnet_training import Pruner  # noqa: E402
from linnet_training.pruner import cubic  # noqa: E402


class Tagger(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Somebody's network: convolution, bidirectional GRU of two layers, LSTM cell, tied output."""

    def __init__(self) -> None:
        super().__init__()
        self.front = torch.nn.Conv1d(8, 16, 3, padding=1)
        self.rnn = torch.nn.GRU(16, 24, num_layers=2, bidirectional=True, batch_first=True)
        self.cell = torch.nn.LSTMCell(48, 16)
        self.names = torch.nn.Embedding(12, 16)
        self.out = torch.nn.Sequential(torch.nn.LayerNorm(16), torch.nn.Linear(16, 12))
        self.out[1].weight = self.names.weight
        self.own = torch.nn.Parameter(torch.randn(24, 8))

    def forward(self, x: Any) -> Any:
        states, _ = self.rnn(torch.relu(self.front(x)).transpose(1, 2))
        h, _ = self.cell(states[:, -1])
        return self.out(h) + (h[:, :8] @ self.own.t()).sum(1, keepdim=True)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Several threads wait for each other at every sample on a busy machine."""
    torch.set_num_threads(1)


def train(model: Any, pruner: Any, steps: int, seed: int = 0) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(4, 8, 9, generator=generator)).square().mean().backward()
        optimizer.step()
        pruner.step()


def tagger() -> Tagger:
    torch.manual_seed(0)
    return Tagger()


def empty_blocks(matrix: Any, block: str) -> Any:
    """Which blocks (block rows, block columns) are all zero; none may be zero in part."""
    r, c = block_size(block)
    blocks = matrix.reshape(matrix.shape[0] // r, r, matrix.shape[1] // c, c).transpose(1, 2)
    empty = (blocks == 0).flatten(2).all(-1)
    assert torch.equal(empty, (blocks == 0).flatten(2).any(-1))
    return empty


def test_schedule_is_the_cubic_of_the_paper() -> None:
    assert [cubic(t, 1000, 5000) for t in (0, 1000, 6000, 9000)] == [0, 0, 1, 1]
    assert cubic(3500, 1000, 5000) == pytest.approx(1 - 0.5**3)


@pytest.mark.parametrize("block", ["4x4", "8x4", "8x1", "1x4", "1x1"])
def test_every_gate_of_a_foreign_network_reaches_its_exact_sparsity(block: str) -> None:
    model = tagger()
    recurrent = {n for n, _ in model.named_parameters() if "weight_ih" in n or "weight_hh" in n}
    assert len(recurrent) == 10
    wanted = {"*.weight_?h*": 0.75, "front.weight": 0.75, "names.weight": 0.75}
    pruner = Pruner(model, wanted, block, start=2, steps=10, every=3)
    # The tied weight has one name.
    assert set(pruner.masks) == recurrent | {"front.weight", "names.weight"}
    train(model, pruner, 16)
    assert pruner.done
    weights = dict(model.named_parameters())
    for name in recurrent:
        for gate in weights[name].detach().chunk(4 if name.startswith("cell") else 3):
            empty = empty_blocks(gate, block)
            assert int((~empty).sum()) == int(0.25 * empty.numel() + 0.5), name
    # A convolution is pruned as it is exported: a row per output, taps before channels.
    empty = empty_blocks(model.front.weight.detach().transpose(1, 2).flatten(1), block)
    assert int((~empty).sum()) == int(0.25 * empty.numel() + 0.5)
    assert "rnn.weight_hh_l0 n" in pruner.report() and "75.00%" in pruner.report()


def test_one_sparsity_leaves_convolutions_and_output_layers_alone() -> None:
    masks = Pruner(tagger(), 0.75).masks
    assert len(masks) == 10 and all(".weight_ih" in n or ".weight_hh" in n for n in masks)
    layers = torch.nn.Sequential(torch.nn.Linear(16, 12))
    with pytest.raises(ValueError, match=r"it has none: name the weights.* 0.weight \(12, 16\)"):
        Pruner(layers, 0.75)
    assert set(Pruner(layers.named_parameters(), 0.75).masks) == {"0.weight"}


def test_masks_grow_on_schedule_and_never_shrink() -> None:
    model = tagger()
    pruner = Pruner(model, {"rnn.weight_hh*": 0.9}, "1x1", start=5, steps=20, every=4)
    reached, before = [], dict(pruner.masks)
    for call in range(30):
        train(model, pruner, 1, seed=call)
        reached.append(pruner.sparsity())
        for name, mask in pruner.masks.items():
            assert (mask <= before[name]).all()
            assert not dict(model.named_parameters())[name][mask == 0].any()
        before = {n: m.clone() for n, m in pruner.masks.items()}
    # Calls count from 0: the masks grow at calls 8, 12, ... and at 25, where the schedule ends.
    for call, share in enumerate(reached):
        last = 25 if call >= 25 else call // 4 * 4
        assert share == pytest.approx(0.9 * cubic(last, 5, 20), abs=1 / 24**2)


def test_masks_return_with_a_checkpoint(tmp_path: Any) -> None:
    arguments: dict[str, Any] = {"block": "4x4", "start": 0, "steps": 12, "every": 2}
    model = tagger()
    pruner = Pruner(model, 0.8, **arguments)
    train(model, pruner, 7)
    torch.save({"model": model.state_dict(), "pruner": pruner.state_dict()}, tmp_path / "x.pt")
    saved = torch.load(tmp_path / "x.pt", weights_only=True)
    other = tagger()
    again = Pruner(other, 0.8, **arguments)
    again.load_state_dict(saved["pruner"])
    assert again.report() == pruner.report() and 0.3 < again.sparsity() < 0.8
    other.load_state_dict(saved["model"])
    for m, p in ((model, pruner), (other, again)):
        train(m, p, 8, seed=1)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(ValueError, match="masks are of"):
        Pruner(other, {"own": 0.5}, "4x4").load_state_dict(saved["pruner"])
    with pytest.raises(ValueError, match="block rows"):
        Pruner(other, 0.8, "8x1").load_state_dict(saved["pruner"])


def test_granularity_says_what_is_ranked_together() -> None:
    def one(**arguments: Any) -> list[list[float]]:
        """Shares kept in each gate of two recurrent matrices of very different magnitudes."""
        torch.manual_seed(0)
        model = torch.nn.GRU(16, 16, num_layers=2)
        with torch.no_grad():
            model.weight_hh_l0[:16] *= 10
            model.weight_hh_l1 *= 3
        pruner = Pruner(model, {"weight_hh_l*": 0.75}, "4x4", start=0, steps=0, **arguments)
        pruner.step()
        weights = dict(model.named_parameters())
        return [
            [float((gate != 0).float().mean()) for gate in weights[n].chunk(3)]
            for n in pruner.masks
        ]

    assert one() == [[0.25] * 3, [0.25] * 3]
    assert one(granularity="per_matrix") == [[0.75, 0, 0], pytest.approx([0.25] * 3, abs=0.25)]
    together = np.array(one(granularity="global"))
    assert together.mean() == 0.25 and together[0, 0] == 1 and not together[0, 1:].any()


def test_gates_may_have_a_sparsity_each_and_keep_their_diagonal() -> None:
    model = torch.nn.GRU(8, 32)
    with torch.no_grad():
        for gate in model.weight_hh_l0.chunk(3):
            gate.fill_diagonal_(0.0)  # the weakest there are
            gate += 1e-6
    wanted = (0.5, 0.75, 0.25)
    sparsity: dict[str, Any] = {"weight_hh_l0": wanted, "weight_ih_l0": 0.5}
    Pruner(model, sparsity, "4x4", 0, 0, keep_diagonal=True).step()
    for gate, share in zip(model.weight_hh_l0.detach().chunk(3), wanted, strict=True):
        empty = empty_blocks(gate, "4x4")
        assert int(empty.sum()) == share * 64 and not empty.diagonal().any()


def test_parameters_without_their_module() -> None:
    model = tagger()
    named = Pruner(model.rnn.named_parameters(), 0.5, "4x4", 0, 0, gates={"weight_?h_l*": 3})
    named.step()
    for gate in model.rnn.weight_ih_l0.detach().chunk(3):
        assert int(empty_blocks(gate, "4x4").sum()) == 12
    Pruner([model.own], 0.5, "8x1", 0, 0).step()
    assert int(empty_blocks(model.own.detach(), "8x1").sum()) == 12


@given(
    st.integers(1, 3),
    st.integers(1, 5),
    st.integers(1, 9),
    st.sampled_from(["4x4", "2x3", "1x1", "16x1"]),
    st.floats(0, 0.97),
    st.integers(0, 99),
)
def test_pruning_at_once_is_pruning_gradually_in_one_step(
    gates: int, block_rows: int, columns: int, block: str, sparsity: float, seed: int
) -> None:
    rows = gates * block_rows * block_size(block)[0]
    dense = np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)
    parameter = torch.nn.Parameter(torch.from_numpy(dense.copy()))
    Pruner({"w": parameter}, sparsity, block, 0, 0, gates={"w": gates}).step()
    np.testing.assert_array_equal(
        parameter.detach().numpy(), prune(dense, block, sparsity, gates=gates)
    )


@pytest.mark.parametrize("block", ["4x4", "16x1", "3x2"])
def test_pruning_at_once_keeps_the_diagonal(block: str) -> None:
    dense = np.random.default_rng(0).standard_normal((96, 48)) + 10
    for gate in (dense[:48], dense[48:]):
        np.fill_diagonal(gate, 1e-9)
    kept = prune(dense, block, 0.5, gates=2, keep_diagonal=True) != 0
    diagonal = expand_mask(diagonal_blocks(48, block), (48, 48), block)
    assert kept[:48][diagonal].all() and kept[48:][diagonal].all()
    assert kept.sum() == (prune(dense, block, 0.5, gates=2) != 0).sum()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sparsity": {"rnn.nothing": 0.5}}, "rnn.nothing.*front.weight"),
        ({"sparsity": {"front.bias": 0.5}}, "front.bias.*no matrix"),
        ({"sparsity": {"rnn.weight_hh_l0": 1.0}}, "rnn.weight_hh_l0: sparsity 1.0"),
        ({"sparsity": {"rnn.weight_hh_l0": (0.5, 0.5)}}, "2 sparsities for 3 gates"),
        ({"sparsity": {"rnn.weight_hh_l0": 0.5}, "block": "16x1"}, "weight_hh_l0: 24 rows of a"),
        ({"sparsity": 0.5, "block": "4"}, "'4x4'"),
        ({"sparsity": 0.5, "block": {"rnn.*": "4x4"}}, "cell.weight_ih: no block"),
        ({"sparsity": 0.95, "block": "4x4", "keep_diagonal": True}, "the diagonal of 24 x 24"),
        ({"sparsity": 0.5, "keep_diagonal": ["rnn.weight_ih_l0"]}, "weight_ih_l0: 72 x 16 in 3"),
        ({"sparsity": {"own": 0.5}, "keep_diagonal": True}, "no recurrent weight"),
        ({"sparsity": {"own": 0.5}, "gates": {"own": 5}}, "own: 24 rows are not those of 5"),
        ({"sparsity": 0.5, "granularity": "per_row"}, "per_row.*per_gate"),
        ({"sparsity": {"own": 0.5, "cell.weight*": 0.4}, "granularity": "global"}, "one sparsity"),
        ({"sparsity": 0.5, "every": 0}, "every"),
        ({"sparsity": 0.5, "start": -1}, "start -1"),
    ],
)
def test_impossible_wishes_are_refused_by_name(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Pruner(tagger(), **arguments)
    with pytest.raises(ValueError, match="nothing to prune"):
        Pruner(torch.nn.LayerNorm(4), 0.5)
