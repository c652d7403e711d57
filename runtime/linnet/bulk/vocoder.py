"""One worker's part: groups of utterances to wav files, errors as values."""

from __future__ import annotations

import errno
import os
from typing import Any

import numpy as np

from linnet.arguments import checked_mel
from linnet.audio import write_wav
from linnet.bulk.utterances import Utterance
from linnet.errors import one_line
from linnet.inputs import load_features
from linnet.voice import load

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


class Vocoder:
    """Vocodes batches of utterances; what Ray Data's `map_batches` takes.

    voice: a path, or the bytes of a voice (which travel to machines without that path).
    output: the folder of the wav files. seed, temperature: of the run; the seed of an utterance
    is `Utterance.seed(seed)`. mel_from, strict: as of `linnet.bulk.vocode`.
    """

    def __init__(
        self,
        voice: str | os.PathLike[str] | bytes,
        output: str | os.PathLike[str],
        seed: int = 0,
        temperature: float = 1.0,
        mel_from: str | None = None,
        strict: bool = False,
        kernels: str | None = None,
    ) -> None:
        self._voice = load(voice, kernels=kernels)
        self._output = os.fspath(output)
        self._seed = seed
        self._temperature = temperature
        self._mel_from = mel_from
        self._strict = strict

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Columns name and path -> name, path, seconds (of audio), error (empty: it is done).

        stop: whether no other utterance can succeed either, since the disk is full.
        """
        utterances = [
            Utterance(str(name), str(path))
            for name, path in zip(batch["name"], batch["path"], strict=True)
        ]
        results = [_Result() for _ in utterances]
        mels: list[Any] = []
        for utterance, result in zip(utterances, results, strict=True):
            try:
                mel = load_features(self._voice, utterance.path, self._mel_from)
                if self._strict:
                    self._voice._guard(checked_mel(mel, self._voice.n_mels), strict=True)
                mels.append(mel)
            except Exception as error:  # of one utterance, whatever it is: the others go on
                mels.append(None)
                result.failed(error)
        self._synthesize(utterances, results, mels)
        return {
            "name": np.array([utterance.name for utterance in utterances], object),
            "path": np.array([utterance.path for utterance in utterances], object),
            "seconds": np.array([result.seconds for result in results]),
            "error": np.array([result.error for result in results], object),
            "stop": np.array([result.stop for result in results]),
        }

    def _synthesize(
        self, utterances: list[Utterance], results: list[_Result], mels: list[Any]
    ) -> None:
        good = [n for n, mel in enumerate(mels) if mel is not None]
        try:
            samples = self._voice.synthesize_batch(
                [mels[n] for n in good],
                [utterances[n].seed(self._seed) for n in good],
                self._temperature,
            )
        except MemoryError as error:
            for n in good:
                results[n].failed(error)
            return
        for n, pcm in zip(good, samples, strict=True):
            try:
                path = utterances[n].output(self._output)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                write_wav(path, pcm, self._voice.sample_rate)
                results[n].seconds = len(pcm) / self._voice.sample_rate
            except OSError as error:
                results[n].failed(error)


class _Result:
    def __init__(self) -> None:
        self.seconds = 0.0
        self.error = ""
        self.stop = False

    def failed(self, error: Exception) -> None:
        self.error = one_line(error)
        self.stop = isinstance(error, OSError) and error.errno in NO_SPACE
