"""`linnet-train evaluate` from end to end, on the bundled voice and clip."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

for package in (
    "librosa",
    "soundfile",
    "pesq",
    "pystoi",
    "pocketsphinx",
    "jiwer",
    "tqdm",
    "pyworld",
    "speechmos",
):
    pytest.importorskip(package, reason="evaluation needs it")

import soundfile  # noqa: E402

from linnet_training.__main__ import main  # noqa: E402

VOICES = Path(__file__).parents[1] / "voices"
TEXT = "The right half of the brain controls the left half of the body."
CONFIG = """
name = "clip"
[data]
wavs = "wavs"
prepared = "prepared"
pad_seconds = 0.0
held_out_speakers = ["other"]
"""


def test_held_out_and_unseen_speakers_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    clip, rate = soundfile.read(VOICES / "slt-heldout.wav", dtype="int16")
    for name in ("slt/a", "slt/b", "other/c"):
        path = Path(f"wavs/{name}.wav")
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, clip if name != "other/c" else clip // 2, rate)
    Path("wavs/slt/texts.json").write_text(json.dumps({"a.wav": TEXT, "b.wav": TEXT}))
    Path("clip.toml").write_text(CONFIG)
    assert main(["prepare", "clip.toml"]) == 0
    options = "--config clip.toml --words --clips heard --json out.json"
    assert main(["evaluate", str(VOICES / "slt.linnet"), *options.split()]) == 0

    table = capsys.readouterr().out
    result = json.loads(Path("out.json").read_text())
    seen, unseen = result["mean"], result["unseen"]
    assert (seen["utterances"], unseen["utterances"]) == (1, 1)
    # What a good resynthesis of speech scores; noise or another sentence scores less.
    for method in ("voice", "griffin_lim"):
        assert seen[method]["stoi"] > 0.8
        assert seen[method]["pesq"] > 1.2
        assert abs(seen[method]["level"]) < 3
        assert seen["word_error"][method] < 0.6
    assert seen["word_error"]["recording"] < 0.3
    assert result["silence"] < -60
    assert "word_error" not in unseen  # its text is not known
    assert np.isfinite(unseen["voice"]["stoi"])
    assert f"{100 * seen['word_error']['voice']:.1f} %" in table
    assert "speakers not trained on: voice" in table
    assert "speaker other: Griffin-Lim" in table
    (name,) = (row["name"] for row in result["utterances"] if row["kind"] == "held_out")
    # The voice knows its speaker's pitch; noise has none, and scores less by everything that is not
    # what matching works towards.
    voice, noise = seen["voice"], seen["noise"]
    assert voice["voicing"] < noise["voicing"]
    assert voice["cents"] < 40
    assert noise["dnsmos"] < voice["dnsmos"] < seen["dnsmos"] + 0.2
    assert max(voice["below"], noise["below"]) < 3  # dB: matching raises nothing that no band sees
    assert "speaker slt: white noise, matched alike" in table
    # What a smooth mel loses, each method of what it has from the true one.
    assert seen["predicted"]["pesq"] < voice["pesq"]
    assert seen["predicted_griffin_lim"]["pesq"] < seen["griffin_lim"]["pesq"]
    assert "lpcnet" not in seen  # its library was not given
    pesq = {row["name"]: row["voice"]["pesq"] for row in result["utterances"]}
    least = min(pesq, key=lambda name: pesq[name])
    assert f"The worst clip by PESQ is {least} ({pesq[least]:.2f})" in table
    for kind in ("recording", "voice", "noise", "griffin_lim", "predicted"):
        heard, heard_rate = soundfile.read(f"heard/{name}-{kind}.flac", dtype="int16")
        assert heard_rate == rate
        assert len(heard) == -(-len(clip) // 200) * 200  # whole frames
    recording, _ = soundfile.read(f"heard/{name}-recording.flac", dtype="int16")
    np.testing.assert_array_equal(recording[: len(clip)], clip)
