"""Whole utterances: every kernel set gives the reference's samples and scores."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("numba", reason="the reference needs Numba")

from linnet import _core, kernels  # noqa: E402
from linnet.reference.engine import ReferenceVoice  # noqa: E402
from varied_voices import varied_voices  # noqa: E402

N_FRAMES = 60

each_set = pytest.mark.parametrize("name", kernels())
each_voice = pytest.mark.parametrize("voice", list(varied_voices()))
each_scored = pytest.mark.parametrize(
    "voice", [voice for voice in varied_voices() if not voice.startswith("source-filter")]
)


@functools.cache
def reference(voice: str) -> ReferenceVoice:
    return ReferenceVoice(varied_voices()[voice])


@functools.cache
def expected(voice: str, seed: int, stream: int, temperature: float) -> npt.NDArray[np.int16]:
    return reference(voice).synthesize(features(voice), seed, stream, temperature)


def features(voice: str) -> npt.NDArray[np.float32]:
    shape = (reference(voice).header.n_features, N_FRAMES)
    return np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)


def stream_of(
    voice: str, name: str, seed: int = 0, stream: int = 0, temperature: float = 1.0
) -> _core.Stream:
    running = _core.Stream(
        _core.Model.from_buffer(varied_voices()[voice]), seed, stream, temperature, name
    )
    assert running.kernels == name
    return running


@each_set
@pytest.mark.parametrize(
    ("seed", "stream", "temperature"),
    [(0, 0, 1.0), (2**64 - 1, 2**32 - 1, 0.6), (7, 0, 0.0), (7, 0, 1e-40)],
)
@each_voice
def test_samples(voice: str, name: str, seed: int, stream: int, temperature: float) -> None:
    frames = np.ascontiguousarray(features(voice).T)
    samples = np.zeros(N_FRAMES * reference(voice).header.hop_length, np.int16)
    made = stream_of(voice, name, seed, stream, temperature).synthesize(frames, samples)
    assert made == len(samples)
    np.testing.assert_array_equal(samples, expected(voice, seed, stream, temperature))


@each_set
@each_scored
def test_scores(voice: str, name: str) -> None:
    """A logit that is off by one bit shows here, even where it would not change a sample."""
    signal = reference(voice).file.metadata["signal"]
    bits = 16 if signal["companding"] == "excitation" else signal["bits"]  # of a recording
    n = N_FRAMES * reference(voice).header.hop_length
    if reference(voice).file.subscale is None:
        n -= 8
    tokens = np.random.default_rng(1).integers(0, 2**bits, n).astype(np.uint16)
    nats = reference(voice).score(features(voice), tokens)
    frames = np.ascontiguousarray(features(voice).T)
    # Both take log in float64 of the same float32 numbers: libraries differ in its last bit or two.
    # A sum of n values of up to 2^7 nats and 2^11 in all, in float64, is off by far less than that.
    assert stream_of(voice, name).score(frames, tokens) == pytest.approx(nats.sum(), abs=1e-9)
