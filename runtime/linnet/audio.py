"""Recordings as arrays, samples as wav files, and how likely a voice finds a recording."""

from __future__ import annotations

import importlib
import io
import os
import struct
import warnings
import wave
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from linnet.errors import Note, install
from linnet.files import write_atomic
from linnet.resampling import resample
from linnet.signal import to_int16

if TYPE_CHECKING:
    from linnet.voice import Voice


def read_wav(path: str | os.PathLike[str]) -> tuple[npt.NDArray[Any], int]:
    """A mono recording: samples (n,), int16 or float32 in [-1, 1], and the sample rate in Hz.

    Wav files of 8 to 32 bits, or of floating point, need nothing else; other formats need soundfile
    (`linnet[audio]`).
    Several channels are mixed down, with a Note. Raises ValueError for a file of no known format,
    OSError from the system.
    """
    with open(path, "rb") as file:
        found = _samples(file.read())
    if found is not None:
        samples, rate = found
    else:
        try:
            soundfile: Any = importlib.import_module("soundfile")
        except ImportError:
            raise ValueError(
                f"{path}: not a wav file of 8 to 32 bits or floating point;"
                f" others need soundfile: {install('audio')}"
            ) from None
        try:
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise ValueError(f"{path}: {error.error_string}") from None
    if samples.shape[1] > 1:
        text = f"{os.fspath(path)}: {samples.shape[1]} channels, mixed down to one"
        warnings.warn(text, Note, stacklevel=2)
        scale = 1 / 32768 if samples.dtype == np.int16 else 1
        return (samples.mean(axis=1, dtype=np.float64) * scale).astype(np.float32), int(rate)
    return np.ascontiguousarray(samples[:, 0]), int(rate)


_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE  # formats of a wav file
_FORMAT = "<HHIIHH"  # format, channels, rate, bytes per second, bytes per frame, bits


def _samples(data: bytes) -> tuple[npt.NDArray[Any], int] | None:
    """Samples (n, channels), int16 or float32, and the rate; None where this is no such wav file.

    A file that was cut, or written without knowing its length, is read as far as it goes.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return None
    header: tuple[int, ...] | None = None
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        chunk = memoryview(data)[at + 8 : at + 8 + size]
        if name == b"fmt " and len(chunk) >= struct.calcsize(_FORMAT):
            header = struct.unpack_from(_FORMAT, chunk)
            if header[0] == _EXTENSIBLE and len(chunk) >= 26:
                header = (int.from_bytes(chunk[24:26], "little"), *header[1:])
        elif name == b"data" and header is not None:
            kind, channels, rate, _, frame, bits = header
            if channels == 0 or rate == 0 or frame * 8 != channels * bits:
                return None
            values = _values(chunk[: len(chunk) // frame * frame], kind, bits)
            return None if values is None else (values.reshape(-1, channels), rate)
        at += 8 + size + size % 2
    return None


def _values(data: memoryview, kind: int, bits: int) -> npt.NDArray[Any] | None:
    """All samples of a wav file, int16 or float32; None for a format of other tools."""
    if kind == _FLOAT and bits in (32, 64):
        with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused later
            return np.frombuffer(data, f"<f{bits // 8}").astype(np.float32)
    if kind != _PCM or bits not in (8, 16, 24, 32):
        return None
    if bits == 16:
        return np.frombuffer(data, "<i2").astype(np.int16)
    if bits == 8:  # the only unsigned ones
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    if bits == 32:
        return (np.frombuffer(data, "<i4") / 2.0**31).astype(np.float32)
    bytes_ = np.frombuffer(data, np.uint8).reshape(-1, 3)
    wide = np.zeros((len(bytes_), 4), np.uint8)
    wide[:, 1:] = bytes_
    return (wide.view("<i4").ravel() / 2.0**31).astype(np.float32)


def write_wav(path: str | os.PathLike[str], samples: npt.NDArray[np.int16], rate: int) -> None:
    """Write int16 samples (n,) at `rate` Hz as a mono wav file, whole or not at all."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    write_atomic(path, content.getvalue())


def score_recording(
    voice: Voice, path: str | os.PathLike[str], mel: npt.ArrayLike | None = None
) -> float:
    """The negative log-likelihood that the voice gives to a wav file, in nats per sample.

    A recording at another sample rate is resampled. mel: its features (n_mels, n_frames), None to
    compute them. Raises ValueError as `Voice.features` and `Voice.score`.
    """
    samples, rate = read_wav(path)
    if rate != voice.sample_rate:
        scale = 1 / 32768 if samples.dtype == np.int16 else 1
        samples = resample(samples.astype(np.float64) * scale, rate, voice.sample_rate)
    if samples.dtype != np.int16:
        samples = to_int16(samples)
    return voice.score(voice.features(samples, voice.sample_rate) if mel is None else mel, samples)
