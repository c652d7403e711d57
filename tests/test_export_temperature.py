"""A temperature that the exporter folds into a voice's last layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import linnet
from excitation_voices import excitation_checkpoint
from geneing_files import random_model
from geneing_files import to_bytes as geneing_bytes
from linnet_export import export
from linnet_export.exporting import build_voice
from linnet_export.readers.checkpoint import Checkpoint
from linnet_export.writing.storage import Storage
from linnet_export.writing.writer import to_bytes
from voices import tiny_config, tiny_tensors


def checkpoint(architecture: str) -> tuple[dict[str, Any], dict[str, Any]]:
    if architecture == "lpc-wavernn":
        return excitation_checkpoint()
    config = tiny_config(architecture)
    return dict(tiny_tensors(config)), config


def built(architecture: str, **changes: Any) -> linnet.Voice:
    tensors, config = checkpoint(architecture)
    return linnet.load(
        to_bytes(build_voice(Checkpoint(tensors), {**config, **changes}, "t", Storage()))
    )


def assert_folded(plain: linnet.Voice, folded: linnet.Voice, temperature: float) -> None:
    """Of a power of two, the bits are those of drawing at this temperature."""
    mel = np.random.default_rng(0).normal(size=(plain.info()["n_mels"], 12)).astype(np.float32)
    expected = plain.synthesize(mel, seed=3, temperature=temperature)
    np.testing.assert_array_equal(folded.synthesize(mel, seed=3), expected)
    assert not np.array_equal(plain.synthesize(mel, seed=3), expected)
    assert folded.info()["temperature"] == temperature
    assert plain.info()["temperature"] == 1
    differing = [
        a.name
        for a, b in zip(plain.file().tensors, folded.file().tensors, strict=True)
        if not np.array_equal(a.dense, b.dense)
    ]
    assert 2 <= len(differing) <= 4  # the weights and the bias of the last layers


@pytest.mark.parametrize("temperature", [0.5, 2.0])
@pytest.mark.parametrize("architecture", ["wavernn-dual-softmax", "wavernn-softmax", "lpc-wavernn"])
def test_a_voice_draws_as_its_network_at_the_temperature(
    architecture: str, temperature: float
) -> None:
    folded = built(architecture, temperature=temperature)
    assert_folded(built(architecture), folded, temperature)


def test_of_a_file_of_weights_it_is_an_option(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(geneing_bytes(random_model()))
    for name, temperature in (("plain", None), ("folded", 0.5)):
        export(tmp_path / "model.bin", tmp_path / name, temperature=temperature)
    assert_folded(linnet.load(str(tmp_path / "plain")), linnet.load(str(tmp_path / "folded")), 0.5)


def test_the_option_goes_over_the_config(tmp_path: Path) -> None:
    tensors, config = checkpoint("wavernn-softmax")
    np.savez(tmp_path / "a.npz", **tensors)
    config["temperature"] = 0.7
    export(tmp_path / "a.npz", tmp_path / "a", config=config)
    export(tmp_path / "a.npz", tmp_path / "b", config=config, temperature=0.5)
    assert linnet.load(str(tmp_path / "a")).info()["temperature"] == 0.7
    assert_folded(built("wavernn-softmax"), linnet.load(str(tmp_path / "b")), 0.5)


def test_softmaxes_of_fatchords_networks_have_one_and_mixtures_none(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the network is a PyTorch module")
    from fatchord import CONFIG, WaveRNN, save

    path = save(tmp_path / "raw.pt", WaveRNN().state_dict())
    for name, temperature in (("plain", None), ("folded", 0.5)):
        export(path, tmp_path / name, config=CONFIG, temperature=temperature)
    assert_folded(linnet.load(str(tmp_path / "plain")), linnet.load(str(tmp_path / "folded")), 0.5)
    config = {**CONFIG, "hparams": {**CONFIG["hparams"], "voc_mode": "MOL"}}
    path = save(tmp_path / "mol.pt", WaveRNN(n_outputs=30).state_dict())
    with pytest.raises(ValueError, match="this is mode MOL"):
        export(path, tmp_path / "mol", config=config, temperature=0.5)
    export(path, tmp_path / "mol", config=config, temperature=1.0)


@pytest.mark.parametrize("temperature", [0, -1.0, 0.001, 1000, float("nan"), "0.8", True])
def test_what_is_no_temperature_is_refused(temperature: Any) -> None:
    with pytest.raises(ValueError, match="config temperature must be"):
        built("wavernn-softmax", temperature=temperature)
