"""Checkpoints of fatchord/WaveRNN's family and hyperparameters that are not theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the oracle is a PyTorch module")

from fatchord import CONFIG, WaveRNN, save  # noqa: E402
from linnet_export import describe, export  # noqa: E402


@pytest.mark.parametrize(
    ("hparams", "message"),
    [
        ({"voc_mode": "MOL"}, "network.mode is 'MOL', but the tensors make it 'RAW'"),
        ({"bits": 9}, "signal.bits is 9, but fc3.weight has 32 rows"),
        ({"voc_pad": 1}, "network.pad is 1, but the tensors make it 2"),
        ({"voc_upsample_factors": [4, 5]}, r"upsample_factors is \[4, 5\], but .* \[5, 4\]"),
        ({"voc_rnn_dims": 512}, "network.rnn_dims is 512, but the tensors make it 24"),
        ({"voc_fc_dims": 512}, "fc_dims is 512"),
        ({"voc_compute_dims": 128}, "compute_dims is 128"),
        ({"voc_res_out_dims": 128}, "res_out_dims is 128"),
        ({"voc_res_blocks": 10}, "res_blocks is 10, but the tensors make it 2"),
        ({"hop_length": 25}, "hop_length is 25, but upsample.up_layers stretch by 5 x 4 = 20"),
        ({"num_mels": 80}, "upsample.resnet.conv_in.weight: shape"),
        ({"win_length": 65}, "win_length must be at most n_fft, 64, not 65"),
        ({"fmin": 9000}, "fmin 9000 and fmax 8000.0 are no range"),
        ({"hop_length": "20"}, "hop_length must be"),
    ],
)
def test_hparams_that_are_not_the_checkpoints_are_refused(
    tmp_path: Path, hparams: dict[str, Any], message: str
) -> None:
    path = save(tmp_path / "a.pt", WaveRNN().state_dict())
    config = {**CONFIG, "hparams": {**CONFIG["hparams"], **hparams}}
    with pytest.raises(ValueError, match=message):
        export(path, tmp_path / "a.linnet", config=config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"I.weight": (24, 16)}, r"I.weight: shape \(24, 16\), not any x 15"),
        ({"rnn2.weight_ih_l0": (72, 24)}, "rnn2.weight_ih_l0: shape"),
        ({"fc2.weight": (20, 20)}, "fc2.weight: shape"),
        ({"upsample.up_layers.1.weight": (1, 1, 1, 10)}, "10 samples; it must span 2 s . 1"),
        ({"upsample.resnet.conv_in.weight": (12, 10, 4)}, "4 frames; it must span 2 pad . 1"),
        ({"upsample.resnet.layers.1.batch_norm2.running_var": (12,)}, "negative variance"),
        ({"upsample.resnet.layers.3.conv1.weight": (12, 12, 1)}, r"missing .*layers\.2\.conv1"),
        ({"fc3.weight": (36, 20), "fc3.bias": (36,)}, "fc3.weight has 36 rows"),
        ({"fc3.weight": (30, 20), "fc3.bias": (30,)}, "mode is 'RAW', but the tensors .* 'MOL'"),
        ({"fc3.weight": (2, 20), "fc3.bias": (2,)}, "2 rows: a Gaussian"),
    ],
)
def test_tensors_of_other_sizes_are_refused_by_name(
    tmp_path: Path, change: dict[str, tuple[int, ...]], message: str
) -> None:
    wrong = {name: -np.ones(shape, np.float32) for name, shape in change.items()}
    path = save(tmp_path / "a.pt", {**WaveRNN().tensors(), **wrong})
    with pytest.raises(ValueError, match=message):
        export(path, tmp_path / "a.linnet", config=CONFIG)


def test_a_checkpoint_without_hparams_asks_for_a_preset(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", WaveRNN().state_dict())
    with pytest.raises(ValueError, match=r"nearest is fatchord-wavernn \(give its preset: fatch"):
        export(path, tmp_path / "a.linnet")


def test_describe_knows_the_family_under_every_name(tmp_path: Path) -> None:
    state = WaveRNN().state_dict()
    parallel = {f"module.{name}": tensor for name, tensor in state.items()}
    for tensors in (dict(state), parallel):
        found = describe(save(tmp_path / "a.pt", tensors))
        assert (found.family, found.unknown) == ("fatchord-wavernn", ())
