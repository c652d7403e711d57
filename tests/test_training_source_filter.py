"""Training a source-filter voice at a small scale: labels, resuming, and the voice it becomes."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch (extra: train)")
for package in ("tqdm", "librosa", "pyworld"):
    pytest.importorskip(package, reason="training a source-filter voice needs it")

import linnet  # noqa: E402
from linnet.format.reading import read  # noqa: E402
from linnet_export.exporting import export  # noqa: E402
from linnet_export.families.known import checkpoint_of  # noqa: E402
from linnet_training import config as configuration  # noqa: E402
from linnet_training.__main__ import main  # noqa: E402
from linnet_training.data.phases import SPACING, frames, mean_phases  # noqa: E402
from linnet_training.data.pitch import labels, spoiled  # noqa: E402
from linnet_training.loops.weights import read_weights  # noqa: E402
from linnet_training.networks.source_filter import BINS, REACH, SourceFilter  # noqa: E402

CONFIG = """
name = "small"
[data]
wavs = "wavs"
prepared = "prepared"
held_out = 0.3
pad_seconds = 0.1
seconds = 1.5
peak = 0.5
[signal]
bits = 16
companding = "linear"
pre_emphasis = 0.85
[model]
architecture = "source-filter"
channels = 16
matching = 1
phases = [0.0, 0.1]
[pruning]
start = 0.0
end = 0.5
interval = 5
rules = [{ name = "convolutions.?.weight", block = "4x4", sparsity = 0.5 }]
[training]
steps = 30
batch = 4
frames = 40
warmup_steps = 5
"""


def tone(f0: float, n: int, rate: int = 16000) -> np.ndarray:
    """A sound of 20 harmonics, then as much noise."""
    turns = f0 * np.arange(n) / rate
    voiced = sum(np.sin(2 * np.pi * k * turns) / k for k in range(1, 21) if k * f0 < rate / 2)
    noise = 0.3 * np.random.default_rng(0).standard_normal(n)
    return np.concatenate([np.asarray(voiced), noise])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six recordings and a config."""
    monkeypatch.chdir(tmp_path)
    Path("wavs").mkdir()
    for i, f0 in enumerate((90, 120, 160, 200, 260, 330)):
        pcm = (tone(f0, 12000) * 6000).astype(np.int16)
        with wave.open(f"wavs/{i}.wav", "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes(pcm.tobytes())
    Path("small.toml").write_text(CONFIG)
    assert main(["prepare", "small.toml"]) == 0
    return tmp_path


def test_labels_are_the_pitch_that_was_made() -> None:
    f0, voiced = labels(tone(150, 16000), 16000, 200)
    assert len(f0) == len(voiced) == 160
    assert np.median(np.abs(f0[5:70] - 150)) < 1
    assert voiced[5:70].mean() > 0.95 and voiced[90:155].mean() < 0.3


def test_what_is_trained_resumes_and_becomes_a_voice(folder: Path) -> None:
    assert main(["run", "small.toml", "--steps", "30"]) == 0
    whole = torch.load("runs/small/model.pt", weights_only=True)
    assert main(["run", "small.toml", "--folder", "parts", "--steps", "30"]) == 0
    again = torch.load("parts/model.pt", weights_only=True)["state_dict"]
    for name, weight in whole["state_dict"].items():
        assert torch.equal(weight, again[name]), name
    export("runs/small/model.pt", "small.linnet")
    file = read("small.linnet")
    assert file.metadata["architecture"] == "source-filter"
    for i in range(3):
        tensor = file.tensor(f"convolutions.{i}")
        assert tensor.layout != "dense"
        assert tensor.packed.stored_weights <= 0.56 * tensor.dense.size
    stored = checkpoint_of(file)
    assert set(stored) == set(whole["state_dict"])
    for name, weight in whole["state_dict"].items():
        np.testing.assert_allclose(stored[name], weight, rtol=1e-3, atol=1e-6)
    voice = linnet.load("small.linnet")
    clip = (tone(150, 8000) * 6000).astype(np.int16)
    samples = voice.synthesize(voice.features(clip, 16000))
    level = samples.astype(np.float64).std() / clip.astype(np.float64).std()
    assert 0.5 < level < 2  # the filter has the features' level, whatever the network has learnt


def test_an_interrupted_run_gives_the_weights_of_one_that_was_not(folder: Path) -> None:
    from linnet_training.loops.starting import start

    config = configuration.load(Path("small.toml"))
    unbroken = start(config, Path("unbroken"))
    for _ in range(12):
        unbroken.update()
    first = start(config, Path("broken"))
    for _ in range(5):
        first.update()
    Path("broken").mkdir(exist_ok=True)
    first.write()
    second = start(config, Path("broken"))
    assert second.step == 5
    for _ in range(7):
        second.update()
    for a, b in zip(unbroken.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_voice_can_be_trained_on(folder: Path) -> None:
    assert main(["run", "small.toml"]) == 0
    export("runs/small/model.pt", "small.linnet")
    text = Path("small.toml").read_text() + 'start = "small.linnet"\n'
    Path("more.toml").write_text(text.replace('"small"', '"more"'))
    weights = read_weights(Path("small.linnet"))
    from linnet_training.loops.starting import start

    trainer = start(configuration.load(Path("more.toml")), Path("runs/more"))
    for name, weight in trainer.model.exported().items():
        torch.testing.assert_close(weight, weights[name])


def test_exported_weights_take_features_as_they_are() -> None:
    torch.manual_seed(0)
    network = SourceFilter(10, 8, ())
    network.normalise(np.linspace(0, 1, 10), np.linspace(0.5, 2, 10))
    plain = SourceFilter(10, 8, ())
    plain.load_state_dict(network.exported())
    features = torch.rand(2, 10, 5 + REACH)
    for a, b in zip(network(features), plain(features), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    assert network(features)[0].shape == (2, 5, BINS)


def test_spoiled_features_stay_above_silence_and_keep_their_shape() -> None:
    from linnet.features import complete

    definition = complete({})
    features = np.random.default_rng(0).random((6, 80, 30)).astype(np.float32)
    found = spoiled(features, definition, np.random.default_rng(1))
    assert found.shape == features.shape and found.dtype == np.float32
    assert np.isfinite(found).all() and found.min() >= 0
    assert np.abs(found - features).max() > 0.01


def test_mean_phases_are_found_whatever_the_pitch_the_delay_and_the_polarity() -> None:
    """Up to half a turn and a delay: what is compared neither rises nor falls."""
    rng, rate, n = np.random.default_rng(0), 16000, 24000
    grid = np.arange(0, 2001, SPACING)
    known = 0.2 * np.sin(2 * np.pi * grid / 2500) + 0.1 * np.cos(2 * np.pi * grid / 1000)
    recordings = []
    for i, low in enumerate((95, 120, 150, 180, 210)):
        f0 = low * np.linspace(1, 1.15, n)
        cycles = rng.random() + np.cumsum(f0) / rate
        sound = 0.001 * rng.standard_normal(n)
        for k in range(1, int(7000 / f0.max())):
            turn = np.interp(k * f0, grid, known)
            sound += np.cos(2 * np.pi * (k * cycles + turn))
        sound *= (-1) ** i * 8000 / np.abs(sound).max()
        recordings.append(frames(sound.astype(np.int16), rate))
        assert len(recordings[-1]) > 60
    found = mean_phases(recordings)
    told = grid >= 2 * SPACING
    error = (found - known)[told]
    slope, level = np.polyfit(grid[told], error, 1)
    error -= slope * grid[told] + level
    assert np.sqrt((error**2).mean()) < 0.02
    assert abs(2 * level - round(2 * level)) < 0.06  # no turn or half a one
    assert abs(np.polyfit(grid[told], found[told], 1)[0]) < 1e-9
