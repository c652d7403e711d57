"""Any folder of recordings becomes training data: rates, channels, speakers, splits, bad files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch (extra: train)")
pytest.importorskip("tqdm", reason="training needs tqdm (extra: train)")
pytest.importorskip("librosa", reason="preparing data needs librosa (extra: audio)")
soundfile = pytest.importorskip("soundfile", reason="preparing data needs soundfile (extra: audio)")

from linnet_training.__main__ import main  # noqa: E402
from linnet_training.data.preparation import is_held_out, prepare  # noqa: E402


def tone(path: Path, rate: int = 16000, channels: int = 1, seconds: float = 0.5) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    wave = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(round(seconds * rate)) / rate)
    soundfile.write(path, np.repeat(wave[:, None], channels, axis=1), rate)


def stored(folder: Path, name: str) -> Any:
    with np.load(folder / f"{name}.npz") as file:
        return file["pcm"].astype(float) / 32768, file["features"]


def test_speakers_are_split_each_and_may_be_held_out_entirely(tmp_path: Path) -> None:
    wavs = tmp_path / "wavs"
    for speaker, count in (("anna", 9), ("bert", 4), ("carl", 3), ("dora", 1)):
        for i in range(count):
            tone(wavs / speaker / "session" / f"{i}.wav", seconds=0.1)
    index = prepare(wavs, tmp_path / "out", {}, held_out=0.2, held_out_speakers=["carl"])
    speakers = index["speakers"]
    assert sorted(index["unseen"]) == [f"carl_session_{i}" for i in range(3)]
    assert {speakers[n] for n in index["held_out"]} == {"anna", "bert"}
    assert {speakers[n] for n in index["train"]} == {"anna", "bert", "dora"}
    assert len(index["train"]) + len(index["held_out"]) + len(index["unseen"]) == 17
    for name in index["train"]:
        assert not is_held_out(name, 0.2) or speakers[name] == "dora"
    assert json.loads((tmp_path / "out" / "prepared.json").read_text()) == index
    with pytest.raises(ValueError, match="zoe.*anna"):
        prepare(wavs, tmp_path / "out", {}, held_out_speakers=["zoe"])


def test_the_range_of_the_training_is_noted(tmp_path: Path) -> None:
    for i in range(12):
        tone(tmp_path / "wavs" / f"{i}.wav", seconds=0.1 + i / 100)
    index = prepare(tmp_path / "wavs", tmp_path / "out", {}, held_out=0.3)
    assert index["held_out"]
    values = np.concatenate([stored(tmp_path / "out", n)[1].ravel() for n in index["train"]])
    wide = values.astype(np.float64)
    expected = {"least": wide.min(), "most": wide.max(), "mean": wide.mean()}
    assert index["feature_range"] == pytest.approx({**expected, "deviation": wide.std()}, rel=1e-5)


def test_rates_channels_and_silent_ends(tmp_path: Path) -> None:
    wavs = tmp_path / "wavs"
    tone(wavs / "a.wav", rate=44100, channels=2)
    tone(wavs / "b.flac", rate=8000)
    tone(wavs / "c.wav")
    audio, rate = soundfile.read(wavs / "c.wav")
    soundfile.write(wavs / "c.wav", np.pad(audio, 12000), rate)
    soundfile.write(wavs / "silent.wav", np.zeros(4000), 16000)
    soundfile.write(wavs / "empty.wav", np.zeros(0), 16000)
    index = prepare(wavs, tmp_path / "out", {}, pad_seconds=0.05, trim_db=40)
    assert sorted(index["silent"]) == ["empty", "silent"]
    for name in ("a", "b", "c"):
        pcm, features = stored(tmp_path / "out", name)
        assert features.shape == (80, len(pcm) // 200) and len(pcm) % 200 == 0
        # Half a second of tone, a twentieth of silence around it, trimmed to windows of 1024.
        assert 0.6 * 16000 <= len(pcm) <= 0.6 * 16000 + 2 * 1024 + 200
        assert not pcm[:800].any()
        spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm))))
        assert spectrum.argmax() * 16000 / len(pcm) == pytest.approx(1000, abs=3)
        assert np.abs(pcm).max() == pytest.approx(0.5, abs=0.05)


def test_files_that_cannot_be_used_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wavs = tmp_path / "wavs"
    (tmp_path / "config.toml").write_text(
        f'name = "x"\n[data]\nwavs = {str(wavs)!r}\nprepared = {str(tmp_path / "out")!r}\n'
    )

    def error() -> str:
        assert main(["prepare", str(tmp_path / "config.toml")]) == 1
        return capsys.readouterr().err

    assert "no such folder" in error()
    tone(wavs / "a" / "1.wav")
    assert "at least two" in error()
    tone(wavs / "a_1.wav")
    assert "one name, 'a_1'" in error()
    (wavs / "a_1.wav").write_bytes(b"RIFF of nothing")
    (wavs / "a_1.wav").rename(wavs / "b.wav")
    assert "b.wav" in error()
    assert main(["run", str(tmp_path / "config.toml")]) == 1
    assert "linnet-train prepare" in capsys.readouterr().err
    tone(wavs / "c.wav")
    tone(wavs / "d.wav")
    whole = (wavs / "d.wav").read_bytes()
    (wavs / "odd.wav").write_bytes(whole[:1001])
    (wavs / "cut.wav").write_bytes(whole[: len(whole) // 2])
    tone(wavs / "cut.flac")
    flac = (wavs / "cut.flac").read_bytes()
    (wavs / "cut.flac").rename(wavs / "short.flac")
    (wavs / "short.flac").write_bytes(flac[: len(flac) // 2])
    soundfile.write(wavs / "loud.wav", 32768 * np.ones(4000), 16000, subtype="FLOAT")
    (wavs / "e.mp3").write_bytes(b"ID3")
    capsys.readouterr()
    assert main(["prepare", str(tmp_path / "config.toml")]) == 0
    listed = capsys.readouterr().err
    index = json.loads((tmp_path / "out" / "prepared.json").read_text())
    names = ["b.wav", "cut.wav", "e.mp3", "loud.wav", "odd.wav", "short.flac"]
    assert list(index["left_out"]) == [str(wavs / name) for name in names]
    assert all(f"left out: {why}\n" in listed for why in index["left_out"].values())
    assert sorted(index["train"] + index["held_out"]) == ["a_1", "c", "d"]
    assert main(["prepare", str(tmp_path / "config.toml"), "--strict"]) == 1
