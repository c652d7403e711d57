"""`linnet export --describe`: what a checkpoint holds and looks like."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from linnet.cli import main
from linnet_export import describe
from test_export import save_npz
from voices import SUBSCALE, tiny_config, tiny_tensors

DATA = Path(os.environ.get("LINNET_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.mark.parametrize("architecture", ["wavernn-dual-softmax", "wavernn-softmax", SUBSCALE])
@pytest.mark.parametrize("block", ["4x4", "16x1", "1x16", "1x4"])
def test_families_and_blocks_are_recognised(tmp_path: Path, architecture: str, block: str) -> None:
    tensors = tiny_tensors(tiny_config(architecture), block=block, hidden=64, sparsity=0.9)
    found = describe(save_npz(tmp_path / "a.npz", tensors, None))
    assert (found.family, found.unknown) == (architecture, ())
    assert str(found).endswith(f"looks like {architecture}")
    lines = {line.name: line for line in found.tensors}
    assert set(lines) == set(tensors)
    recurrent = lines["gru.weight_hh_l0"]
    assert (recurrent.block, recurrent.fill, recurrent.dtype) == (block, 1.0, "float32")
    assert recurrent.shape == (192, 64) and recurrent.density is not None
    assert 0.05 < recurrent.density < 0.15
    assert lines["gru.bias_hh_l0"].block is None
    assert lines["conditioning.0.weight"].block == "dense"


def test_a_family_is_known_by_its_relatives_names(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the checkpoint is a PyTorch module's")
    from fatchord import WaveRNN

    tensors = WaveRNN().tensors()
    wrapped = {f"module.{name}": tensor for name, tensor in tensors.items()}
    for names in (tensors, wrapped):
        found = describe(save_npz(tmp_path / "a.npz", names, None))
        assert (found.family, found.unknown) == ("fatchord-wavernn", ())
        assert {line.name for line in found.tensors} == set(tensors)


def test_types_are_those_of_the_file(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    state = {
        "a": torch.ones(3, 4, dtype=torch.bfloat16),
        "b": torch.ones(2, dtype=torch.float64),
        "step": torch.tensor(7),
    }
    torch.save(state, tmp_path / "a.pt")
    found = describe(tmp_path / "a.pt")
    assert [line.dtype for line in found.tensors] == ["bfloat16", "float64", "int64"]
    assert found.family is None and "no family" in str(found)


def test_the_command_names_what_is_strange(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tensors = tiny_tensors(tiny_config())
    tensors["decoder.weight"] = tensors.pop("O4.weight")
    np.savez("a.npz", **tensors)  # type: ignore[arg-type]
    assert main(["export", "--describe", "a.npz"]) == 0
    text = capsys.readouterr().out
    assert (
        "looks most like wavernn-dual-softmax" in text and "unknown to it: decoder.weight" in text
    )
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize(
    ("path", "family", "tensor", "block"),
    [
        ("geneing-wavernn/model.bin", "geneing-wavernn", "23.gru.recurrent", "1x4"),
        ("lyra-wavegru-16khz", "lyra-wavegru", "gru_layer_weights", "16x1"),
        (
            "lyra-sparse-wavernn-1024/wavernn_1024_95_4x4.npz",
            "workload-wavernn",
            "wavernn_gru.weight",
            "4x4",
        ),
    ],
)
def test_published_checkpoints_are_recognised(
    path: str, family: str, tensor: str, block: str
) -> None:
    if not (DATA / path).exists():
        pytest.skip(f"no third-party weights in {DATA}")
    found = describe(DATA / path)
    (line,) = (line for line in found.tensors if line.name == tensor)
    assert (found.family, line.block, line.fill) == (family, block, 1.0)
