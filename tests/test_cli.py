"""The command line: what each command leaves behind, and how it fails."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import linnet
from linnet.cli import main
from linnet.cli.bench import MODES, with_mode
from voices import tiny_config, tiny_tensors, tiny_voice

FEATURES = {"mel_norm": "none", "log": "ln"}
VOICE_BYTES = tiny_voice(config={"features": FEATURES})
MEL = np.random.default_rng(0).standard_normal((10, 5)).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a voice, and its features."""
    monkeypatch.chdir(tmp_path)
    Path("voice.linnet").write_bytes(VOICE_BYTES)
    np.save("mel.npy", MEL)
    return tmp_path


def read_wav(path: Path) -> tuple[npt.NDArray[np.int16], int]:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2"), file.getframerate()


def write_wav(path: Path, samples: npt.NDArray[np.int16], channels: int = 1) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(samples.tobytes())


@pytest.mark.parametrize("kernels", linnet.kernels())
def test_synth_writes_what_synthesize_gives(folder: Path, kernels: str) -> None:
    options = ["--seed", "7", "--temperature", "0.5", "--kernels", kernels]
    assert main(["synth", "voice.linnet", "mel.npy", "-o", "out.wav", *options]) == 0
    samples, rate = read_wav(folder / "out.wav")
    assert rate == 16000
    voice = linnet.load(VOICE_BYTES)
    np.testing.assert_array_equal(samples, voice.synthesize(MEL, seed=7, temperature=0.5))


def test_synth_and_score_take_a_recording(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    voice = linnet.load(VOICE_BYTES)
    pcm = voice.synthesize(MEL)
    write_wav(folder / "in.wav", pcm)
    mel = voice.features(pcm, 16000)
    assert main(["synth", "voice.linnet", "in.wav", "-o", "out.wav"]) == 0
    np.testing.assert_array_equal(read_wav(folder / "out.wav")[0], voice.synthesize(mel))
    capsys.readouterr()
    for options, features in ([], mel), (["--mel", "mel.npy"], MEL):
        assert main(["score", "voice.linnet", "in.wav", *options]) == 0
        assert capsys.readouterr().out.startswith(f"{voice.score(features, pcm):.4f} nats")


def test_export_writes_a_voice_and_prints_its_layers(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config(features=FEATURES)
    arrays: dict[str, Any] = dict(tiny_tensors(config))
    np.savez("voice.npz", **arrays)
    Path("config.json").write_text(json.dumps(config))
    options = ["--config", "config.json", "--name", "tiny", "--dtype", "float32", "--block", "4x4"]
    assert main(["export", "voice.npz", "-o", "new.linnet", *options]) == 0
    assert "gru.recurrent" in capsys.readouterr().out
    info = linnet.load("new.linnet").info()
    assert (info["name"], info["block"], info["dtype"]) == ("tiny", "4x4", "float32")


def test_inspect_tells_of_every_layer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    info = linnet.load(VOICE_BYTES).info()
    assert main(["inspect", "voice.linnet", "--no-speed"]) == 0
    text = capsys.readouterr().out
    assert "real time" not in text
    lines = {words[0]: words[1:] for words in map(str.split, text.splitlines()) if words}
    for layer in info["layers"]:
        shape = [str(layer["rows"]), "x", str(layer["cols"])]
        assert lines[layer["name"]][:5] == [*shape, layer["block"], layer["dtype"]]
        assert lines[layer["name"]][-1] == str(layer["bytes"])
    assert "frame program" in text and "sample program" in text
    assert main(["inspect", "voice.linnet", "--json"]) == 0
    parsed = json.loads(capsys.readouterr().out)
    assert {key: parsed[key] for key in info} == info
    assert parsed["sample_program"][-1].startswith("output ")
    assert parsed["speed"]["times_real_time"] > 0 and parsed["speed"]["kernels"] == info["kernels"]


def test_inspect_tells_of_every_operation(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "voice.linnet", "--json", "--no-speed"]) == 0
    parsed = json.loads(capsys.readouterr().out)
    assert "speed" not in parsed
    operations, layers = parsed["operations"], {layer["name"]: layer for layer in parsed["layers"]}
    names = [line.split()[0] for line in parsed["frame_program"] + parsed["sample_program"]]
    assert [op["operation"] for op in operations] == names
    recurrent = next(op for op in operations if "gru.recurrent" in op["tensors"])
    used = [layers[name] for name in ("gru.recurrent", "gru.recurrent.bias")]
    assert (recurrent["program"], recurrent["shape"]) == ("sample", "96 x 32")
    assert recurrent["multiply_adds"] == recurrent["stored_weights"] == used[0]["stored_weights"]
    assert recurrent["bytes"] == sum(layer["bytes"] for layer in used)
    assert [(e["name"], e["size"]) for e in recurrent["extents"]] == [("input", 32), ("out", 96)]
    first = next(op for op in operations if "conditioning.0" in op["tensors"])
    hop = parsed["hop_length"]
    assert (first["program"], first["multiply_adds"] * hop) == ("frame", first["stored_weights"])


def test_inspect_draws_the_patterns(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    assert main(["inspect", "voice.linnet", "--plot", "patterns.png"]) == 0
    assert (folder / "patterns.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("synth absent.linnet mel.npy -o out.wav", "absent.linnet: No such file or directory"),
        ("synth mel.npy mel.npy -o out.wav", "at byte"),
        ("synth voice.linnet absent.npy -o out.wav", "absent.npy: No such file or directory"),
        ("synth voice.linnet narrow.npy -o out.wav", "narrow.npy: features of shape (9, 4)"),
        ("synth voice.linnet text.npy -o out.wav", "text.npy: not a .npy or .npz file"),
        (
            "synth voice.linnet mel.npy -o absent/out.wav",
            "absent/out.wav: No such file",
        ),
        ("score voice.linnet long.wav --mel mel.npy", "5 frames of 20 samples cover 100"),
        ("export text.npy -o out.linnet", "text.npy"),
        ("export --describe text.npy", "text.npy"),
        ("export --describe voice.linnet --block 4x4", "--block is for making a voice"),
        ("export text.npy --to-onnx out.onnx", "not a .linnet file"),
        ("bench sample absent.linnet", "absent.linnet: No such file or directory"),
        ("bench absent.linnet", "absent.linnet: No such file or directory"),
    ],
)
def test_failures_are_one_line_and_leave_no_output(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str, message: str
) -> None:
    np.save("narrow.npy", np.zeros((9, 4), np.float32))
    Path("text.npy").write_text(20 * "no array")
    write_wav(folder / "long.wav", np.zeros(101, np.int16))
    before = sorted(os.listdir())
    assert main(command.split()) == 1
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.startswith("linnet: ")
    assert captured.err.count("\n") == 1 and not captured.out and "Errno" not in captured.err
    assert sorted(os.listdir()) == before


def test_an_unknown_mode_of_bench_lists_the_modes(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["guess"], ["guess", "voice.linnet"], []):
        with pytest.raises(SystemExit) as status:
            main(["bench", *words])
        assert status.value.code == 2
        error = capsys.readouterr().err
        assert "MODE" in error and (not words or all(mode in error for mode in MODES))


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_bench_has_its_help(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as status:
        main(["bench", mode, "--help"])
    help_ = capsys.readouterr().out
    assert status.value.code == 0
    assert f"linnet bench {mode}" in help_ and "--json" in help_ and "--time-limit" in help_
    assert ("--sparsity" in help_) == (mode in ("matvec", "subscale"))


def test_stereo_is_mixed_down_with_a_note(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left, right = np.random.default_rng(0).integers(-9000, 9000, (2, 400))
    write_wav(folder / "stereo.wav", np.ravel([left, right], "F").astype(np.int16), channels=2)
    assert main(["synth", "voice.linnet", "stereo.wav", "-o", "out.wav"]) == 0
    assert capsys.readouterr().err == "linnet: stereo.wav: 2 channels, mixed down to one\n"
    voice = linnet.load(VOICE_BYTES)
    mixed = ((left + right) / 2 / 32768).astype(np.float32)
    expected = voice.synthesize(voice.features(mixed, 16000))
    np.testing.assert_array_equal(read_wav(folder / "out.wav")[0], expected)
    assert main(["score", "voice.linnet", "stereo.wav"]) == 0


def test_score_resamples_and_prints_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    voice = linnet.load(VOICE_BYTES)
    time = np.arange(8000) / 16000
    tone = np.rint(8000 * np.sin(2 * np.pi * 440 * time)).astype(np.int16)
    write_wav(folder / "16k.wav", tone)
    with wave.open("32k.wav", "wb") as file:
        file.setparams((1, 2, 32000, 0, "NONE", ""))
        doubled = np.rint(8000 * np.sin(2 * np.pi * 440 * np.arange(16000) / 32000))
        file.writeframes(doubled.astype(np.int16).tobytes())
    scores = []
    for name in ("16k.wav", "32k.wav"):
        assert main(["score", "voice.linnet", name, "--json"]) == 0
        scores.append(json.loads(capsys.readouterr().out))
        bits = scores[-1]["nats_per_sample"] / np.log(2)
        assert scores[-1]["bits_per_sample"] == pytest.approx(bits)
    own = voice.score(voice.features(tone, 16000), tone)
    assert scores[0]["nats_per_sample"] == own
    assert scores[1]["nats_per_sample"] == pytest.approx(own, rel=0.05)


def test_export_prints_its_report_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny_config(features=FEATURES)
    arrays: dict[str, Any] = dict(tiny_tensors(config))
    np.savez("voice.npz", **arrays)
    Path("config.json").write_text(json.dumps(config))
    words = ["export", "voice.npz", "-o", "new.linnet", "--config", "config.json", "--json"]
    assert main(words) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["path"] == "new.linnet"
    assert report["file_bytes"] == Path("new.linnet").stat().st_size
    assert "gru.recurrent" in [layer["name"] for layer in report["layers"]]


def test_training_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    import linnet_training
    from linnet_training import __main__ as training
    from linnet_training import config

    for name in [n for n in sys.modules if n.startswith("linnet_training.")]:
        if name not in ("linnet_training.__main__", "linnet_training.config"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(config, "load", lambda path: None)
    assert training.main(["run", "some.toml"]) == 1
    assert capsys.readouterr().err.startswith("linnet-train needs torch, of linnet[train]: pip ")
    with pytest.raises(ImportError, match="Pruner needs torch"):
        linnet_training.Pruner  # noqa: B018


def _asks_bash(words: list[str]) -> str:
    array = " ".join(f"'{word}'" for word in words)
    asked = f"COMP_WORDS=({array}); COMP_CWORD={len(words) - 1}; _linnet"
    return f'{asked}\nprintf "%s\\n" "${{COMPREPLY[@]}}"'


# How a script that runs after the shell's own one asks it for what may follow.
SHELLS: dict[str, Callable[[list[str]], str]] = {
    "bash": _asks_bash,
    "zsh": lambda words: f"emulate sh -c {shlex.quote(_asks_bash(words))}",
    "fish": lambda words: f"complete -C {shlex.quote(' '.join(words))}",
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("linnet sy", {"synth"}),
        ("linnet bench m", {"matvec"}),
        ("linnet bench matvec --time", {"--time-limit"}),
        ("linnet bench matvec --thr", set()),  # another mode's
        ("linnet score --js", {"--json"}),
        ("linnet bench sweep --dtype f", {"float16", "float32"}),
        ("linnet synth --kernels port", {"portable"}),
        ("linnet completion ", {"bash", "zsh", "fish"}),
    ],
)
def test_shells_complete(
    shell: str, typed: str, words: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    assert main(["completion", shell]) == 0
    before = "autoload -U compinit && compinit -D\n" if shell == "zsh" else ""
    script = f"{before}{capsys.readouterr().out}\n{SHELLS[shell](typed.split(' '))}"
    quiet = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    done = subprocess.run([shell, *quiet, "-c", script], capture_output=True, text=True)
    found = {word for word in done.stdout.split() if word not in {"-h", "--help"}}
    if shell == "zsh":  # which itself leaves out what does not begin as what was typed
        found = {word for word in found if word.startswith(typed.split(" ")[-1])}
    assert (found, done.stderr) == (words, "")


def test_voices_that_come_with_linnet_are_exported_and_timed_by_name(folder: Path) -> None:
    assert main(["export", "tiny", "-o", "small.linnet", "--dtype", "int8"]) == 0
    before = linnet.load("tiny").info()["file_bytes"]
    assert linnet.load("small.linnet").info()["file_bytes"] < before
    assert with_mode(["bench", "tiny"]) == ["bench", "sample", "tiny"]
    assert with_mode(["bench", "tiny.linnet"]) == ["bench", "sample", "tiny.linnet"]
    assert with_mode(["bench", "huge"]) == ["bench", "huge"]


@pytest.mark.skipif(os.name != "posix", reason="needs a pipe")
def test_a_reader_that_leaves_brings_no_message() -> None:
    command = [sys.executable, "-m", "linnet", "completion", "fish"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.parametrize(
    "command",
    [
        "",
        "sing",
        "synth voice.linnet mel.npy",
        "synth voice.linnet mel.npy -o out.wav --seed -1",
        "synth voice.linnet mel.npy -o out.wav --temperature nan",
        "synth voice.linnet mel.npy -o out.wav --kernels mmx",
        "bench matvec --sparsity 1",
        "bench matvec --rows 0",
    ],
)
def test_wrong_arguments_exit_with_2(folder: Path, command: str) -> None:
    with pytest.raises(SystemExit) as status:
        main(command.split())
    assert status.value.code == 2
    assert not (folder / "out.wav").exists()


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_an_interrupted_synth_leaves_the_old_file(folder: Path) -> None:
    np.save("long.npy", np.zeros((10, 1_000_000), np.float32))  # minutes of work
    (folder / "out.wav").write_bytes(b"old")
    before = sorted(os.listdir())
    synth = [sys.executable, "-m", "linnet.cli", "synth", "voice.linnet", "long.npy"]
    process = subprocess.Popen(
        [*synth, "-o", "out.wav", "--progress"],
        stderr=subprocess.PIPE,
        cwd=folder,
        # A background job's children ignore Ctrl-C, and Python leaves it so.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        assert process.stderr is not None
        process.stderr.read(1)  # progress: it runs
        process.send_signal(signal.SIGINT)
        errors = process.stderr.read().decode()
    assert process.returncode == 130
    assert errors.endswith("linnet: interrupted\n")
    assert (folder / "out.wav").read_bytes() == b"old"
    assert sorted(os.listdir()) == before
