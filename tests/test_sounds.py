"""Sound files and features as people have them: what is read, what is refused, what is written."""

from __future__ import annotations

import io
import os
import signal
import stat
import struct
import subprocess
import sys
import threading
import wave
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import linnet
from linnet.audio import decode, read_wav
from linnet.cli import main
from linnet.files import write_atomic
from voices import tiny_config, tiny_tensors, tiny_voice

VOICE_BYTES = tiny_voice(config={"features": {"mel_norm": "none", "log": "ln"}})
MEL = np.random.default_rng(0).standard_normal((10, 5)).astype(np.float32)
PCM = np.arange(-200, 200, dtype=np.int16)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a voice, features, and a recording."""
    monkeypatch.chdir(tmp_path)
    Path("voice.linnet").write_bytes(VOICE_BYTES)
    np.save("mel.npy", MEL)
    Path("in.wav").write_bytes(wav(PCM))
    return tmp_path


def wav(samples: npt.NDArray[np.int16], rate: int = 16000) -> bytes:
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return content.getvalue()


def changed(data: bytes, at: int, value: int) -> bytes:
    """The bytes with a u32 in the place of another."""
    return data[:at] + struct.pack("<I", value) + data[at + 4 :]


def synthesized() -> npt.NDArray[np.int16]:
    return linnet.load(VOICE_BYTES).synthesize(MEL)


def failure(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    """The one line that a command fails with."""
    capsys.readouterr()
    assert main(command) == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and not captured.out
    return captured.err


def linnet_process(*command: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "linnet.cli", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


# ---- What is read

RATE_AT, SIZE_AT = 24, 40


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_size_that_was_never_written_means_all_that_follows(size: int) -> None:
    samples, rate = decode(changed(wav(PCM), SIZE_AT, size), "pipe.wav")
    np.testing.assert_array_equal(samples, PCM)
    assert rate == 16000


def test_a_recording_of_nothing_is_one() -> None:
    empty = wav(PCM[:0])
    for data in (empty, empty + b"LIST" + struct.pack("<I", 4) + b"INFO"):
        assert len(decode(data, "empty.wav")[0]) == 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (changed(wav(PCM), RATE_AT, 0), "a sample rate of 0 Hz"),
        (wav(PCM)[:36], ""),
        (wav(PCM)[:12] + wav(PCM)[36:], ""),
    ],
)
def test_a_damaged_recording_is_refused_by_name(
    folder: Path, capsys: pytest.CaptureFixture[str], data: bytes, message: str
) -> None:
    Path("bad.wav").write_bytes(data)
    error = failure(capsys, "synth", "voice.linnet", "bad.wav", "-o", "out.wav")
    assert error.startswith(f"linnet: bad.wav: {message}")
    assert not Path("out.wav").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (wav(PCM)[:-1], "cut off: 799 bytes of samples, where it says 800"),
        (wav(PCM)[:-2], "cut off: 798 bytes of samples, where it says 800"),
        (changed(wav(PCM)[:-1], SIZE_AT, 799), "cut off: 799 bytes of samples, of 2 bytes each"),
        (changed(wav(PCM)[:-1], SIZE_AT, 0xFFFFFFFF), "cut off: 799 bytes of samples, of 2"),
    ],
)
def test_what_is_left_of_a_recording_is_taken_with_a_word(
    folder: Path, capsys: pytest.CaptureFixture[str], data: bytes, message: str
) -> None:
    Path("cut.wav").write_bytes(data)
    assert main(["synth", "voice.linnet", "cut.wav", "-o", "out.wav"]) == 0
    assert f"linnet: cut.wav: {message}" in capsys.readouterr().err
    with pytest.warns(linnet.errors.Note, match="^cut.wav: cut off"):
        np.testing.assert_array_equal(read_wav("cut.wav")[0], PCM[:-1])


def test_units_that_are_not_those_of_audio_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    voice = linnet.load(VOICE_BYTES)
    for audio in (PCM.astype(np.float32), np.full(100, -32768.0)):
        with pytest.raises(ValueError, match=r"divide 16-bit samples by 32768"):
            voice.features(audio, 16000)
    for rate in (0, -16000, float("nan")):
        with pytest.raises(ValueError, match="sample rate must be a positive"):
            voice.features(PCM, rate)  # type: ignore[arg-type]
    soundfile = pytest.importorskip("soundfile")
    soundfile.write("loud.wav", PCM.astype(np.float32), 16000, subtype="FLOAT")
    error = failure(capsys, "synth", "voice.linnet", "loud.wav", "-o", "out.wav")
    assert error.startswith("linnet: loud.wav: audio of floating point lies in [-1, 1]")


def test_features_of_any_unambiguous_shape_and_file_are_taken(folder: Path) -> None:
    np.save("leading.npy", MEL[None])
    np.save("turned.npy", MEL.T)
    np.savez("one.npz", anything=MEL)
    np.savez("several.npz", lengths=np.ones(3), mel=MEL[None])
    for name in ("leading.npy", "turned.npy", "one.npz", "several.npz"):
        assert main(["synth", "voice.linnet", name, "-o", "out.wav"]) == 0
        np.testing.assert_array_equal(read_wav("out.wav")[0], synthesized())


def test_features_as_long_as_wide_are_turned_on_request(folder: Path) -> None:
    square = np.random.default_rng(1).standard_normal((10, 10)).astype(np.float32)
    np.save("square.npy", square)
    voice = linnet.load(VOICE_BYTES)
    for options, mel in (([], square), (["--transpose"], square.T)):
        assert main(["synth", "voice.linnet", "square.npy", "-o", "out.wav", *options]) == 0
        np.testing.assert_array_equal(read_wav("out.wav")[0], voice.synthesize(mel))
    Path("ten.wav").write_bytes(wav(PCM[:200]))
    score = ["score", "voice.linnet", "ten.wav", "--mel", "square.npy"]
    assert main(score) == main([*score, "--transpose"]) == 0


def test_a_tensor_of_torch_is_taken(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    torch.save(torch.from_numpy(MEL[None]), "mel.pt")
    torch.save({"mel": torch.from_numpy(MEL.T)}, "dict.pt")
    for name in ("mel.pt", "dict.pt"):
        assert main(["synth", "voice.linnet", name, "-o", "out.wav"]) == 0
        np.testing.assert_array_equal(read_wav("out.wav")[0], synthesized())
    Path("bad.pt").write_bytes(b"PK\x03\x04")
    assert "bad.pt: not a .pt file" in failure(
        capsys, "synth", "voice.linnet", "bad.pt", "-o", "o.wav"
    )


def test_a_tensor_without_torch_asks_for_it(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    Path("mel.pt").write_bytes(b"PK\x03\x04")
    error = failure(capsys, "synth", "voice.linnet", "mel.pt", "-o", "out.wav")
    assert "mel.pt: features in a .pt file need PyTorch" in error


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mel": MEL[:9]}, "features of shape (9, 5); 10 per frame are needed"),
        ({"mel": MEL[0]}, "features of shape (5,); 10 per frame are needed"),
        ({"a": MEL, "b": MEL}, "holds 2 arrays, none called mel: a, b"),
        ({"mel": MEL.astype(np.int32)}, "features must be floating point"),
        ({"mel": np.array([None])}, "not a .npy or .npz file of numbers"),
    ],
)
def test_other_features_are_refused_by_name(
    folder: Path, capsys: pytest.CaptureFixture[str], arrays: dict[str, Any], message: str
) -> None:
    np.savez("bad.npz", **arrays)
    error = failure(capsys, "synth", "voice.linnet", "bad.npz", "-o", "out.wav")
    assert error.startswith("linnet: bad.npz: ") and message in error


def test_a_file_that_is_no_voice_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("README.md").write_text("# A text\n" * 40)
    Path("metadata.linnet").write_bytes(VOICE_BYTES.replace(b'"signal": {', b'"signal": ['))
    error = failure(capsys, "synth", "README.md", "mel.npy", "-o", "out.wav")
    assert error == "linnet: README.md: magic: this is not a .linnet file (at byte 0)\n"
    for copy in (False, True):
        with pytest.raises(linnet.FormatError, match=r"^README.md: magic") as refused:
            linnet.load("README.md", copy=copy)
        assert refused.value.offset == 0
    assert "metadata.linnet: checksum" in failure(capsys, "inspect", "metadata.linnet")


# ---- What is written


@pytest.mark.parametrize("name", ["in.wav", "link.wav", "hard.wav", "./in.wav"])
def test_an_input_is_never_replaced(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    Path("link.wav").symlink_to("in.wav")
    os.link("in.wav", "hard.wav")
    error = failure(capsys, "synth", "voice.linnet", "in.wav", "-o", name)
    assert error == f"linnet: {name} is an input itself: choose another name\n"
    assert Path("in.wav").read_bytes() == wav(PCM)


def test_nor_a_voice_a_checkpoint_or_what_an_export_reads(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("voice.raw").write_bytes(VOICE_BYTES)
    np.savez("model.npz", **tiny_tensors(tiny_config()))  # type: ignore[arg-type]
    Path("config.json").write_text("{}")
    export = ["export", "model.npz", "--config", "config.json"]
    for command in (
        ["synth", "voice.raw", "mel.npy", "-o", "voice.raw"],
        ["inspect", "voice.linnet", "--plot", "voice.linnet"],
        [*export, "-o", "model.npz"],
        [*export, "-o", "config.json"],
        [*export, "-o", "in.wav", "--score", "in.wav"],
        ["export", "voice.linnet", "--to-onnx", "voice.linnet"],
    ):
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert "is an input itself" in failure(capsys, *command)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", ["out.flac", "out.ogg", "out.FLAC"])
def test_the_ending_says_how_samples_are_written(folder: Path, name: str) -> None:
    soundfile = pytest.importorskip("soundfile")
    assert main(["synth", "voice.linnet", "mel.npy", "-o", name]) == 0
    with soundfile.SoundFile(name) as file:
        assert file.format == Path(name).suffix[1:].upper() and file.samplerate == 16000
        samples = file.read(dtype="int16")
    assert len(samples) == len(synthesized())
    if file.format == "FLAC":
        np.testing.assert_array_equal(samples, synthesized())


def test_raw_samples_have_no_header(folder: Path) -> None:
    for options in ([], ["--raw"]):
        assert main(["synth", "voice.linnet", "mel.npy", "-o", "out.raw", *options]) == 0
        assert Path("out.raw").read_bytes() == synthesized().astype("<i2").tobytes()
    Path("out").mkdir()
    assert main(["synth", "voice.linnet", "mel.npy", "-o", "out", "--raw"]) == 0
    assert Path("out/mel.raw").read_bytes() == Path("out.raw").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("-o out.mp3", "out.mp3: its name must end in one of .wav, .flac, .ogg, .raw"),
        ("-o out", "out: its name must end in one of .wav"),
        ("-o out.wav --raw", "out.wav: of raw samples, its name must end in .raw"),
    ],
)
def test_other_endings_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], options: str, message: str
) -> None:
    assert message in failure(capsys, "synth", "voice.linnet", "mel.npy", *options.split())
    assert not any(path.name.startswith("out") for path in folder.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
def test_a_pipe_is_written_into_and_stays_one(folder: Path) -> None:
    os.mkfifo("pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(Path("pipe").read_bytes()))
    reader.start()
    assert main(["synth", "voice.linnet", "mel.npy", "-o", "pipe"]) == 0
    reader.join()
    np.testing.assert_array_equal(decode(read[0], "pipe")[0], synthesized())
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)


@pytest.mark.skipif(os.name != "posix", reason="device files")
def test_a_device_is_written_into_and_stays_one(folder: Path) -> None:
    Path("null").symlink_to("/dev/null")
    for name in ("/dev/null", "null"):
        assert main(["synth", "voice.linnet", "mel.npy", "-o", name]) == 0
        write_atomic(name, b"anything")
        assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_link_is_followed(folder: Path) -> None:
    Path("there").mkdir()
    Path("there/old.wav").write_bytes(b"old")
    Path("out.wav").symlink_to("there/old.wav")
    Path("new.wav").symlink_to("there/new.wav")  # to a file that is not there yet
    for name, target in (("out.wav", "there/old.wav"), ("new.wav", "there/new.wav")):
        assert main(["synth", "voice.linnet", "mel.npy", "-o", name]) == 0
        assert Path(name).is_symlink()
        np.testing.assert_array_equal(read_wav(target)[0], synthesized())


def test_standard_input_and_output(folder: Path) -> None:
    pcm = synthesized()
    for options, expected in (([], wav(pcm)), (["--raw"], pcm.astype("<i2").tobytes())):
        process = linnet_process("synth", "voice.linnet", "-", "-o", "-", *options)
        out, err = process.communicate(Path("mel.npy").read_bytes())
        assert (process.returncode, out) == (0, expected)
        assert err.decode().startswith("-: 0.01 s at 16000 Hz")
    assert not Path("-").exists()


def test_export_from_standard_input_to_standard_output(folder: Path) -> None:
    import json

    np.savez("model.npz", **tiny_tensors(tiny_config()))  # type: ignore[arg-type]
    Path("config.json").write_text(json.dumps(tiny_config()))
    options = ["--config", "config.json", "--name", "tiny"]
    process = linnet_process("export", "-", "-o", "-", *options)
    out, err = process.communicate(Path("model.npz").read_bytes())
    assert process.returncode == 0 and b"gru.recurrent" in err
    assert main(["export", "model.npz", "-o", "new.linnet", *options]) == 0
    assert out == Path("new.linnet").read_bytes()
    assert not Path("-").exists()


@pytest.mark.skipif(os.name != "posix", reason="sends SIGTERM")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_terminated_command_leaves_the_old_file_alone(folder: Path, name: str) -> None:
    Path("out.wav").write_bytes(b"old")
    before = sorted(os.listdir())
    number = getattr(signal, name)
    program = (
        "import os, sys\n"
        f"os.fsync = lambda _: os.kill(os.getpid(), {int(number)})\n"  # amid writing
        "from linnet.cli import main\n"
        "sys.exit(main(['synth', 'voice.linnet', 'mel.npy', '-o', 'out.wav']))\n"
    )
    done = subprocess.run([sys.executable, "-c", program])
    assert done.returncode == 128 + number
    assert Path("out.wav").read_bytes() == b"old"
    assert sorted(os.listdir()) == before
