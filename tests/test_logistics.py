"""Mixtures of logistics and band merging against what they mean."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import linnet
from linnet import _core
from linnet.format.operations import Logistics, Operand, SubBands
from linnet_export.building.builder import Builder
from linnet_export.writing.storage import Storage
from linnet_export.writing.writer import to_bytes
from logistic_voices import FILTERS, logistic_voice

U = 2.0**-24
LOGITS = np.array([0.5, -1.0, 1.5])
MEANS = np.array([-0.25, 0.125, 0.375])
LOG_SCALES = np.array([-4.0, -3.0, -5.0])
STEPS = 32768.0


def constant_voice(spread: str, n_samples: int) -> linnet.Voice:
    """A voice whose samples are drawn from one mixture, whatever came before."""
    builder = Builder(16000, n_samples, 1, Storage("float32"))
    scales = LOG_SCALES if spread == "exp" else np.log(np.expm1(np.exp(LOG_SCALES)))
    logits, means, parameters = (
        builder.linear(name, np.zeros((3, 1)), builder.features, bias=values)
        for name, values in (("mix", LOGITS), ("means", MEANS), ("scales", scales))
    )
    drawn = builder.buffer(1)
    builder.begin_samples()
    builder.logistics(
        logits, means, parameters, drawn, scale_activation=spread, values_per_unit=STEPS
    )
    builder.bands(drawn)
    return linnet.load(to_bytes(builder.voice({"name": "constant"})))


@pytest.mark.parametrize("spread", ["exp", "softplus"])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_samples_have_the_distribution_of_the_mixture(spread: str, temperature: float) -> None:
    n, cells = 65536, 64
    voice = constant_voice(spread, n)
    samples = voice.synthesize(np.zeros((1, 1), np.float32), 3, temperature)
    shares = np.exp(LOGITS / temperature)
    shares /= shares.sum()
    scales = temperature * np.exp(LOG_SCALES)

    def distribution(v: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        parts = shares / (1 + np.exp(-(v[:, None] - MEANS) / scales))
        return np.asarray(parts.sum(1))

    borders = np.quantile(samples, np.linspace(0, 1, cells + 1)[1:-1]).astype(np.int64)
    borders = np.unique(borders[borders > 0])  # cut towards zero: n is v >= n / STEPS
    below = np.concatenate([[0], distribution(borders / STEPS), [1]])
    counts = np.histogram(samples, np.concatenate([[-40000], borders, [40000]]))[0]
    expected = n * np.diff(below)
    # As in test_functions: exceeded with a chance of e^-14. Borders from the data only lower it.
    d, t = len(counts) - 1, 14
    assert len(counts) > cells / 2
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert statistic < d + 2 * math.sqrt(d * t) + 2 * t


def test_temperature_0_gives_the_mean_of_the_likeliest() -> None:
    voice = constant_voice("exp", 5)
    samples = voice.synthesize(np.zeros((1, 2), np.float32), 1, 0.0)
    np.testing.assert_array_equal(samples, np.full(10, MEANS[2] * STEPS))


@pytest.mark.parametrize(
    ("steps", "classes", "tokens"),
    [(0.0, 2, range(2)), (0.0, 700, range(700)), (32.0, 65536, range(32768 - 1300, 32768 + 1300))],
)
def test_the_probabilities_of_all_tokens_add_up_to_1(
    steps: float, classes: int, tokens: range
) -> None:
    pytest.importorskip("numba", reason="the reference needs Numba")
    from linnet.reference import logistics as reference

    place = Operand(0)
    op = Logistics(3, 1, 0, place, place, place, place, -86.0, 0, steps, classes)
    logits, means, scales = (x.astype(np.float32) for x in (LOGITS, 3 * MEANS, LOG_SCALES + 2))
    nats = np.array([reference.nats(op, logits, means, scales, token) for token in tokens])
    assert (nats >= 0).all()
    # The logits' sum is rounded a few times in float32. Beyond the tokens lies less than e^-40.
    assert np.exp(-nats).sum() == pytest.approx(1, abs=8 * U)


def merged(bands: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Two bands (n, 2) as one signal (2 n), in float64, before it is cut."""

    def branch(x: npt.NDArray[np.float64], coefficients: npt.NDArray[np.float64]) -> list[float]:
        signal = list(x)
        for z in coefficients:
            filtered, last_x, last_y = [], 0.0, 0.0
            for value in signal:
                last_y = z * value + last_x - z * last_y
                last_x = value
                filtered.append(last_y)
            signal = filtered
        return signal

    low, high = bands.T.astype(np.float64)
    out = np.empty(bands.size)
    out[0::2], out[1::2] = branch(low + high, FILTERS[1]), branch(low - high, FILTERS[0])
    return out


def rounding_error(coefficients: npt.NDArray[np.float64], largest: float) -> float:
    """How far float32 can be off at the end of a branch, of inputs of at most `largest`."""
    error = 0.0
    for z in coefficients:
        # The sizes of a section's impulse response z, 1 - z^2, -z (1 - z^2), ... add up to
        # 1 + 2 z. x - y' and y are rounded; what is wrong in y comes back z times.
        output = (1 + 2 * z) * largest
        error = (1 + 2 * z) * error + U * (z * (largest + output) + output) / (1 - z)
        largest = output
    return error


def test_two_bands_are_merged_by_all_pass_filters() -> None:
    pytest.importorskip("numba", reason="the reference needs Numba")
    from linnet.reference import logistics as reference

    rng = np.random.default_rng(0)
    bands = rng.integers(-20000, 20000, (400, 2))
    state = np.zeros(1 + 6, np.float32)
    op = SubBands(1, 0, Operand(0), Operand(0), 0.0)
    filters = FILTERS.reshape(-1).astype(np.float32)
    got = [
        reference.merge_bands(op, filters, (pair / 32768).astype(np.float32), state)
        for pair in bands
    ]
    exact = np.clip(merged(bands), -32768, 32767)
    bound = max(rounding_error(branch, 40000.0) for branch in FILTERS)
    assert bound < 0.1
    cut = np.trunc(exact)
    near = np.abs(exact - np.rint(exact)) < bound
    difference = np.abs(np.array(got).ravel() - cut)
    assert not near.all()
    assert (difference[~near] == 0).all() and difference.max() <= 1


@settings(max_examples=25)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=9), st.integers(1, 3))
def test_a_step_of_several_samples_can_be_pulled_in_any_pieces(
    pieces: list[int], threads: int
) -> None:
    data = logistic_voice(2, seed=6)
    frames = np.random.default_rng(0).standard_normal((7, 10)).astype(np.float32)
    whole = linnet.load(data).synthesize(frames.T)
    stream = _core.Stream(_core.Model.from_buffer(data), threads=threads)
    out: list[npt.NDArray[np.int16]] = []
    pushed = turn = 0
    while sum(map(len, out)) < len(whole):
        samples = np.empty(pieces[turn % len(pieces)], np.int16)
        turn += 1
        made = stream.pull(samples)
        out.append(samples[:made])
        assert stream.available >= 0
        if made == 0 and pushed < len(frames):
            pushed += stream.push(frames[pushed : pushed + 1])
        elif pushed == len(frames) and made == 0:
            stream.finish()
    np.testing.assert_array_equal(np.concatenate(out), whole)


def test_bands_have_no_score_of_a_recording() -> None:
    voice = linnet.load(logistic_voice(2))
    assert voice.info()["samples_per_step"] == 4
    with pytest.raises(ValueError, match="4 samples at a time"):
        voice.score(np.zeros((10, 1), np.float32), np.zeros(20, np.int16))


def test_one_band_scores_its_own_samples_better_than_others() -> None:
    voice = linnet.load(logistic_voice(0, dtype="float32", seed=5))
    mel = np.random.default_rng(1).standard_normal((10, 40)).astype(np.float32)
    own = voice.synthesize(mel)
    other = voice.synthesize(np.roll(mel, 13, axis=1), seed=4)
    assert voice.score(mel, own) < voice.score(mel, other)
