"""The voices that come with linnet: found by name, listed with their cards."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import linnet
from linnet.cli import main

VOICES = Path(__file__).resolve().parent.parent / "voices"


def test_every_voice_of_the_folder_is_loaded_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = sorted(path.stem for path in VOICES.glob("*.linnet"))
    assert list(linnet.voices()) == names and "slt" in names
    for name in names:
        voice = linnet.load(name)
        assert voice.info() == linnet.load(VOICES / f"{name}.linnet").info()


def test_a_card_says_what_was_measured() -> None:
    cards = linnet.voices()
    assert {"description", "licence", "pesq", "stoi"} <= set(cards["slt"])
    for name, card in cards.items():
        assert Path(card["path"]) == VOICES / f"{name}.linnet"


def test_a_file_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("slt").write_bytes(b"something else")
    with pytest.raises(linnet.FormatError):
        linnet.load("slt")
    with pytest.raises(FileNotFoundError, match="slt"):
        linnet.load("./absent/slt")


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(FileNotFoundError, match=r"no voice of that name .*there are: .*slt") as e:
        linnet.load("stl")
    assert e.value.filename == "stl"


def test_the_command_line_finds_and_lists_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "mel.npy", np.zeros((80, 3), np.float32))
    out = tmp_path / "out.wav"
    assert main(["synth", "slt", str(tmp_path / "mel.npy"), "-o", str(out)]) == 0
    assert out.stat().st_size == 44 + 2 * 600
    assert main(["synth", "stl", str(tmp_path / "mel.npy"), "-o", str(out)]) == 1
    assert "no voice of that name" in capsys.readouterr().err
    assert main(["voices"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in linnet.voices())
    assert main(["voices", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == linnet.voices()


def test_python_m_linnet_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "linnet", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"linnet {linnet.__version__}\n"
