"""Training: exact sparsity, masks that last, resuming, and one network in three forms."""

from __future__ import annotations

import dataclasses
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch (extra: train)")
pytest.importorskip("tqdm", reason="training needs tqdm (extra: train)")
pytest.importorskip("librosa", reason="preparing data needs librosa (extra: audio)")

from linnet.features import complete, log_mel  # noqa: E402
from linnet.signal import decode, encode  # noqa: E402
from linnet_training import config as configuration  # noqa: E402
from linnet_training.data.corpus import Corpus, Utterance  # noqa: E402
from linnet_training.data.preparation import prepare  # noqa: E402
from linnet_training.loops.held_out import held_out_nats, stored  # noqa: E402
from linnet_training.loops.wavernn import WaveRNNTrainer  # noqa: E402
from linnet_training.measures.audio import log_spectrum_correlation  # noqa: E402
from linnet_training.measures.evaluate import griffin_lim, open_voice  # noqa: E402
from linnet_training.networks.wavernn import SILENCE, StepLoop, WaveRNN, from_checkpoint  # noqa: E402

RULES = [
    {"name": "gru.weight_hh_l0", "block": "4x4", "sparsity": 0.75},
    {"name": "O1.weight", "block": "16x1", "sparsity": 0.5},
]


def small() -> WaveRNN:
    torch.manual_seed(0)
    return WaveRNN(hidden_size=32, n_mels=8, hop_length=20, channels=16, head_size=16)


def segment(frames: int = 3, batch: int = 2) -> tuple[Any, Any, Any, Any]:
    g = torch.Generator().manual_seed(1)
    return (
        torch.randint(0, 65536, (batch, frames * 20), generator=g),
        torch.full((batch,), SILENCE),
        torch.rand(batch, 8, frames + 6, generator=g),
        torch.rand(1, batch, 32, generator=g) - 0.5,
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Six short recordings of noise, prepared from wav files."""
    folder = tmp_path_factory.mktemp("corpus")
    generator = np.random.default_rng(0)
    for i in range(6):
        pcm = (generator.standard_normal(6000 + 500 * i) * 3000).astype(np.int16)
        with wave.open(str(folder / f"{i}.wav"), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes(pcm.tobytes())
    index = prepare(folder, folder / "prepared", {}, held_out=0.3)
    assert index["train"] and index["held_out"]
    return Corpus(folder / "prepared", configuration.Signal().__dict__, reach=3)


def config(steps: int) -> configuration.Config:
    return configuration.from_dict(
        {
            "name": "test",
            "data": {"wavs": "", "prepared": ""},
            "model": {"hidden_size": 32, "channels": 16, "head_size": 16},
            "pruning": {"start": 0.2, "end": 0.8, "interval": 1, "rules": RULES},
            "training": {"steps": steps, "batch": 2, "threads": 1, "evaluate_seconds": 1e9},
        }
    )


def test_hand_written_gru_equals_torchs_with_gradients() -> None:
    model, (tokens, previous, features, h) = small(), segment()
    coarse, fine, last = model(tokens, previous, features, h)
    loss = torch.nn.functional.cross_entropy
    expected = loss(coarse.flatten(0, 1), (tokens >> 8).flatten())
    expected = expected + loss(fine.flatten(0, 1), (tokens & 255).flatten())
    expected.backward()
    wanted = {n: p.grad.clone() for n, p in model.named_parameters()}
    model.zero_grad()
    c, f, scanned = model.nats(tokens, previous, features, h)
    (c.mean() + f.mean()).backward()
    torch.testing.assert_close(scanned, last)
    torch.testing.assert_close(c.mean() + f.mean(), expected)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name], rtol=1e-3, atol=1e-6)


def test_fused_gru_of_a_gpu_sees_what_the_scan_sees() -> None:
    """Both on the CPU here: the same noise, states and carried state."""
    model, (tokens, previous, features, h) = small(), segment()
    noise = torch.randint(-900, 900, tokens.shape, generator=torch.Generator().manual_seed(2))
    shifted = (torch.cat([previous[:, None], tokens[:, :-1]], 1) + noise).clamp(0, 65535)
    with torch.no_grad():
        states, last = model.states(tokens, previous, features, h, noise)
        fused, fused_last = model.fused(tokens, shifted, features, h)
    torch.testing.assert_close(fused.transpose(0, 1), states)
    torch.testing.assert_close(fused_last, last)


def test_sample_by_sample_loop_equals_the_gru_pass() -> None:
    model, (tokens, previous, features, _) = small(), segment(batch=1)
    with torch.no_grad():
        coarse, fine, last = model(tokens, previous, features, torch.zeros(1, 1, 32))
        frames, cell, before = model.condition(features)[0], StepLoop(model), SILENCE
        for t, token in enumerate(tokens[0].tolist()):
            torch.testing.assert_close(cell.coarse(before, frames[t // 20]), coarse[0, t])
            torch.testing.assert_close(cell.fine(token >> 8), fine[0, t])
            before = token
    torch.testing.assert_close(cell.h, last[0, 0])


def test_coarse_logits_never_see_the_current_coarse_byte() -> None:
    model, (tokens, previous, features, h) = small(), segment(frames=1)
    changed = tokens.clone()
    changed[:, -1] ^= 0xFF00
    with torch.no_grad():
        a, b = (model(x, previous, features, h) for x in (tokens, changed))
    assert torch.equal(a[0], b[0]) and not torch.equal(a[1], b[1])


def test_resumed_training_equals_uninterrupted(corpus: Corpus, tmp_path: Path) -> None:
    whole = WaveRNNTrainer(config(12), corpus, tmp_path / "whole")
    whole.run(quiet=True)
    halved = WaveRNNTrainer(config(12), corpus, tmp_path / "halved")
    (tmp_path / "halved").mkdir()
    for _ in range(5):
        halved.update()
    halved.write()
    resumed = WaveRNNTrainer(config(12), corpus, tmp_path / "halved")
    assert resumed.step == 5 and 0 < resumed.pruner.sparsity() < 0.6
    assert all(torch.equal(resumed.pruner.masks[n], m) for n, m in halved.pruner.masks.items())
    resumed.run(quiet=True)
    a, b = (
        torch.load(tmp_path / x / "checkpoint.pt", weights_only=True) for x in ("whole", "halved")
    )
    for part in ("model", "average"):
        assert all(torch.equal(a[part][n], b[part][n]) for n in a[part])
    assert a["segments"] == b["segments"] and a["notes"].keys() == b["notes"].keys()


def test_the_bars_of_a_run_end_full(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for settings in (
        config(4).training,
        dataclasses.replace(config(4).training, steps=0, hours=6e-4),
    ):
        folder = tmp_path / str(settings.steps)
        trainer = WaveRNNTrainer(dataclasses.replace(config(4), training=settings), corpus, folder)
        trainer.run()
        bars = capsys.readouterr().err.replace("\r", "\n").splitlines()
        last = {
            name: [bar for bar in bars if bar.startswith(f"{name}: ")][-1].split("|")[0]
            for name in (trainer.config.name, "final evaluation")
        }
        assert all(bar.endswith("100%") for bar in last.values()), last


def test_model_file_is_sparse_masked_and_complete(corpus: Corpus, tmp_path: Path) -> None:
    trainer = WaveRNNTrainer(config(10), corpus, tmp_path)
    trainer.run(quiet=True)
    for weights in (
        trainer.model.state_dict(),
        from_checkpoint(str(tmp_path / "model.pt"))[0].state_dict(),
    ):
        for gate in range(3):
            assert not weights["gru.weight_ih_l0"][gate * 32 : gate * 32 + 16, 2].any()
            assert weights["gru.weight_ih_l0"][gate * 32 + 16 : gate * 32 + 32, 2].all()
        assert float((weights["gru.weight_hh_l0"] == 0).float().mean()) == 0.75
        assert float((weights["O1.weight"] == 0).float().mean()) == 0.5
    saved = torch.load(tmp_path / "model.pt", weights_only=True)["config"]
    assert saved["architecture"] == "wavernn-dual-softmax" and saved["hidden_size"] == 32
    assert saved["training"]["steps"] == 10
    assert len(saved["training"]["held_out_nats_before_pruning"]) == 2
    assert (tmp_path / "log.csv").read_text().startswith("step,samples")


def test_a_run_begins_with_the_weights_of_another(corpus: Corpus, tmp_path: Path) -> None:
    before = WaveRNNTrainer(config(4), corpus, tmp_path / "a")
    before.run(quiet=True)
    folder = tmp_path / "a"
    begun = dataclasses.replace(config(4).training, start=str(folder / "model.pt"))
    after = WaveRNNTrainer(dataclasses.replace(config(4), training=begun), corpus, tmp_path / "b")
    for name, tensor in before.average.state_dict().items():
        assert torch.equal(after.model.state_dict()[name], tensor), name
    wrong = dataclasses.replace(begun, start=str(folder / "checkpoint.pt"))
    with pytest.raises(ValueError, match="neither a run's model.pt nor"):
        WaveRNNTrainer(dataclasses.replace(config(4), training=wrong), corpus, tmp_path / "c")


def test_a_run_does_not_go_on_as_another(corpus: Corpus, tmp_path: Path) -> None:
    trainer = WaveRNNTrainer(config(2), corpus, tmp_path)
    trainer.run(quiet=True)
    assert (tmp_path / "curves.png").stat().st_size > 0
    longer = WaveRNNTrainer(config(4), corpus, tmp_path)
    assert longer.step == 2 and longer.progress == 0.5
    other = dataclasses.replace(config(4), model=configuration.Network(hidden_size=64))
    with pytest.raises(ValueError, match="hidden_size 32 -> 64"):
        WaveRNNTrainer(other, corpus, tmp_path)


def test_evaluation_scores_the_weights_that_the_runtime_computes_with(
    corpus: Corpus, tmp_path: Path
) -> None:
    """A run's folder is exported on the spot; its score is that of the weights in float16."""
    trainer = WaveRNNTrainer(config(10), corpus, tmp_path)
    trainer.run(quiet=True)
    voice, u = open_voice(tmp_path), corpus.held_out[0]
    signal, mel = voice.info()["signal"], u.features[:, 3:-3]
    pcm = decode(u.tokens, signal)
    heard = Utterance(u.features, encode(pcm, signal).astype(np.int32))
    expected = sum(held_out_nats(stored(trainer.average), [heard], mel.shape[1]))
    assert float(np.mean(voice.score(mel, pcm))) == pytest.approx(expected, rel=1e-5)
    rounded, exact = stored(trainer.average).state_dict(), trainer.average.state_dict()
    assert torch.equal(rounded["O1.weight"], exact["O1.weight"].half().float())
    assert not torch.equal(rounded["O1.weight"], exact["O1.weight"])
    assert torch.equal(rounded["O1.bias"], exact["O1.bias"])


def test_unknown_config_keys_are_named() -> None:
    with pytest.raises(ValueError, match="hiden_size"):
        configuration.from_dict(
            {"name": "x", "data": {"wavs": "", "prepared": ""}, "model": {"hiden_size": 3}}
        )


def test_held_out_score_does_not_depend_on_padding_or_chunks(corpus: Corpus) -> None:
    """Utterances of different lengths in one batch score as each does alone, in one pass."""
    torch.manual_seed(0)
    model, sums, count = WaveRNN(hidden_size=32), 0.0, 0
    for u in corpus.train[:3]:
        tokens = torch.from_numpy(u.tokens.astype(np.int64))[None]
        silence, h = torch.tensor([SILENCE]), torch.zeros(1, 1, 32)
        with torch.no_grad():
            c, f, _ = model.nats(tokens, silence, torch.from_numpy(u.features)[None], h)
        sums, count = sums + float(c.sum() + f.sum()), count + len(u.tokens)
    assert sum(held_out_nats(model, corpus.train[:3], 10**6)) == pytest.approx(sums / count)


def test_griffin_lim_inverts_the_features_it_is_given() -> None:
    t = np.arange(8000) / 16000
    tone = (8000 * np.sin(2 * np.pi * 440 * t)).astype(np.int16)
    other = griffin_lim(log_mel(tone, 16000, {}), complete({}), iterations=20)
    assert len(other) == 8000
    # Bins of 4 Hz; a mel band is 37 Hz wide there.
    assert abs(int(np.abs(np.fft.rfft(other[2000:6000])).argmax()) - 110) < 9
    assert log_spectrum_correlation(tone, tone, 16000) == pytest.approx(1.0)
    noise = np.random.default_rng(0).integers(-8000, 8000, 8000).astype(np.int16)
    worse = log_spectrum_correlation(tone, noise, 16000)
    assert log_spectrum_correlation(tone, other, 16000) > worse + 0.2
