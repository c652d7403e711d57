"""Reading wav files: every kind that the standard library's bytes suffice for, and refusals."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from linnet import audio
from linnet.audio import read_wav, write_wav
from linnet.errors import Note

NOISE = np.random.default_rng(0).uniform(-1, 1, 501)


@pytest.mark.parametrize("kind", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("container", ["WAV", "WAVEX"])
def test_wav_files_are_read_as_soundfile_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, container: str
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, NOISE, 22050, kind, format=container)
    expected, _ = soundfile.read(path, dtype="int16" if kind == "PCM_16" else "float32")
    monkeypatch.setattr(audio, "importlib", None)  # what needs a package fails
    samples, rate = read_wav(path)
    assert rate == 22050 and samples.dtype == expected.dtype
    np.testing.assert_array_equal(samples, expected)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    pcm = (NOISE * 32767).astype(np.int16)
    write_wav(tmp_path / "a.wav", pcm, 16000)
    samples, rate = read_wav(tmp_path / "a.wav")
    assert rate == 16000
    np.testing.assert_array_equal(samples, pcm)


def wav(samples: npt.NDArray[np.int16], size: int | None = None, before: bytes = b"") -> bytes:
    """A wav file that says that its samples have `size` bytes, with chunks before them."""
    header = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16)
    data = samples.astype("<i2").tobytes()
    start = header + before + struct.pack("<4sI", b"data", len(data) if size is None else size)
    return struct.pack("<4sI4s", b"RIFF", 4 + len(start + data), b"WAVE") + start + data


@pytest.mark.parametrize("size", [1002, 0xFFFFFFFF, 5000])
def test_a_file_that_does_not_know_its_length_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    pcm = (NOISE * 32767).astype(np.int16)
    note = b"LIST\x03\x00\x00\x00abc\x00"  # of odd size, with the byte that fills it up
    (tmp_path / "a.wav").write_bytes(wav(pcm, size, note))
    known = pytest.warns(Note, match="cut off") if size == 5000 else contextlib.nullcontext()
    with known:
        np.testing.assert_array_equal(read_wav(tmp_path / "a.wav")[0], pcm)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 60), st.integers(0, 255), st.integers(0, 60))
def test_a_damaged_file_is_read_or_refused(at: int, value: int, length: int) -> None:
    data = bytearray(wav(np.arange(8, dtype=np.int16)))
    data[min(at, len(data) - 1)] = value
    found = audio._samples(bytes(data[: max(length, 12)]))
    assert found is None or (found[0].ndim == 2 and found[1] > 0)


def test_other_formats_need_soundfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, NOISE, 16000)
    assert read_wav(path)[0].size == NOISE.size

    class Without:
        @staticmethod
        def import_module(name: str) -> Any:
            raise ImportError(name)

    monkeypatch.setattr(audio, "importlib", Without)
    with pytest.raises(ValueError, match=r"a\.flac: not a wav file .*pip install '\.\[audio\]'"):
        read_wav(path)


def test_what_is_no_recording_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF")
    with pytest.raises(ValueError, match="a.wav: "):
        read_wav(path)


def test_several_channels_become_their_mean(tmp_path: Path) -> None:
    path, both = tmp_path / "a.wav", np.stack([NOISE, -0.5 * NOISE], axis=1)
    for kind in ("PCM_16", "FLOAT"):
        soundfile.write(path, both, 16000, subtype=kind)
        stored = soundfile.read(path, always_2d=True)[0]
        with pytest.warns(Note, match=r"a\.wav: 2 channels, mixed down to one"):
            samples, rate = read_wav(path)
        assert (rate, samples.dtype) == (16000, np.dtype(np.float32))
        np.testing.assert_array_equal(samples, stored.mean(axis=1).astype(np.float32))
