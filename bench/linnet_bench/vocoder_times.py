"""`linnet bench rivals`: linnet's voices beside other vocoders that run on a CPU.

The others run in onnxruntime, in float32, on one thread (`linnet_bench.vocoders`). Times are those
that the measuring thread was running, so that other programs' time slices do not count.
"""

from __future__ import annotations

import io
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import linnet
from linnet.errors import install
from linnet.speed import random_mel
from linnet.voice import Source, Voice

try:
    import onnxruntime
    import torch

    from linnet_bench.vocoders import VOCODERS, Vocoder
except ImportError as error:
    raise ImportError(
        f"linnet bench rivals needs torch, onnx and onnxruntime: {install('train')} ({error})"
    ) from error

Float32 = npt.NDArray[np.float32]

ROUNDS = 9
SECONDS = 3.0  # of a whole utterance
CHUNK_SECONDS = 0.1
WHOLE, CHUNKS, BARE_CHUNKS = "whole", "chunks", "chunks without context"


@dataclass(frozen=True)
class VocoderTimes:
    """One vocoder's speed and size."""

    name: str
    sample_rate: int
    parameters: int  # of a voice: its stored weights
    file_bytes: int
    lookahead_milliseconds: float  # of features that samples wait for
    chunk_milliseconds: float
    # Times real time: of a whole utterance; of chunks that give the same samples; of chunks that
    # are computed without what stands around them, None where there is no difference.
    whole: float
    chunks: float
    bare_chunks: float | None


def measure(
    sources: Sequence[Source],
    kernels: str | None,
    report: Callable[[object], None],
    until: float = math.inf,
) -> tuple[list[VocoderTimes], int]:
    """Time all vocoders, and voices with one kernel set, in turn on the calling thread.

    Returns the times and the rounds, ROUNDS or as many as can be had until then
    (time.perf_counter), at least one.
    """
    alternatives = [_Voice(linnet.load(source, kernels=kernels), str(source)) for source in sources]
    others = []
    for vocoder in VOCODERS:
        report(vocoder.name)
        others.append(_Network(vocoder))
    everything: list[_Voice | _Network] = [*alternatives, *others]
    times, rounds = _in_turn(
        {(one.name, what): work for one in everything for what, work in one.work.items()},
        report,
        until,
    )
    found = []
    for one in everything:
        speed = {what: one.seconds[what] / times[one.name, what] for what in one.work}
        rates = (speed[WHOLE], speed[CHUNKS], speed.get(BARE_CHUNKS))
        found.append(VocoderTimes(one.name, *one.facts, 1000 * one.seconds[CHUNKS], *rates))
    return found, rounds


def _in_turn(
    alternatives: Mapping[tuple[str, str], Callable[[], object]],
    report: Callable[[object], None],
    until: float,
) -> tuple[dict[tuple[str, str], float], int]:
    """Median seconds of running of each alternative, and over how many rounds; a round before the
    first is not counted."""
    times: dict[tuple[str, str], list[float]] = {name: [] for name in alternatives}
    rounds = 0
    for number in range(ROUNDS + 1):
        if number > 1 and time.perf_counter() > until:
            break
        for name, work in alternatives.items():
            report(f"round {number} of {ROUNDS}: {', '.join(name)}")
            start = time.thread_time()
            work()
            times[name].append(time.thread_time() - start)
        rounds = number
    return {name: float(np.median(of[1:])) for name, of in times.items()}, rounds


def n_frames(seconds: float, sample_rate: int, hop_length: int) -> int:
    return max(1, round(seconds * sample_rate / hop_length))


class _Voice:
    """One of linnet's: each chunk is what a stream makes of as many frames."""

    def __init__(self, voice: Voice, name: str) -> None:
        rate, hop = voice.sample_rate, voice.hop_length
        whole, chunk = (n_frames(s, rate, hop) for s in (SECONDS, CHUNK_SECONDS))
        file = voice.file()
        weights = sum(t.packed.stored_weights for t in file.tensors if t.layout != "vector")
        self.name = f"linnet {name}"
        waiting = 1000 * voice.lookahead * hop / rate
        self.facts = (rate, weights, voice._bytes.size, waiting)
        self.seconds = {WHOLE: whole * hop / rate, CHUNKS: chunk * hop / rate}
        mel, frames = (random_mel(voice, n).T.copy() for n in (whole, chunk))
        made = np.empty(whole * hop, np.int16)
        stream, samples = voice._stream(0, 1.0), np.empty((chunk, hop), np.int16)
        for frame in random_mel(voice, voice.lookahead).T.copy():
            stream.push(frame[None])

        def next_chunk() -> None:
            for frame, part in zip(frames, samples, strict=True):
                stream.push(frame[None])
                stream.pull(part)

        self.work: dict[str, Callable[[], object]] = {
            WHOLE: lambda: voice._stream(0, 1.0).synthesize(mel, made),
            CHUNKS: next_chunk,
        }


class _Network:
    """One of the others: a chunk is computed with the frames around it that its samples need."""

    def __init__(self, vocoder: Vocoder) -> None:
        rate, hop, margin = vocoder.sample_rate, vocoder.hop_length, vocoder.margin
        whole, chunk = (n_frames(s, rate, hop) for s in (SECONDS, CHUNK_SECONDS))
        model, parameters = to_onnx(vocoder)
        self.name = vocoder.name
        self.facts = (rate, parameters, len(model), 1000 * margin * hop / rate)
        self.seconds = {WHOLE: whole * hop / rate}
        self.seconds |= dict.fromkeys((CHUNKS, BARE_CHUNKS), chunk * hop / rate)
        run = runner(vocoder, model)
        sizes = {WHOLE: whole, CHUNKS: chunk + 2 * margin, BARE_CHUNKS: chunk}
        mels = {what: random_features(vocoder, size) for what, size in sizes.items()}
        self.work: dict[str, Callable[[], object]] = {
            WHOLE: lambda: run(mels[WHOLE]),
            CHUNKS: lambda: run(mels[CHUNKS])[margin * hop : (margin + chunk) * hop],
            BARE_CHUNKS: lambda: run(mels[BARE_CHUNKS]),
        }


def random_features(vocoder: Vocoder, frames: int) -> Float32:
    """(n_mels, frames)."""
    shape = (vocoder.n_mels, frames)
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def to_onnx(vocoder: Vocoder) -> tuple[bytes, int]:
    """The network with random weights as an ONNX model for any number of frames; its parameters."""
    torch.manual_seed(0)
    network = vocoder.build().eval()
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter(
            "ignore"
        )  # of this exporter's age: the new one needs one more package
        torch.onnx.export(
            network,
            (torch.zeros(1, vocoder.n_mels, 8),),
            file,
            dynamo=False,
            input_names=["mel"],
            output_names=["out"],
            dynamic_axes={"mel": {2: "frames"}},
        )
    return file.getvalue(), sum(p.numel() for p in network.parameters())


def runner(vocoder: Vocoder, model: bytes) -> Callable[[Float32], Float32]:
    """Makes samples of features (n_mels, frames), on the calling thread alone."""
    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda mel: vocoder.finish(session.run(None, {"mel": mel[None]})[0])
