"""A recording, as a voice scores it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from linnet.audio import read_wav, to_int16

if TYPE_CHECKING:
    import numpy.typing as npt

    from linnet.voice import Voice


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
