"""Training excitation voices: a fast GRU that is one, resuming, and scores that the runtime has."""

from __future__ import annotations

import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch (extra: train)")
pytest.importorskip("tqdm", reason="training needs tqdm (extra: train)")
pytest.importorskip("librosa", reason="preparing data needs librosa (extra: audio)")
pytest.importorskip("numba", reason="analysing excitations needs Numba")

import linnet  # noqa: E402
from linnet.format.reading import read  # noqa: E402
from linnet_export import export  # noqa: E402
from linnet_export.exporting import build_voice  # noqa: E402
from linnet_export.readers.checkpoint import Checkpoint  # noqa: E402
from linnet_export.writing.storage import Storage  # noqa: E402
from linnet_export.writing.writer import to_bytes  # noqa: E402
from linnet_training import config as configuration  # noqa: E402
from linnet_training.data.lpc import LpcCorpus  # noqa: E402
from linnet_training.data.preparation import prepare  # noqa: E402
from linnet_training.loops.lpc import LpcTrainer  # noqa: E402
from linnet_training.loops.trainer import save  # noqa: E402
from linnet_training.networks import block_scan, excitation  # noqa: E402
from linnet_training.networks.lpc import LpcWaveRNN  # noqa: E402

U = 2.0**-24
needs_scan = pytest.mark.skipif(not block_scan.AVAILABLE, reason="training was not compiled")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> LpcCorpus:
    """Four short recordings of coloured noise."""
    folder = tmp_path_factory.mktemp("corpus")
    random = np.random.default_rng(0)
    for i in range(4):
        noise = np.convolve(random.normal(0, 2000, 16000 + 400 * i), [1, 0.7, 0.4], "same")
        with wave.open(str(folder / f"{i}.wav"), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes(noise.astype(np.int16).tobytes())
    prepare(folder, folder / "prepared", {}, held_out=0.3)
    return LpcCorpus(folder / "prepared", 0.85, reach=3)


def config(steps: int) -> configuration.Config:
    rules = [{"name": "gru.weight_hh_l0", "block": "4x4", "sparsity": 0.5}]
    model = {"architecture": "lpc-wavernn", "hidden_size": 16, "channels": 8, "head_size": 8}
    return configuration.from_dict(
        {
            "name": "test",
            "data": {"wavs": "", "prepared": ""},
            "model": {**model, "order": 6, "envelope_steps": 20},
            "pruning": {"start": 0.2, "end": 0.8, "interval": 1, "rules": rules},
            "training": {"steps": steps, "frames": 1, "input_noise": 0.5, "evaluate_seconds": 0},
        }
    )


@needs_scan
def test_block_scan_is_torchs_gru_with_its_gradients() -> None:
    torch.manual_seed(0)
    model = LpcWaveRNN(hidden_size=16, n_mels=8, hop_length=20, channels=8, head_size=8, order=4)
    mask = (torch.rand(12, 4) < 0.5).repeat_interleave(4, 0).repeat_interleave(4, 1)
    with torch.no_grad():
        model.gru.weight_hh_l0.mul_(mask)
    tokens = torch.randint(0, 256, (32, 60))
    told = torch.randn(32, 60, 3), torch.rand(32, 8, 9), torch.rand(32, 16) - 0.5
    gradients = []
    for blocks in (None, block_scan.Blocks(mask)):
        model.zero_grad()
        nats, last = model.nats(tokens, *told, blocks)
        nats.mean().backward()
        found = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        found["gru.weight_hh_l0"] *= mask
        gradients.append({"nats": nats.detach(), "last": last, **found})
    # 60 steps, each of sums over some 30 products, and functions within a few units of the last
    # place; the state is bounded by 1 and forgets.
    for name, wanted in gradients[0].items():
        error = (gradients[1][name] - wanted).abs().max()
        assert error <= 60 * 32 * U * max(1.0, float(wanted.abs().max())), name


def test_a_resumed_training_ends_with_the_same_weights_pruned(
    corpus: LpcCorpus, tmp_path: Path
) -> None:
    whole = LpcTrainer(config(6), corpus, tmp_path / "whole")
    whole.run(quiet=True)
    assert float(whole.pruner.masks["gru.weight_hh_l0"].float().mean()) == 0.5
    halved = LpcTrainer(config(6), corpus, tmp_path / "halved")
    for _ in range(3):
        halved.update()
    halved.write()
    resumed = LpcTrainer(config(6), corpus, tmp_path / "halved")
    assert resumed.step == 3
    resumed.run(quiet=True)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], tensor), name


def test_a_training_for_int8_makes_an_int8_voice(corpus: LpcCorpus, tmp_path: Path) -> None:
    trained = with_changes(
        config(3),
        model={"hidden_size": 32, "head_size": 16, "channels": 16},
        training={"quantise": "int8"},
    )
    trainer = LpcTrainer(trained, corpus, tmp_path)
    trainer.run(quiet=True)
    (tokens,) = trainer.evaluate(None, 1000)
    assert np.isfinite(tokens)
    report = export(tmp_path / "model.pt", tmp_path / "a.linnet")
    types = {layer.name: layer.dtype for layer in report.layers}
    assert {types[name] for name in ("gru.recurrent", "gru.conditioning", "O1", "O2")} == {"int8"}
    assert types["envelope.layers.0"] == "float16"
    with pytest.raises(ValueError, match="quantise is 'int4'"):
        LpcTrainer(with_changes(trained, training={"quantise": "int4"}), corpus, tmp_path / "b")


@needs_scan
@pytest.mark.parametrize("block", ["8x4", "16x1"])
def test_blocks_made_of_4x4_are_computed_as_such(
    corpus: LpcCorpus, tmp_path: Path, block: str
) -> None:
    rules = (configuration.Rule("gru.weight_hh_l0", block, 0.5),)
    trainer = LpcTrainer(with_changes(config(3), pruning={"rules": rules}), corpus, tmp_path)
    trainer.run(quiet=True)
    blocks, kept = trainer.find_blocks(16), trainer.pruner.masks["gru.weight_hh_l0"]
    assert float(kept.mean()) == 0.5
    if block == "16x1":
        assert blocks is None
    else:
        assert blocks is not None and 16 * len(blocks.rows) == int(kept.sum())


@pytest.mark.parametrize("from_voice", [False, True])
def test_a_training_begins_with_the_weights_of_another(
    corpus: LpcCorpus, tmp_path: Path, from_voice: bool
) -> None:
    """Of a voice as it stores them; pruned blocks stay pruned."""
    before = LpcTrainer(with_changes(config(4), model={"temperature": 0.5}), corpus, tmp_path / "a")
    before.run(quiet=True)
    start, voice = tmp_path / "a" / "model.pt", tmp_path / "voice.linnet"
    export(start, voice)
    if from_voice:
        start = voice
    wanted = with_changes(
        config(4), model={"temperature": 0.5}, training={"start": str(start), "warmup_steps": 0}
    )
    after = LpcTrainer(wanted, corpus, tmp_path / "b")
    # A voice's biases and what float16 rounded come back the same; a power of two divides exactly.
    save(after.exported(), tmp_path / "again.pt")
    export(tmp_path / "again.pt", tmp_path / "again.linnet")
    files = [read(path) for path in (voice, tmp_path / "again.linnet")]
    for old, new in zip(*(file.tensors for file in files), strict=True):
        np.testing.assert_array_equal(old.dense, new.dense, err_msg=old.name)
    mask = before.pruner.masks["gru.weight_hh_l0"]
    assert torch.equal(after.pruner.masks["gru.weight_hh_l0"], mask)
    after.run(quiet=True)
    assert not after.model.gru.weight_hh_l0[mask == 0].any()
    other = with_changes(wanted, model={"hidden_size": 32})
    with pytest.raises(ValueError, match="does not fit the config's network"):
        LpcTrainer(other, corpus, tmp_path / "c")


def with_changes(config: configuration.Config, **sections: dict[str, Any]) -> configuration.Config:
    new = {name: replace(getattr(config, name), **keys) for name, keys in sections.items()}
    return replace(config, **new)


def test_the_runtime_scores_what_was_trained(corpus: LpcCorpus, tmp_path: Path) -> None:
    trainer = LpcTrainer(config(3), corpus, tmp_path)
    trainer.run(quiet=True)
    saved = trainer.exported()
    tensors = {n: t.numpy() for n, t in saved["state_dict"].items()}
    voice = linnet.load(
        to_bytes(build_voice(Checkpoint(tensors), saved["config"], "t", Storage("float16")))
    )
    recording = corpus.held_out[0]
    frames = len(recording.gains)
    pcm = np.empty(frames * corpus.hop, np.float64)
    last = 0.0
    for n, s in enumerate(recording.signal[: len(pcm)]):  # the recording, rounded to 16 bits
        pcm[n] = last = s + 0.85 * last
    rounded = np.rint(pcm * 32768).astype(np.int16)
    # Rounding moves an excitation across a token's border now and then: of 16,000 samples a few,
    # which count a few nats.
    score = voice.score(recording.features[:, 3:-3], rounded)
    assert score == pytest.approx(trainer.held_out(1, frames)[0], abs=1e-3)


def test_tokens_lead_back_to_the_signal_whatever_was_misheard() -> None:
    random = np.random.default_rng(0)
    signal = random.normal(0, 0.1, (2, 400)).astype(np.float32)
    a = np.array([[[-0.5, 0.2]] * 2] * 2, np.float32)
    gains = np.full((2, 2), 0.1, np.float32)
    noise = random.integers(-3, 4, (2, 400))
    past, last = np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32)
    tokens, inputs = excitation.analyse(signal, a, gains, noise, past, last)
    heard = np.clip(tokens + noise, 0, 255)
    assert np.array_equal(inputs[:, 1:, 0], ((heard - 128) / 128).astype(np.float32)[:, :-1])
    # Seven half steps of 5 % of |u| <= 6 gains, and of the steps around zero.
    assert np.abs(past[:, 0] - signal[:, -1]).max() <= 0.1 * 3.5 * (6 + 32 / 511) * 0.05
