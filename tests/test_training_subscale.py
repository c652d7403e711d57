"""Training subscale voices: what a sample sees, every sub-tensor at once, and resuming."""

from __future__ import annotations

import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="training needs torch (extra: train)")
pytest.importorskip("tqdm", reason="training needs tqdm (extra: train)")
pytest.importorskip("librosa", reason="preparing data needs librosa (extra: audio)")

import linnet  # noqa: E402
from linnet.signal import decode, encode  # noqa: E402
from linnet_export import export  # noqa: E402
from linnet_training import config as configuration  # noqa: E402
from linnet_training.data.corpus import Utterance  # noqa: E402
from linnet_training.data.preparation import prepare  # noqa: E402
from linnet_training.loops.starting import start  # noqa: E402
from linnet_training.measures.evaluate import open_voice  # noqa: E402
from linnet_training.networks import block_scan  # noqa: E402
from linnet_training.networks.subscale import (  # noqa: E402
    OUTSIDE,
    SubscaleWaveRNN,
    folded,
)
from linnet_training.networks.wavernn import SILENCE, StepLoop  # noqa: E402

HOP = 24
U = 2.0**-24


def network(sub_tensors: int = 4, future: int = 2, past: int = 1) -> SubscaleWaveRNN:
    torch.manual_seed(0)
    looking = {"sub_tensors": sub_tensors, "future": future, "past": past, "look_units": 12}
    return SubscaleWaveRNN(16, n_mels=8, hop_length=HOP, channels=8, head_size=8, **looking)


def around(model: SubscaleWaveRNN, tokens: Any, first: int, places: int) -> Any:
    """The context of `places` places from `first` on, of whole utterances (U, samples)."""
    known = folded(tokens, model.sub_tensors)
    context = torch.full((*known.shape[:2], model.before + places + model.future), OUTSIDE)
    for k in range(context.shape[2]):
        place = first - model.before + k
        if 0 <= place < known.shape[2]:
            context[:, :, k] = known[:, :, place]
    return context


def utterances(n: int = 1, frames: int = 3) -> tuple[Any, Any]:
    """Tokens (n, frames HOP) and features."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, 65536, (n, frames * HOP), generator=generator)
    return tokens, torch.rand(n, 8, frames + 6, generator=generator)


def nats(model: SubscaleWaveRNN, tokens: Any, features: Any) -> Any:
    """Of whole utterances, coarse and fine (2, U, B, places)."""
    places, sequences = tokens.shape[1] // model.sub_tensors, len(tokens) * model.sub_tensors
    h = torch.zeros(1, sequences, 16)
    with torch.no_grad():
        return torch.stack(model.subscale_nats(around(model, tokens, 0, places), features, h)[:2])


def seen(values: NDArray[Any], place: int, which: int, model: SubscaleWaveRNN) -> list[float]:
    """What sub-tensor `which` sees at a place of a signal: the operation's definition."""
    n_sub, found = model.sub_tensors, []
    for d in range(1, n_sub):
        for k in range(model.past + model.future + 1):
            at = place - model.past + k
            inside = which - d >= 0 and 0 <= at and (at + 1) * n_sub <= len(values)
            found.append(values[at * n_sub + which - d] if inside else 0.0)
    return found + [float(which == s) for s in range(n_sub)]


@given(
    sub_tensors=st.sampled_from([2, 3, 4, 8]),
    future=st.integers(0, 5),
    past=st.integers(0, 4),
    first=st.integers(0, 5),
)
@settings(max_examples=20, deadline=None)
def test_the_window_is_the_operations(sub_tensors: int, future: int, past: int, first: int) -> None:
    model, (tokens, _) = network(sub_tensors, future, past), utterances(2)
    context = around(model, tokens, first, places=3)
    windows: list[Any] = []
    model.look.register_forward_pre_hook(lambda _, inputs: windows.append(inputs[0]))
    features, h = torch.rand(2, 8, 3 + 6), torch.zeros(1, 2 * sub_tensors, 16)
    with torch.no_grad():
        model.subscale_nats(context, features, h)
    for u, signal in enumerate(tokens.numpy() * np.float32(2 / 65535) - 1):
        for s in range(sub_tensors):
            for place in range(3):
                expected = seen(signal, first + place, s, model)
                np.testing.assert_allclose(windows[0][u, s, place], expected, atol=2 * U)


def test_a_sample_is_told_of_those_that_are_made_before_it_only() -> None:
    """Whatever stands elsewhere changes no bit of its nats; its own value, all around it do."""
    model, (tokens, features) = network(), utterances()
    before, n_sub = nats(model, tokens, features), model.sub_tensors
    for at in (5, 18, 30, 47):
        changed = tokens.clone()
        changed[0, at] ^= 0x5500
        differs = (nats(model, changed, features) != before).any(0)[0]  # (B, places)
        place, which = divmod(at, n_sub)
        for s in range(n_sub):
            reached = place - model.future if s > which else place + (s < which)
            assert not differs[s, : max(reached, 0)].any()
            assert s < which or differs[s, max(reached, 0)]
        assert not differs[:which].any()


def test_segments_are_as_the_whole() -> None:
    model, (tokens, features) = network(), utterances(2, frames=4)
    whole, places = nats(model, tokens, features), HOP // model.sub_tensors
    h, found = torch.zeros(1, 8, 16), []
    for frame in range(4):
        context = around(model, tokens, frame * places, places)
        with torch.no_grad():
            c, f, h = model.subscale_nats(context, features[:, :, frame : frame + 7], h)
        found.append(torch.stack([c, f]))
    torch.testing.assert_close(torch.cat(found, 3), whole)


def test_it_is_the_plain_network_of_each_sub_tensor_that_looks() -> None:
    """Sample by sample: what the layer sees enters like further conditions."""
    model, (tokens, features) = network(), utterances()
    signal = tokens[0].numpy() * np.float32(2 / 65535) - 1
    found = nats(model, tokens, features)[:, 0]
    with torch.no_grad():
        frames = model.condition(features)[0]
        for s in range(model.sub_tensors):
            cell, previous = StepLoop(model), SILENCE
            for place, token in enumerate(tokens[0, s :: model.sub_tensors].tolist()):
                window = torch.tensor(seen(signal, place, s, model)).float()
                looked = torch.relu(model.look(window))
                given = frames[place // (HOP // model.sub_tensors)]
                cell.b_ih = model.gru.bias_ih_l0 + model.look_gates(looked)
                coarse = cell.coarse(previous, given).log_softmax(-1)[token >> 8]
                fine = cell.fine(token >> 8).log_softmax(-1)[token & 255]
                torch.testing.assert_close(-torch.stack([coarse, fine]), found[:, s, place])
                previous = token


@pytest.mark.skipif(not block_scan.AVAILABLE, reason="training was not compiled")
def test_sixteen_sequences_at_a_time_have_the_same_gradients() -> None:
    model, (tokens, features) = network(), utterances(8)
    context, h = around(model, tokens, 0, 18), torch.rand(1, 32, 16) - 0.5
    gradients = []
    for blocks in (None, block_scan.Blocks(torch.ones_like(model.gru.weight_hh_l0))):
        model.zero_grad()
        c, f, last = model.subscale_nats(context, features, h, blocks=blocks)
        (c.mean() + f.mean()).backward()
        grads = {n: p.grad.clone() for n, p in model.named_parameters()}
        gradients.append({"nats": (c + f).detach(), "last": last, **grads})
    # 18 places, each of sums over some 40 products, and functions within a few units.
    for name, wanted in gradients[0].items():
        error = (gradients[1][name] - wanted).abs().max()
        assert error <= 18 * 40 * U * max(1.0, float(wanted.abs().max())), name


def test_fused_gru_of_a_gpu_sees_what_the_scan_sees() -> None:
    """On the CPU here."""
    model = network()
    inputs, conditioning, looked = torch.rand(18, 4, 3), torch.rand(3, 4, 8), torch.rand(18, 4, 12)
    h = torch.rand(1, 4, 16) - 0.5
    with torch.no_grad():
        fused, last = model.fused_looking(inputs, conditioning, looked, h)
        gru = model.gru
        frames = conditioning @ gru.weight_ih_l0[:, 3:].t() + gru.bias_ih_l0
        given = frames.repeat_interleave(6, 0) + model.look_gates(looked)
        states = model.scan(given, inputs, h[0], None)
    torch.testing.assert_close(fused, states)
    torch.testing.assert_close(last, states[-1:])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four short recordings of noise, prepared."""
    folder = tmp_path_factory.mktemp("corpus")
    generator = np.random.default_rng(0)
    for i in range(4):
        pcm = (generator.standard_normal(4000 + 500 * i) * 3000).astype(np.int16)
        with wave.open(str(folder / f"{i}.wav"), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes(pcm.tobytes())
    prepare(folder, folder / "prepared", {"hop_length": HOP}, held_out=0.3)
    return folder / "prepared"


def config(prepared: Path, steps: int) -> configuration.Config:
    rules = [
        {"name": "gru.weight_hh_l0", "block": "4x4", "sparsity": 0.75},
        {"name": "look.weight", "block": "4x4", "sparsity": 0.5},
    ]
    model = {"architecture": "wavernn-subscale", "hidden_size": 16, "channels": 8, "head_size": 8}
    return configuration.from_dict(
        {
            "name": "test",
            "data": {"wavs": "", "prepared": str(prepared)},
            "features": {"hop_length": HOP},
            "model": {**model, "sub_tensors": 4, "future": 3, "past": 0, "look_units": 8},
            "pruning": {"start": 0.2, "end": 0.8, "interval": 1, "rules": rules},
            "training": {
                "steps": steps,
                "batch": 4,
                "input_noise": 20.0,
                "forget": 0.2,
                "evaluate_seconds": 0,
            },
        }
    )


def test_a_resumed_training_ends_with_the_same_weights_pruned(corpus: Path, tmp_path: Path) -> None:
    whole = start(config(corpus, 6), tmp_path / "whole")
    whole.run(quiet=True)
    assert float(whole.pruner.masks["look.weight"].mean()) == 0.5
    halved = start(config(corpus, 6), tmp_path / "halved")
    halved.folder.mkdir()
    for _ in range(3):
        halved.update()
    halved.write()
    resumed = start(config(corpus, 6), tmp_path / "halved")
    assert resumed.step == 3
    resumed.run(quiet=True)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], tensor), name
    saved = torch.load(tmp_path / "whole" / "model.pt", weights_only=True)["config"]
    assert saved["network"] == {"sub_tensors": 4, "future": 3, "past": 0}


def test_the_held_out_score_is_of_each_utterance_by_itself(corpus: Path, tmp_path: Path) -> None:
    trainer = start(config(corpus, 1), tmp_path)
    trainer.corpus.held_out = trainer.corpus.train
    model, total, count = trainer.stored(), 0.0, 0
    for u in trainer.corpus.train:
        tokens = torch.from_numpy(u.tokens.astype(np.int64))[None]
        total += float(nats(model, tokens, torch.from_numpy(u.features)[None]).sum())
        count += u.steps
    assert sum(trainer.held_out(None, 10**6)) == pytest.approx(total / count)


def test_sub_tensors_divide_the_hop(corpus: Path, tmp_path: Path) -> None:
    wrong = replace(config(corpus, 1), model=replace(config(corpus, 1).model, sub_tensors=5))
    with pytest.raises(ValueError, match="divide the hop of 24, not 5"):
        start(wrong, tmp_path)


def test_the_exported_voice_scores_as_the_training_does(corpus: Path, tmp_path: Path) -> None:
    """The weights as stored, in the runtime, of every utterance whole."""
    trainer = start(config(corpus, 6), tmp_path)
    trainer.run(quiet=True)
    signal, voice = trainer.signal(), open_voice(tmp_path)
    for u in trainer.corpus.train:
        mel, pcm = u.features[:, 3:-3], decode(u.tokens, signal)
        heard = Utterance(u.features, encode(pcm, signal).astype(np.int32))
        trainer.corpus.held_out = [heard]
        expected = sum(trainer.held_out(None, 10**6))
        assert float(np.mean(voice.score(mel, pcm))) == pytest.approx(expected, rel=1e-5)


def test_a_training_for_int8_makes_an_int8_voice(corpus: Path, tmp_path: Path) -> None:
    """What looks at other sub-tensors is rounded, too: as the training expects, but for the state's
    operands."""
    wide = replace(
        config(corpus, 6).model, hidden_size=32, channels=16, head_size=16, look_units=16
    )
    c = replace(config(corpus, 6), model=wide)
    trainer = start(replace(c, training=replace(c.training, quantise="int8")), tmp_path)
    trainer.run(quiet=True)
    report = export(tmp_path / "model.pt", tmp_path / "a.linnet")
    types = {layer.name: layer.dtype for layer in report.layers}
    assert {types[name] for name in ("gru.recurrent", "look", "look_gates", "O1")} == {"int8"}
    voice, u = linnet.load(tmp_path / "a.linnet"), trainer.corpus.held_out[0]
    pcm = decode(u.tokens, trainer.signal())
    tokens = encode(pcm, trainer.signal()).astype(np.int32)
    trainer.corpus.held_out = [Utterance(u.features, tokens)]
    expected = sum(trainer.held_out(None, 10**6))
    assert float(voice.score(u.features[:, 3:-3], pcm)) == pytest.approx(expected, rel=2e-3)
