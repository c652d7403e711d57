"""Exporting subscale networks: what the file says, and what does not fit."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import linnet
from linnet.format.operations import Subscale
from linnet.format.reading import read
from linnet_export import export
from linnet_export.exporting import build_voice
from linnet_export.readers.checkpoint import Checkpoint
from linnet_export.writing.storage import Storage
from test_export import save_npz
from voices import SUBSCALE, tiny_config, tiny_tensors


def test_the_file_has_the_network_and_the_frames_that_it_waits_for(tmp_path: Path) -> None:
    config = tiny_config(SUBSCALE, network={"sub_tensors": 4, "future": 5, "past": 0})
    tensors = tiny_tensors(config)
    report = export(save_npz(tmp_path / "a.npz", tensors, config), tmp_path / "a.linnet")
    file = read((tmp_path / "a.linnet").read_bytes())
    first = file.sample_program[0]
    assert isinstance(first, Subscale)
    assert (first.sub_tensors, first.future, first.past) == (4, 5, 0)
    # The convolutions reach 2 frames; 3 x (5 + 1) places of 4 samples are 3.6 frames of 20.
    assert file.header.lookahead == 2 + 4 and file.header.samples_per_step == 4
    layers = {layer.name: layer for layer in report.layers}
    assert layers["look_gates"].block == "4x4" and layers["look"].block != "dense"
    np.testing.assert_array_equal(
        file.tensor("look").dense, tensors["look.weight"].astype(np.float16)
    )


def test_what_rounding_costs_is_told_and_samples_are_matched(tmp_path: Path) -> None:
    config = tiny_config(SUBSCALE, matching=2, temperature=0.8)
    path = save_npz(tmp_path / "a.npz", tiny_tensors(config), config)
    pcm = (np.random.default_rng(0).standard_normal(400) * 2000).astype(np.int16)
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(pcm.tobytes())
    report = export(path, tmp_path / "a.linnet", score=tmp_path / "a.wav", dtype="int8")
    assert report.cost is not None and 0 < abs(report.cost.after - report.cost.before) < 0.5
    assert {"look", "look_gates"} <= set(report.cost.layers)
    voice = linnet.load(tmp_path / "a.linnet")
    heard = voice.synthesize(voice.features(pcm, 16000), seed=1)
    assert len(heard) >= len(pcm) and heard.any() and voice.info()["matching"] == 2


@pytest.mark.parametrize(
    ("changes", "tensors", "message"),
    [
        ({"network": {"future": 3}}, {}, "look.weight: shape .*, not any x 19"),
        ({"network": {"sub_tensors": 8}}, {}, "8 sub-tensors do not divide a hop of 20"),
        ({"network": {"sub_tensors": 1}}, {}, "network.sub_tensors must be an integer in 2 .. 16"),
        ({"network": {"past": None}}, {}, "network.past must be an integer"),
        ({"signal": {"bits": 8}}, {}, "signal.bits is 8"),
        ({}, {"upsample.weight": np.ones((20, 3), np.float32)}, "upsample.weight"),
        ({}, {"look_gates.weight": np.ones((96, 11), np.float32)}, "look_gates.weight: shape"),
        ({}, {"look.weight": None}, "missing tensors: look.weight"),
    ],
)
def test_what_does_not_fit_is_named(
    changes: dict[str, Any], tensors: dict[str, Any], message: str
) -> None:
    weights = {**tiny_tensors(tiny_config(SUBSCALE)), **tensors}
    checkpoint = Checkpoint({k: v for k, v in weights.items() if v is not None})
    with pytest.raises(ValueError, match=message):
        build_voice(checkpoint, tiny_config(SUBSCALE, **changes), "a", Storage())
