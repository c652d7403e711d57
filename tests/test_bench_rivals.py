"""`linnet bench rivals`: the networks are those of the papers, chunks give the same samples."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import linnet_bench
from linnet.cli import main
from linnet.errors import install
from voices import tiny_voice

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from linnet_bench import vocoder_times, vocoders  # noqa: E402
from linnet_bench.vocoders import Vocoder  # noqa: E402


def narrow(vocoder: Vocoder) -> Vocoder:
    """The same with few channels."""
    build = {
        "HiFi-GAN V1": lambda: vocoders.hifi_gan(replace(vocoders.HIFI_GAN_V1, channels=16)),
        "HiFi-GAN V3": lambda: vocoders.hifi_gan(replace(vocoders.HIFI_GAN_V3, channels=8)),
        "multi-band MelGAN": lambda: vocoders.multi_band_melgan(16),
        "Vocos": lambda: vocoders.vocos(8, 8),
    }
    return replace(vocoder, build=build[vocoder.name])


every_network = pytest.mark.parametrize("vocoder", vocoders.VOCODERS, ids=lambda v: v.name)


@every_network
def test_a_network_has_as_many_parameters_as_its_paper_says(vocoder: Vocoder) -> None:
    # Yang et al. count 1.91 M of multi-band MelGAN; the layers that they list have fewer.
    millions = {
        "HiFi-GAN V1": 13.92,
        "HiFi-GAN V3": 1.46,
        "multi-band MelGAN": 1.71,
        "Vocos": 13.5,
    }
    with torch.device("meta"):
        counted = sum(p.numel() for p in vocoder.build().parameters())
    assert counted / 1e6 == pytest.approx(millions[vocoder.name], abs=0.04)


@every_network
def test_chunks_with_their_context_are_the_whole(vocoder: Vocoder) -> None:
    vocoder = narrow(vocoder)
    model, _ = vocoder_times.to_onnx(vocoder)
    run = vocoder_times.runner(vocoder, model)
    hop, margin = vocoder.hop_length, vocoder.margin
    mel = vocoder_times.random_features(vocoder, 2 * margin + 8)
    whole = run(mel)
    assert whole.shape == ((2 * margin + 8) * hop,) and np.ptp(whole) > 0
    chunk = run(mel[:, 2 : 2 * margin + 5])[margin * hop : (margin + 3) * hop]
    middle = whole[(margin + 2) * hop : (margin + 5) * hop]
    np.testing.assert_allclose(chunk, middle, rtol=0, atol=1e-3 * float(np.ptp(whole)))


@every_network
def test_the_context_is_all_that_samples_depend_on(vocoder: Vocoder) -> None:
    vocoder = narrow(vocoder)
    frames, middle = 2 * vocoder.margin + 11, vocoder.margin + 5
    mel = torch.randn(1, vocoder.n_mels, frames, requires_grad=True)
    out = vocoder.build()(mel)
    steps = out.shape[-1] // frames
    out[..., middle * steps : (middle + 1) * steps].abs().sum().backward()
    reached = mel.grad[0].abs().sum(0).nonzero().ravel()
    # The inverse transform adds windows of four hops up.
    margin = vocoder.margin - (2 if vocoder.name == "Vocos" else 0)
    assert (reached[0], reached[-1]) == (middle - margin, middle + margin)


def test_bench_rivals_writes_what_it_measures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("voice.linnet").write_bytes(tiny_voice())
    monkeypatch.setattr(vocoder_times, "ROUNDS", 3)
    monkeypatch.setattr(vocoder_times, "SECONDS", 0.2)
    monkeypatch.setattr(vocoder_times, "VOCODERS", [narrow(v) for v in vocoders.VOCODERS])
    pytest.importorskip("matplotlib")
    assert main("bench rivals voice.linnet -o rivals --time-limit 0.001".split()) == 0
    results = json.loads(Path("rivals.json").read_text())["results"]
    assert results["rounds"] == 1  # the limit leaves one
    found: list[dict[str, Any]] = results["vocoders"]
    names = [one["name"] for one in found]
    assert names == ["linnet voice.linnet", *(v.name for v in vocoders.VOCODERS)]
    for one in found:
        assert one["whole"] > 0 and one["chunks"] > 0 and one["file_bytes"] > 1000
        assert (one["bare_chunks"] is None) == one["name"].startswith("linnet")
    assert found[0]["file_bytes"] == len(tiny_voice())
    text = capsys.readouterr().out
    assert all(name in text for name in names) and "wrote rivals.json, rivals.png" in text


def test_what_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "voice.linnet").write_bytes(tiny_voice())
    for name in ("report_rivals", "vocoder_times"):
        monkeypatch.delitem(sys.modules, f"linnet_bench.{name}", raising=False)
        monkeypatch.delattr(linnet_bench, name, raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["bench", "rivals", str(tmp_path / "voice.linnet")]) != 0
    assert install("train") in capsys.readouterr().err
