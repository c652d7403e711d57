"""Signal domain <-> tokens: what would break is the round trip, and agreement with the engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linnet.signal import decode, encode, silence

MU_LAW: dict[str, Any] = {"bits": 16, "companding": "mu-law", "mu": 255, "pre_emphasis": 0.85}
LINEAR: dict[str, Any] = {"bits": 16, "companding": "linear", "pre_emphasis": 0.0}


@st.composite
def recordings(draw: st.DrawFn, peak: int) -> np.ndarray[Any, np.dtype[np.int16]]:
    seed, length = draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 400))
    level = draw(st.integers(0, peak))
    noise = np.random.default_rng(seed).uniform(-level, level, length)
    return np.rint(noise).astype(np.int16)


def bound(signal: dict[str, Any], pcm: np.ndarray[Any, np.dtype[np.int16]]) -> float:
    """Largest error in units of int16: half a token's step of e, widened by the slope of the
    expansion, summed up by the decoder's filter (1 / (1 - a)), plus the rounding to int16."""
    a, steps = signal["pre_emphasis"], 2 ** signal["bits"] - 1
    if signal["companding"] == "linear":
        return float(32768 / (steps + 1) / (1 - a) + 0.5)
    mu = signal["mu"]
    e = np.abs(pcm / 32768).max(initial=0) * (1 + a)
    slope = np.log(1 + mu) / mu * (1 + mu * e) * (1 + mu) ** (1 / steps)
    return float(32768 * slope / steps / (1 - a) + 0.5 + 1e-6)


# Below 1 / (1 + 0.85) of full scale the pre-emphasised value needs no clipping.
@settings(deadline=None)
@given(recordings(17000))
def test_mu_law_round_trip_within_derived_bound(pcm: np.ndarray[Any, Any]) -> None:
    error = np.abs(decode(encode(pcm, MU_LAW), MU_LAW).astype(int) - pcm)
    assert error.max(initial=0) <= bound(MU_LAW, pcm)


@settings(deadline=None)
@given(recordings(32767))
def test_linear_16_bits_without_emphasis_is_lossless(pcm: np.ndarray[Any, Any]) -> None:
    assert np.array_equal(decode(encode(pcm, LINEAR), LINEAR), pcm)


@settings(deadline=None)
@given(recordings(32767), st.sampled_from(["mu-law", "linear"]), st.integers(8, 16))
def test_tokens_stay_in_range_even_when_clipped(
    pcm: np.ndarray[Any, Any], companding: str, bits: int
) -> None:
    tokens = encode(pcm, {**MU_LAW, "companding": companding, "bits": bits})
    assert tokens.min(initial=0) >= 0 and tokens.max(initial=0) < 2**bits


def test_silence_is_token_32768_and_stays_silent() -> None:
    assert silence(MU_LAW) == silence(LINEAR) == 32768
    assert not decode(np.full(5000, 32768), MU_LAW).any()


def test_decode_follows_its_definition_literally() -> None:
    tokens = np.array([0, 65535, 40000, 32767, 32768])
    y, expected = 0.0, []
    for token in tokens:
        v = token * (2.0 / 65535) - 1.0
        e = np.sign(v) * (256.0 ** abs(v) - 1.0) / 255.0
        y = e + 0.85 * y
        expected.append(int(np.clip(np.rint(y * 32768.0), -32768, 32767)))
    assert decode(tokens, MU_LAW).tolist() == expected
    assert expected[0] == -32768


@pytest.mark.parametrize(
    ("signal", "word"),
    [
        ({**MU_LAW, "gain": 1}, "gain"),
        ({**MU_LAW, "companding": "a-law"}, "a-law"),
        ({**MU_LAW, "pre_emphasis": 1.0}, "pre_emphasis"),
        ({**MU_LAW, "bits": 0}, "bits"),
        ({"bits": 16}, "companding"),
    ],
)
def test_bad_signals_are_named(signal: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        encode(np.zeros(3, np.int16), signal)


def test_bad_samples_and_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="int16"):
        encode(np.zeros(3, np.float32), MU_LAW)
    with pytest.raises(ValueError, match="65536"):
        decode(np.array([65536]), MU_LAW)
