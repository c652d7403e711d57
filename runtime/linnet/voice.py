"""Voices: load a `.linnet` file, turn features into samples."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np
import numpy.typing as npt

from linnet import _core
from linnet.arguments import (
    checked_frame,
    checked_mel,
    checked_pcm,
    checked_seed,
    checked_seeds,
    checked_temperature,
    checked_threads,
    checked_utterance,
)
from linnet.bundled import find
from linnet.errors import FeatureWarning, FormatError, named
from linnet.features import log_mel
from linnet.features.ranges import complaint, seen
from linnet.files import write_atomic
from linnet.format.description import describe
from linnet.format.operations import AllPole
from linnet.format.reading import decoded, read_metadata
from linnet.format.voice_file import VoiceFile
from linnet.progress import reporter
from linnet.stream import VoiceStream

Float32 = npt.NDArray[np.float32]
Int16 = npt.NDArray[np.int16]
Source = str | os.PathLike[str] | bytes | bytearray | memoryview


def load(
    path: Source, threads: SupportsIndex = 1, kernels: str | None = None, copy: bool = False
) -> Voice:
    """Open a voice: a path, which is mapped and run in place, the name of one that comes with
    linnet (`linnet.voices()`), or the bytes of a file.

    threads: 1 .. 16, how many make the samples of one utterance together; the samples are the same.
    Threads meet several times per sample, so more than one pays only for large voices, on idle
    cores that share a cache; small voices use one thread whatever is asked. For several utterances
    there is `Voice.synthesize_batch`; on several cores, call it from as many Python threads.
    kernels: a name of `linnet.kernels()`; None for the best set that this CPU has.
    copy: read the file into memory instead. One that is mapped must stay as it is while the voice
    is used: to truncate it or to write into it ends the process (a rename over it does no harm).

    Raises linnet.FormatError for a damaged, hostile or newer file, OSError where it cannot be read,
    and ValueError for the other arguments.
    """
    n_threads = checked_threads(threads)
    available = _core.kernels()
    if kernels is not None and kernels not in available:
        raise ValueError(f"this CPU has no kernel set {kernels!r}; it has: {', '.join(available)}")
    source = path if isinstance(path, (bytes, bytearray, memoryview)) else find(path)
    if copy and not isinstance(source, (bytes, bytearray, memoryview)):
        with named(source):
            return Voice(Path(source).read_bytes(), kernels, n_threads)
    return Voice(source, kernels, n_threads, path)


class Voice:
    """A loaded voice. Read-only: any number of threads may use one at the same time.

    It can be pickled, for the processes of a pool: one that was loaded from a path is opened there
    anew, and chooses its kernels anew if none were asked for. A deep copy shares the file.

    Whatever takes features warns once (linnet.FeatureWarning) of such as can hardly be this
    voice's, and names those they look like; with strict=True it raises ValueError instead.
    """

    def __init__(
        self, source: Source, kernels: str | None, threads: int, asked: Source | None = None
    ) -> None:
        """asked: what `load` was given, which may be a bundled voice's name."""
        if isinstance(source, (bytes, bytearray, memoryview)):
            data = bytes(source)
            self._model = _core.Model.from_buffer(data)
            self._metadata = _metadata(self._model.metadata)
            self._bytes = np.frombuffer(data, np.uint8)
        else:
            with named(source):
                self._model = _core.Model.open(os.fsencode(source))
                self._metadata = _metadata(self._model.metadata)
            self._bytes = np.asarray(np.memmap(source, np.uint8, mode="r"))
        self._kernels = kernels or _core.kernels()[0]
        self._threads = threads
        self._range = seen(self._metadata)
        self._warned = False
        self._again = (self._opened_by(source, asked), threads, kernels)

    def _opened_by(self, source: Source, asked: Source | None) -> Source:
        """What another process opens this voice by: its bytes, path, or name."""
        if isinstance(source, (bytes, bytearray, memoryview)):
            return self._bytes.tobytes()
        return asked if isinstance(asked, str) and asked != source else os.path.abspath(source)

    def __reduce__(self) -> tuple[Any, ...]:
        return load, self._again

    def __deepcopy__(self, memo: dict[int, Any]) -> Voice:
        return copy.copy(self)

    def __copy__(self) -> Voice:
        other = Voice.__new__(Voice)
        other.__dict__.update(self.__dict__)
        return other

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the voice's file, whole or not at all. Raises OSError from the system."""
        write_atomic(path, self._bytes.tobytes())

    @property
    def sample_rate(self) -> int:
        """Samples per second."""
        return self._model.sample_rate

    @property
    def hop_length(self) -> int:
        """Samples per frame."""
        return self._model.hop_length

    @property
    def n_mels(self) -> int:
        """Features per frame."""
        return self._model.n_features

    @property
    def lookahead(self) -> int:
        """Frames that must arrive after a frame before its samples can be made."""
        return self._model.lookahead

    @property
    def kernels(self) -> str:
        """The name of the kernel set in use."""
        return self._kernels

    @property
    def threads(self) -> int:
        """Threads that an utterance may use."""
        return self._threads

    def info(self) -> dict[str, Any]:
        """What the file says of itself and what it holds.

        Keys: name, architecture, sample_rate (Hz), hop_length (samples), samples_per_step (what the
        network makes at a time), n_mels, lookahead_frames,
        latency_ms (from a frame's arrival to its first sample, frames arriving one per hop),
        sub_tensors (that the signal is folded into, 1 where it is not) and
        lead_samples (by which the first is ahead of the last, within the latency),
        matching (how many frames of the samples each hop brings nearer to the features; 0: not),
        matching_rounds (how often it does so),
        hidden_size, and of the recurrent matrix: sparsity, block, dtype; file_bytes,
        stored_weights (of all matrices), bytes_per_weight (file_bytes / stored_weights), kernels,
        threads, features and signal (their definitions), temperature (by which the exporter has
        divided the logits already), layers (one dict per tensor), training
        (free-form provenance).
        """
        return {**describe(self.file()), "kernels": self._kernels, "threads": self._threads}

    def file(self) -> VoiceFile:
        """The file's tensors and programs."""
        return decoded(self._bytes)

    def features(self, audio: npt.ArrayLike, sample_rate: int) -> Float32:
        """Audio (n_samples,) -> the features (n_mels, n_frames) that this voice was trained on.

        audio: mono, int16 or floating point in [-1, 1]; resampled where sample_rate (Hz) is not
        the voice's. n_frames = ceil(n_samples / hop_length).
        Raises ValueError where the voice does not define its features as log-mel bands.
        """
        definition = self._metadata["features"]
        if definition.get("kind") != "log-mel":
            description = definition.get("description") or "it stores no description"
            raise ValueError(
                f"only the tool that made this voice makes its features: {description}"
            )
        return log_mel(audio, sample_rate, definition)

    def synthesize(
        self,
        mel: npt.ArrayLike,
        seed: SupportsIndex = 0,
        temperature: SupportsFloat = 1.0,
        progress: bool = False,
        strict: bool = False,
    ) -> Int16:
        """Features (n_mels, n_frames) -> int16 samples (n_frames * hop_length,).

        mel: floating point of any precision, an array or a PyTorch tensor; (1, n_mels, n_frames) is
        taken, too.
        seed: 0 .. 2^64 - 1. temperature: divides the logits; 0 takes the likeliest class each time.
        Of a mixture of logistics it divides the mixture's logits and multiplies the scales; 0 takes
        the mean of the likeliest logistic. Where noise is filtered it multiplies that.
        progress: show a bar on stderr. The GIL is released; Ctrl-C stops the work.
        strict: refuse features that can hardly be this voice's, instead of warning once.
        Raises ValueError before any sample is made: for features of another shape, that are not
        floating point, or not finite; for the other arguments.
        """
        frames = checked_mel(mel, self.n_mels)
        self._guard(frames, strict)
        stream = self._stream(seed, temperature)
        samples = np.zeros(len(frames) * self.hop_length, np.int16)
        with reporter(samples.size, progress) as report:
            stream.synthesize(frames, samples, report)
        return samples

    def synthesize_batch(
        self,
        mels: Iterable[npt.ArrayLike],
        seeds: Iterable[SupportsIndex] | None = None,
        temperature: SupportsFloat = 1.0,
        progress: bool = False,
        strict: bool = False,
    ) -> list[Int16]:
        """Several utterances at once: features (n_mels, n_frames), ... -> int16 samples of each.

        The samples are those that `synthesize` gives each with its seed, but come sooner: up to
        eight utterances at a time multiply with the weights together, on one thread whatever the
        voice's `threads`. Lengths may differ. seeds: one per utterance; None for 0 each.
        temperature, progress, strict and errors as in `synthesize`; errors name the utterance, from
        0.
        """
        frames = [checked_utterance(mel, self.n_mels, n) for n, mel in enumerate(mels)]
        for utterance in frames:
            self._guard(utterance, strict)
        numbers = checked_seeds(seeds, len(frames))
        number = checked_temperature(temperature)
        total = sum(map(len, frames)) * self.hop_length
        with reporter(total, progress) as report:
            return _core.synthesize_batch(
                self._model, frames, numbers, number, self._kernels, report
            )

    def stream(
        self,
        frames: Iterable[npt.ArrayLike],
        seed: SupportsIndex = 0,
        temperature: SupportsFloat = 1.0,
        strict: bool = False,
    ) -> Iterator[Int16]:
        """Frames (n_mels,), one after the other -> int16 samples in chunks of up to one hop.

        Each chunk comes as soon as it can be computed: the samples of frame t once frame
        t + lookahead has come, the last ones after the last frame. The chunks together have the
        bits of `synthesize`. Raises ValueError for a bad argument at once, for a bad frame when it
        comes.
        """
        return self._chunks(frames, self._stream(seed, temperature), strict)

    def open_stream(
        self,
        seed: SupportsIndex = 0,
        temperature: SupportsFloat = 1.0,
        strict: bool = False,
    ) -> VoiceStream:
        """An utterance to push frames to and pull samples from, as in C; also an asynchronous
        iterator. Raises ValueError for a bad argument."""
        return VoiceStream(
            self._stream(seed, temperature),
            self.n_mels,
            self.hop_length,
            self.lookahead,
            lambda frames: self._guard(frames, strict),
        )

    def _chunks(
        self, frames: Iterable[npt.ArrayLike], stream: _core.Stream, strict: bool
    ) -> Iterator[Int16]:
        for number, frame in enumerate(frames):
            row = checked_frame(frame, self.n_mels, number)
            self._guard(row, strict)
            stream.push(row)
            yield from self._pull(stream)
        stream.finish()
        yield from self._pull(stream)

    def _pull(self, stream: _core.Stream) -> Iterator[Int16]:
        while True:
            samples = np.empty(self.hop_length, np.int16)
            made = stream.pull(samples)
            if made == 0:
                return
            yield samples[:made]

    def score(self, mel: npt.ArrayLike, pcm: npt.ArrayLike) -> float:
        """The negative log-likelihood that the voice gives to a recording, in nats per sample.

        Teacher-forced, at temperature 1, of the network: matching its samples to the features
        comes afterwards. mel: (n_mels, n_frames). pcm: int16 (n,), where n is
        n_frames * hop_length or less by less than one hop, which for a voice of sub-tensors is
        filled up with silence. Raises ValueError for anything else, for a voice that makes samples
        in sub-bands: a recording does not tell those, and for one without a network of samples,
        which draws none.
        """
        from linnet.signal import encode

        file = self.file()
        if isinstance(file.sample_program[-1], AllPole):
            raise ValueError(
                "this voice filters pulses and noise, and so gives no likelihood to a recording"
            )
        if self._model.samples_per_step > 1 and file.subscale is None:
            raise ValueError(
                f"this voice makes {self._model.samples_per_step} samples at a time, in sub-bands,"
                " and so gives no likelihood to a recording"
            )
        frames = checked_mel(mel, self.n_mels)
        self._guard(frames, strict=False)
        samples = checked_pcm(pcm, len(frames), self.hop_length)
        if file.subscale is not None:
            samples = np.pad(samples, (0, -len(samples) % self.hop_length))
        signal = self._metadata["signal"]
        if signal.get("companding") == "excitation":  # what it is depends on the features
            tokens = (samples.astype(np.int32) + 32768).astype(np.uint16)
        else:
            tokens = encode(samples, signal).astype(np.uint16)
        return self._stream(0, 1.0).score(frames, tokens) / len(tokens)

    def _guard(self, frames: Float32, strict: bool) -> None:
        """Warn once, or raise, of frames (n_frames, n_mels) that can hardly be this voice's."""
        if self._range is None or (self._warned and not strict) or not self._range.far(frames):
            return
        text = complaint(frames.T, self._range, self._metadata["features"])
        if strict:
            raise ValueError(text)
        self._warned = True
        warnings.warn(text, FeatureWarning, stacklevel=3)

    def _stream(self, seed: SupportsIndex, temperature: SupportsFloat) -> _core.Stream:
        return _core.Stream(
            self._model,
            checked_seed(seed),
            0,
            checked_temperature(temperature),
            self._kernels,
            self._threads,
        )

    def __repr__(self) -> str:
        name = self._metadata.get("name", "unnamed")
        frames = f"{self.n_mels} features every {self.hop_length} samples"
        return f"<Voice {name!r}: {self.sample_rate} Hz, {frames}>"


def _metadata(text: bytes) -> dict[str, Any]:
    metadata = read_metadata(text)
    for key in ("features", "signal"):
        if not isinstance(metadata.setdefault(key, {}), dict):
            raise FormatError(f"metadata: {key} is not a JSON object")
    return metadata
