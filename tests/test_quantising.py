"""int8 exports: what is rounded, how it is fitted to a recording, and what the report says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import linnet
from linnet import format
from linnet.audio import read_wav, write_wav
from linnet.cli import main
from linnet.format.blocks import pack, unpack_integers
from linnet.format.dtypes import type_name
from linnet.pruning import prune
from linnet_export import export, rematch, restore
from linnet_export.quantising import Observed as Seen
from linnet_export.quantising import effect, observe, rounded
from voices import tiny_config, tiny_tensors, tiny_voice

VOICES = Path(__file__).parents[1] / "voices"
CONFIG = {**tiny_config(), "dtype": "int8"}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "model.npz"
    np.savez(path, **tiny_tensors(CONFIG), config=np.array(json.dumps(CONFIG)))  # type: ignore[arg-type]
    return path


@pytest.fixture
def recording(tmp_path: Path) -> tuple[Path, Any]:
    """A wav file of 20 frames, and features (10, 20) for it."""
    rng = np.random.default_rng(0)
    samples = np.convolve(rng.normal(0, 3000, 400), [1, 0.8, 0.4], "same").astype(np.int16)
    write_wav(tmp_path / "speech.wav", samples, 16000)
    return tmp_path / "speech.wav", rng.random((10, 20), np.float32)


@pytest.mark.parametrize("layout", ["4x4", "8x4", "1x16", "dense"])
def test_fitted_weights_change_the_sums_less_and_keep_zeros(layout: str) -> None:
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((40, 64))
    if layout != "dense":
        weights = prune(weights, layout, 0.75)
    mixed = rng.standard_normal((64, 6))  # operands of few degrees of freedom, as states are
    x = rng.standard_normal((2000, 6)) @ mixed.T + 0.05 * rng.standard_normal((2000, 64))
    moments = x.T @ x / len(x)
    plain = pack(weights, layout, "int8", 1.0)
    fitted = rounded(plain, weights, moments)
    assert (fitted.layout, fitted.input_range) == (layout, 1.0)
    np.testing.assert_array_equal(fitted.scales, plain.scales)
    assert np.abs(unpack_integers(fitted)).max() <= 127
    assert not fitted.to_dense()[weights == 0].any()
    off = [np.square(x @ (p.to_dense() - weights).T).mean() for p in (plain, fitted)]
    assert off[1] < off[0] / 2
    seen = Seen(64, len(x), 1.0)
    found = effect(fitted, weights, moments, seen)
    power = np.square(x @ weights.T).mean()
    assert found.of_weights == pytest.approx(np.sqrt(off[1] / power), rel=1e-3)


def test_observed_moments_are_those_of_the_operands(recording: tuple[Path, Any]) -> None:
    voice = format.read(tiny_voice(dtype="float32"))
    mel = recording[1]
    found = observe(voice, mel, np.full(100, 32768))
    assert found["O1"].number == 100 and found["conditioning.0"].number < 25
    assert {"gru.recurrent", "O1", "O2"} <= set(found)
    for name, seen in found.items():
        cols = voice.tensor(name).packed.cols
        assert seen.moments.shape == (cols, cols)
        assert seen.number == 100 or 20 <= seen.number <= 24  # samples, or frames and silence
        assert np.trace(seen.moments) <= seen.number * cols * seen.largest**2 * (1 + 1e-12)
    assert found["gru.recurrent"].largest <= 1


def test_an_export_is_calibrated_and_says_what_it_costs(
    checkpoint: Path, recording: tuple[Path, Any], tmp_path: Path
) -> None:
    wav, mel = recording
    plain = export(checkpoint, tmp_path / "plain.linnet")
    report = export(checkpoint, tmp_path / "a.linnet", calibrate=wav, score=wav, mel=mel)
    types = {layer.name: layer.dtype for layer in report.layers}
    assert types["gru.recurrent"] == types["O2"] == "int8"
    assert {layer.name: layer.dtype for layer in plain.layers} == types
    assert set(report.effects) == {name for name, dtype in types.items() if dtype == "int8"}
    assert report.cost is not None and set(report.effects) <= set(report.cost.layers)
    one, other = (format.read(tmp_path / name) for name in ("plain.linnet", "a.linnet"))
    assert any(
        not np.array_equal(a.packed.values, b.packed.values)
        for a, b in zip(one.tensors, other.tensors, strict=True)
    )
    for layer in other.metadata["layers"]:
        assert layer["rounding_error"] < 0.05
    text = str(report)
    assert "operand" in text and "nats" in text and "int8" in text
    assert linnet.load(tmp_path / "a.linnet").synthesize(mel).shape == (20 * mel.shape[1],)


def test_a_voice_is_stored_in_other_types_and_back(tmp_path: Path) -> None:
    (tmp_path / "a.linnet").write_bytes(tiny_voice(dtype="float32"))
    before = format.read(tmp_path / "a.linnet")
    restore(tmp_path / "a.linnet", tmp_path / "b.linnet", keep={"O2": "bf16"})
    after = format.read(tmp_path / "b.linnet")
    for a, b in zip(before.tensors, after.tensors, strict=True):
        assert (a.name, a.layout) == (b.name, b.layout)
        assert b.dtype == ("bfloat16" if a.name == "O2" else a.dtype)
        assert a.name == "O2" or np.array_equal(a.dense, b.dense)
    options = ["--dtype", "int8", "--keep", "O1=fp32", "-o", str(tmp_path / "c.linnet")]
    assert main(["export", str(tmp_path / "a.linnet"), *options]) == 0
    int8 = format.read(tmp_path / "c.linnet")
    assert int8.tensor("O1").dtype == "float32" and int8.tensor("gru.recurrent").dtype == "int8"
    assert int8.tensor("gru.recurrent").packed.input_range == 1


@pytest.mark.parametrize("dtype", ["int8", "bf16", "fp16", "fp32"])
def test_a_filter_computed_from_features_survives_every_type(dtype: str, tmp_path: Path) -> None:
    tiny, other = VOICES / "tiny.linnet", tmp_path / "other.linnet"
    restore(tiny, other, dtype)
    stored = format.read(other)
    assert stored.tensor("convolutions.1").dtype == type_name(dtype)
    assert stored.tensor("autocorrelation").dtype == "float32"
    features = []
    for path in (tiny, other):
        rematch(path, tmp_path / "alone.linnet", 0)  # matching would hide the filter's errors
        voice = linnet.load(tmp_path / "alone.linnet")
        mel = voice.features(*read_wav(VOICES / "human.wav"))
        features.append(voice.features(voice.synthesize(mel), 16000))
    decibel = 0.01  # of the default features
    # With the autocorrelation in fp16 it is 11 dB, in int8 37.
    assert np.abs(features[0] - features[1]).mean() < decibel


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dtype", "fp16", "--calibrate", "speech.wav"], "only int8 voices are calibrated"),
        (["--dtype", "int8", "--keep", "x=fp16"], "keep names no layer 'x'"),
        (["--dtype", "int8", "--block", "4x4"], "--block does not go with another type"),
        (["--dtype", "int8", "--calibrate", "slow.wav"], "8000 Hz; the voice has 16000"),
    ],
)
def test_what_cannot_be_is_refused(
    options: list[str],
    message: str,
    recording: tuple[Path, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.linnet").write_bytes(tiny_voice())
    write_wav("slow.wav", np.zeros(800, np.int16), 8000)
    np.save("mel.npy", recording[1])
    if "--calibrate" in options:
        options = [*options, "--mel", "mel.npy"]
    assert main(["export", "a.linnet", "-o", "b.linnet", *options]) != 0
    assert message in capsys.readouterr().err
    assert not Path("b.linnet").exists()
