"""Recordings as arrays, samples as wav files, and how likely a voice finds a recording."""

from __future__ import annotations

import importlib
import io
import os
import wave
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from linnet.files import write_atomic
from linnet.signal import to_int16

if TYPE_CHECKING:
    from linnet.voice import Voice


def read_wav(path: str | os.PathLike[str]) -> tuple[npt.NDArray[Any], int]:
    """A mono recording: samples (n,), int16 or float32 in [-1, 1], and the sample rate in Hz.

    16-bit wav files need nothing else; other formats need soundfile (`linnet[audio]`).
    Raises ValueError for a file of several channels or of no known format, OSError from the system.
    """
    try:
        with wave.open(os.fspath(path), "rb") as file:
            if file.getsampwidth() == 2:
                _require_mono(path, file.getnchannels())
                samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
                return samples.astype(np.int16), file.getframerate()
    except (wave.Error, EOFError):
        pass  # not a plain wav file
    try:
        soundfile: Any = importlib.import_module("soundfile")
    except ImportError:
        raise ValueError(
            f"{path}: not a 16-bit wav file; others need soundfile: pip install 'linnet[audio]'"
        ) from None
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{path}: {error.error_string}") from None
    _require_mono(path, samples.shape[1])
    return samples[:, 0], int(rate)


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

    mel: its features (n_mels, n_frames), None to compute them. Raises ValueError for another sample
    rate, and as `Voice.features` and `Voice.score`.
    """
    samples, rate = read_wav(path)
    if rate != voice.sample_rate:
        raise ValueError(f"{os.fspath(path)}: {rate} Hz; the voice has {voice.sample_rate} Hz")
    if samples.dtype != np.int16:
        samples = to_int16(samples)
    return voice.score(voice.features(samples, rate) if mel is None else mel, samples)


def _require_mono(path: str | os.PathLike[str], channels: int) -> None:
    if channels != 1:
        raise ValueError(f"{path}: {channels} channels; a voice takes mono")
