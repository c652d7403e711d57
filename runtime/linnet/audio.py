"""Recordings as arrays, samples as sound files, and how likely a voice finds a recording."""

from __future__ import annotations

import importlib
import io
import os
import struct
import warnings
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from linnet.arguments import oriented
from linnet.errors import Note, install
from linnet.files import is_special, read_bytes, write_bytes
from linnet.resampling import resample
from linnet.signal import to_float, to_int16

if TYPE_CHECKING:
    from linnet.voice import Voice


WAV, RAW = ".wav", ".raw"
ENDINGS = {WAV: "WAV", ".flac": "FLAC", ".ogg": "OGG", RAW: "RAW"}


def read_wav(path: str | os.PathLike[str]) -> tuple[npt.NDArray[Any], int]:
    """A mono recording: samples (n,), int16 or float32 in [-1, 1], and the sample rate in Hz.

    path: a file, or "-" for standard input. Wav files of 8 to 32 bits, or of floating point, need
    nothing else; other formats need soundfile (`linnet[audio]`).
    Several channels are mixed down, and what is left of a file that was cut is taken, with a Note.
    Raises ValueError for a file of no known format, OSError from the system.
    """
    return decode(read_bytes(path), os.fspath(path))


def decode(data: bytes, name: str) -> tuple[npt.NDArray[Any], int]:
    """`read_wav` of a file's bytes; errors and Notes call it `name`."""
    found = _samples(data)
    if why := cut_off(data):
        warnings.warn(f"{name}: {why}", Note, stacklevel=3)
    if found is not None:
        samples, rate = found
    else:
        try:
            soundfile: Any = importlib.import_module("soundfile")
        except ImportError:
            raise ValueError(
                f"{name}: not a wav file of 8 to 32 bits or floating point;"
                f" others need soundfile: {install('audio')}"
            ) from None
        try:
            samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise ValueError(f"{name}: {error.error_string}") from None
    if rate == 0:
        raise ValueError(f"{name}: a sample rate of 0 Hz")
    if samples.shape[1] > 1:
        text = f"{name}: {samples.shape[1]} channels, mixed down to one"
        warnings.warn(text, Note, stacklevel=3)
        return to_float(samples).mean(axis=1).astype(np.float32), int(rate)
    return np.ascontiguousarray(samples[:, 0]), int(rate)


_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE  # formats of a wav file
_UNKNOWN_SIZE = 0x7FFFF000  # and above: what programs write that do not know yet how much comes
_FORMAT = "<HHIIHH"  # format, channels, rate, bytes per second, bytes per frame, bits


def _samples(data: bytes) -> tuple[npt.NDArray[Any], int] | None:
    """Samples (n, channels), int16 or float32, and the rate; None where this is no such wav file.

    A file that was cut, or written without knowing its length, is read as far as it goes.
    """
    header: tuple[int, ...] | None = None
    for name, _, chunk in _chunks(data):
        if name == b"fmt " and len(chunk) >= struct.calcsize(_FORMAT):
            header = struct.unpack_from(_FORMAT, chunk)
            if header[0] == _EXTENSIBLE and len(chunk) >= 26:
                header = (int.from_bytes(chunk[24:26], "little"), *header[1:])
        elif name == b"data" and header is not None:
            kind, channels, rate, _, frame, bits = header
            if channels == 0 or frame * 8 != channels * bits or frame == 0:
                return None
            values = _values(chunk[: len(chunk) // frame * frame], kind, bits)
            return None if values is None else (values.reshape(-1, channels), rate)
    return None


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, memoryview]]:
    """The chunks of a wav file: name, the size that it states, and what there is of it.

    A program that writes into a pipe cannot say how much comes: it leaves 0, or some gigabytes, for
    the samples' size. Then they are all that follows.
    """
    at = 12 if data[:4] == b"RIFF" and data[8:12] == b"WAVE" else len(data)
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8
        left = len(data) - at
        unknown = left < size and size >= _UNKNOWN_SIZE
        if name == b"data" and (unknown or (size == 0 and not _is_chunk(data, at))):
            size = left
        yield name, size, memoryview(data)[at : at + size]
        at += size + size % 2


def _is_chunk(data: bytes, at: int) -> bool:
    """Whether another chunk stands there, or the file's end."""
    if at == len(data):
        return True
    name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
    return name.isascii() and name.decode().isprintable() and at + 8 + size <= len(data)


def cut_off(data: bytes) -> str | None:
    """What is missing from a wav file that was cut; None of a whole one, or of another kind."""
    frame = 1
    for name, size, chunk in _chunks(data):
        if name == b"fmt " and len(chunk) >= struct.calcsize(_FORMAT):
            frame = max(1, struct.unpack_from(_FORMAT, chunk)[4])
        elif name == b"data" and len(chunk) < size:
            return f"cut off: {len(chunk)} bytes of samples, where it says {size}"
        elif name == b"data" and size % frame:
            return f"cut off: {size} bytes of samples, of {frame} bytes each"
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


def sound_format(path: str | os.PathLike[str], raw: bool = False) -> str:
    """The ending, of `ENDINGS`, that says how samples are written to a path.

    A regular file's own one; elsewhere (standard output, pipes, devices) wav, or raw where asked.
    Raises ValueError for another ending, ImportError where it needs soundfile.
    """
    if is_special(path):
        return RAW if raw else WAV
    ending = Path(path).suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(f"{os.fspath(path)}: its name must end in one of {', '.join(ENDINGS)}")
    if raw and ending != RAW:
        raise ValueError(f"{os.fspath(path)}: of raw samples, its name must end in {RAW}")
    if ending not in (WAV, RAW):
        try:
            importlib.import_module("soundfile")
        except ImportError:
            raise ImportError(f"{ending} needs soundfile: {install('audio')}") from None
    return ending


def encode(samples: npt.NDArray[np.int16], rate: int, ending: str) -> bytes:
    """int16 samples (n,) at `rate` Hz as the bytes of a mono file of that kind; of `.raw`, the
    samples alone, little-endian. Raises ValueError where the kind does not allow the rate."""
    if ending == RAW:
        return samples.astype("<i2").tobytes()
    content = io.BytesIO()
    if ending != WAV:
        soundfile: Any = importlib.import_module("soundfile")
        try:
            soundfile.write(content, samples, rate, format=ENDINGS[ending])
        except soundfile.LibsndfileError as error:
            raise ValueError(f"{ending} at {rate} Hz: {error.error_string}") from None
        return content.getvalue()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return content.getvalue()


def write_wav(path: str | os.PathLike[str], samples: npt.NDArray[np.int16], rate: int) -> None:
    """Write int16 samples (n,) at `rate` Hz as a mono wav file, whole or not at all."""
    write_bytes(path, encode(samples, rate, WAV))


def score_recording(
    voice: Voice, path: str | os.PathLike[str], mel: npt.ArrayLike | None = None
) -> float:
    """The negative log-likelihood that the voice gives to a wav file, in nats per sample.

    A recording at another sample rate is resampled. mel: its features (n_mels, n_frames), or turned
    where that is unambiguous; None to compute them. Raises ValueError as `Voice.features` and
    `Voice.score`.
    """
    samples, rate = read_wav(path)
    if rate != voice.sample_rate:
        samples = resample(to_float(samples), rate, voice.sample_rate)
    if samples.dtype != np.int16:
        samples = to_int16(samples)
    if mel is None:
        return voice.score(voice.features(samples, voice.sample_rate), samples)
    return voice.score(oriented(np.asarray(mel), voice.n_mels), samples)
