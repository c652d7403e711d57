"""Word errors of an offline recogniser, PocketSphinx, whose English model comes with its package.

It is weak by today's measures: what it makes of the recordings themselves is the yardstick.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linnet.signal import to_int16

RATE = 16000


def words(text: str) -> str:
    """Lower case words, apart by single spaces, without punctuation."""
    return " ".join(re.sub(r"[^a-z' ]", " ", text.lower()).split())


class Recogniser:
    """Raises ImportError where pocketsphinx is not installed."""

    def __init__(self) -> None:
        from pocketsphinx import Decoder

        self.decoder: Any = Decoder(samprate=RATE, loglevel="FATAL")

    def transcribe(self, pcm: NDArray[np.int16], sample_rate: int) -> str:
        """The words of an utterance (n,), "" if none was recognised."""
        if sample_rate != RATE:
            import librosa

            audio = librosa.resample(
                pcm.astype(np.float32) / 32768.0, orig_sr=sample_rate, target_sr=RATE
            )
            pcm = to_int16(audio)
        self.decoder.start_utt()
        self.decoder.process_raw(pcm.tobytes(), False, True)
        self.decoder.end_utt()
        found = self.decoder.hyp()
        return words(found.hypstr) if found else ""

    def errors(self, pcm: NDArray[np.int16], sample_rate: int, text: str) -> int:
        """Words replaced, left out or put in, against the text that was read."""
        import jiwer

        found = jiwer.process_words(words(text), self.transcribe(pcm, sample_rate))
        return int(found.substitutions + found.deletions + found.insertions)
