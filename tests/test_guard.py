"""Features that are not a voice's are noticed, and whose they look like is named."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import linnet
from linnet.audio import read_wav
from linnet.cli import main
from linnet.features import PRESETS, complete, log_mel
from linnet.features.ranges import Range, defined, formula, likely, seen
from voices import tiny_voice

CLIP, RATE = read_wav(Path(__file__).resolve().parent.parent / "voices" / "slt-heldout.wav")
ALIKE = "fatchord"  # decibels from -100 as 0 .. 1: the same as slt's but for the frames
OTHERS = [name for name in PRESETS if name != ALIKE]


@pytest.mark.parametrize("name", [n for n in OTHERS if PRESETS[n].get("n_mels", 80) == 80])
def test_features_of_other_projects_warn_and_are_named(name: str) -> None:
    voice = linnet.load("slt")
    mel = log_mel(CLIP[:16000], RATE, PRESETS[name])
    with pytest.warns(linnet.FeatureWarning, match="not this voice's.*They look like") as caught:
        voice.synthesize(mel[:, :3])
    assert len(caught) == 1 and caught[0].filename == __file__
    with pytest.raises(ValueError, match=r"log10\(max\(mel, 1e-05\)\) \+ 5\) \* 0.2"):
        voice.synthesize(mel[:, :3], strict=True)


@pytest.mark.parametrize("name", PRESETS)
def test_likely_names_features_of_the_same_values(name: str) -> None:
    mel = log_mel(CLIP, RATE, PRESETS[name])
    found = likely(mel)
    assert found is not None
    theirs, ours = complete(PRESETS[found]), complete(PRESETS[name])
    assert {k: theirs[k] for k in ("log", "offset", "scale", "n_mels", "power")} == {
        k: ours[k] for k in ("log", "offset", "scale", "n_mels", "power")
    }


def test_a_voices_own_features_do_not_warn() -> None:
    voice = linnet.load("slt")
    noise = np.random.default_rng(0).uniform(-1, 1, 4000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for audio in (CLIP, noise, np.zeros(4000), np.sign(noise)):
            voice.synthesize(voice.features(audio, RATE)[:, :10], strict=True)


USES: dict[str, Callable[[linnet.Voice, Any, bool], Any]] = {
    "synthesize": lambda voice, mel, strict: voice.synthesize(mel, strict=strict),
    "batch": lambda voice, mel, strict: voice.synthesize_batch([mel], strict=strict),
    "stream": lambda voice, mel, strict: list(voice.stream(mel.T, strict=strict)),
    "open_stream": lambda voice, mel, strict: voice.open_stream(strict=strict).push(mel),
}


@pytest.mark.parametrize("use", USES)
def test_a_voice_warns_once_and_strict_raises_every_time(use: str) -> None:
    voice = linnet.load("slt")
    mel = np.full((80, 3), -11.5, np.float32)
    for expected in (1, 0):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            USES[use](voice, mel, False)
        assert len(caught) == expected
        with pytest.raises(ValueError, match="not this voice's"):
            USES[use](voice, mel, True)


def test_the_range_of_the_training_is_kept_and_used() -> None:
    noted = {"least": 0.1, "most": 0.9, "mean": 0.5, "deviation": 0.05}
    voice = linnet.load(tiny_voice(config={"training": {"feature_range": noted}}))
    assert voice.info()["training"]["feature_range"] == noted
    assert voice._range == Range(0.1, 0.9, 0.5, 0.05)
    for value, fits in ((0.5, True), (0.65, True), (0.75, False), (-0.2, False), (1.2, False)):
        assert voice._range.far(np.full((10, 4), value)) != fits
    for damaged in ({"least": 1}, {**noted, "most": float("nan")}, {**noted, "least": 2}, 7):
        training = {"training": {"feature_range": damaged}, "features": {"kind": "log-mel"}}
        assert seen(training) == defined(complete({}))


def test_nothing_is_said_where_nothing_is_known() -> None:
    external = linnet.load(tiny_voice(config={"features": {"kind": "external"}}))
    assert external._range is None
    external.synthesize(np.full((10, 2), 1e6), strict=True)


@pytest.mark.parametrize("definition", [{}, {"power": 2.0}, {"pre_emphasis": 0.97}])
def test_the_defined_range_is_that_of_silence_and_of_loud_sines(definition: Any) -> None:
    wanted = complete(definition)
    range_ = defined(wanted)
    assert range_.least == 0.0
    time = np.arange(4000) / 16000
    loudest = max(
        float(log_mel(np.sin(2 * np.pi * f * time), 16000, wanted)[:, 10].max())
        for f in np.arange(1, 500) * (16000 / 1024)
    )
    assert loudest == pytest.approx(range_.most, abs=0.01)


def test_a_formula_reads_like_the_definition() -> None:
    texts = {
        "hifigan-22k": "ln(max(mel, 1e-05))",
        "nemo-22k": "ln(mel + 1e-05)",
        "librosa": "10 log10(max(mel, 1e-10))",
        "coqui-22k": "(20 log10(max(mel, 1e-08)) + 30) * 0.08",
        "torchaudio": "max(mel, 1e-30)",
    }
    assert {name: formula(complete(PRESETS[name])) for name in texts} == texts


def test_the_command_line_warns_in_a_line_or_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mel, out = tmp_path / "mel.npy", tmp_path / "out.wav"
    np.save(mel, log_mel(CLIP, RATE, PRESETS["hifigan-22k"])[:, :3])
    assert main(["synth", "slt", str(mel), "-o", str(out)]) == 0
    warned = capsys.readouterr().err
    assert warned.startswith("linnet: features from") and warned.count("\n") == 1
    assert "--mel-from hifigan-22k" in warned
    out.unlink()
    assert main(["synth", "slt", str(mel), "-o", str(out), "--strict"]) == 1
    assert "not this voice's" in capsys.readouterr().err and not out.exists()
