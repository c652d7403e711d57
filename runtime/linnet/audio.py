"""Recordings as arrays, samples as sound files, and how likely a voice finds a recording."""

from __future__ import annotations

import importlib
import io
import os
import struct
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from linnet.arguments import oriented
from linnet.files import is_special, read_bytes, write_bytes
from linnet.signal import to_int16

if TYPE_CHECKING:
    from linnet.voice import Voice

PCM = 1  # the format of a wav file with integers
_UNKNOWN_SIZE = 0x7FFFF000  # and above: what programs write that do not know yet how much comes
WAV, RAW = ".wav", ".raw"
ENDINGS = {WAV: "WAV", ".flac": "FLAC", ".ogg": "OGG", RAW: "RAW"}


def read_wav(path: str | os.PathLike[str]) -> tuple[npt.NDArray[Any], int]:
    """A mono recording: samples (n,), int16 or float32 in [-1, 1], and the sample rate in Hz.

    path: a file, or "-" for standard input. 16-bit wav files need nothing else; other formats need
    soundfile (`linnet[audio]`).
    Raises ValueError for a file of several channels, of no known format, or cut off; OSError from
    the system.
    """
    return decode(read_bytes(path), os.fspath(path))


def decode(data: bytes, name: str) -> tuple[npt.NDArray[Any], int]:
    """`read_wav` of a file's bytes; errors call it `name`."""
    try:
        chunks = _wav_chunks(data)
        if chunks is not None and chunks.is_16_bit:
            samples = np.frombuffer(chunks.samples, "<i2").astype(np.int16)
            channels, rate = chunks.channels, chunks.rate
        else:
            decoded, rate = _decode_other(data)
            channels, samples = decoded.shape[1], decoded[:, 0]
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if channels != 1:
        raise ValueError(f"{name}: {channels} channels; a voice takes mono")
    if rate == 0:
        raise ValueError(f"{name}: a sample rate of 0 Hz")
    return samples, rate


def require_whole(data: bytes) -> None:
    """Raises ValueError for a wav file that is cut off; says nothing of other kinds."""
    _wav_chunks(data)


class _Chunks(NamedTuple):
    """What a wav file holds."""

    format: int
    channels: int
    rate: int
    bits: int
    samples: memoryview

    @property
    def is_16_bit(self) -> bool:
        return self.format == PCM and self.bits == 16


def _wav_chunks(data: bytes) -> _Chunks | None:
    """The chunks of a wav file; None for another kind of file. ValueError where it is cut off.

    A program that writes into a pipe cannot say how much comes: it leaves 0, or some gigabytes, for
    the samples' size. Then they are all that follows.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return None
    at, header = 12, None
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        at += 8
        left = len(data) - at
        if name == b"fmt " and 16 <= size <= left:
            header = struct.unpack_from("<HHI6xH", data, at)
        if name == b"data":
            if header is None:
                raise ValueError("samples before their format")
            unit = max(1, header[1] * header[3] // 8)
            unknown = size > left and size >= _UNKNOWN_SIZE
            if unknown or (size == 0 and not _is_chunk(data, at)):
                size = left
            if size > left:
                raise ValueError(f"cut off: {left} bytes of samples, where it says {size}")
            if size % unit:
                raise ValueError(f"cut off: {size} bytes of samples, of {unit} bytes each")
            return _Chunks(*header, memoryview(data)[at : at + size])
        at += size + size % 2
    raise ValueError("a wav file without samples")


def _is_chunk(data: bytes, at: int) -> bool:
    """Whether another chunk stands there, or the file's end."""
    if at == len(data):
        return True
    if at + 8 > len(data):
        return False
    name, size = struct.unpack_from("<4sI", data, at)
    return name.isascii() and name.decode().isprintable() and at + 8 + size <= len(data)


def _decode_other(data: bytes) -> tuple[npt.NDArray[np.float32], int]:
    """Samples (n, channels) in [-1, 1] of any format that soundfile reads."""
    try:
        soundfile: Any = importlib.import_module("soundfile")
    except ImportError:
        raise ValueError(
            "not a 16-bit wav file; others need soundfile: pip install 'linnet[audio]'"
        ) from None
    try:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(error.error_string) from None
    return samples, int(rate)


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
            raise ImportError(f"{ending} needs soundfile: pip install 'linnet[audio]'") from None
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

    mel: its features (n_mels, n_frames), or turned where that is unambiguous; None to compute them.
    Raises ValueError for another sample rate, and as `Voice.features` and `Voice.score`.
    """
    samples, rate = read_wav(path)
    if rate != voice.sample_rate:
        raise ValueError(f"{os.fspath(path)}: {rate} Hz; the voice has {voice.sample_rate} Hz")
    if samples.dtype != np.int16:
        samples = to_int16(samples)
    if mel is None:
        return voice.score(voice.features(samples, rate), samples)
    return voice.score(oriented(np.asarray(mel), voice.n_mels), samples)
