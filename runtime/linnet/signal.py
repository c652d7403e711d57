"""Turns samples into tokens and back: pre-emphasis, then linear or mu-law quantisation.

A `signal` is the dict stored in a voice:

    {"bits": 16, "companding": "mu-law" or "linear", "mu": 255, "pre_emphasis": 0.85, "grid": "pcm"}

The optional grid matters to linear tokens only: "pcm" has steps of 2^(1 - bits) upwards from -1, as
16-bit samples do; "full-scale" spreads the tokens evenly over [-1, 1], both ends included.

Companding before the value is split into two bytes makes the coarse byte an ordinary mu-law sample,
so the noise of the model follows the speech instead of filling its silences. Pre-emphasis does the
same across frequency: the decoder's one-pole filter colours the noise like speech.
All arithmetic is float64; numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_KEYS = {"bits", "companding", "mu", "pre_emphasis", "grid"}


def to_int16(samples: NDArray[Any]) -> NDArray[np.int16]:
    """Samples in [-1, 1] as 16 bits, rounded to nearest; what is louder is clipped."""
    return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)


def to_float(samples: NDArray[Any]) -> NDArray[np.float64]:
    """Recorded samples as float64: int16 in steps of 2^-15, so in [-1, 1); others as they are."""
    scale = 1 / 32768 if samples.dtype == np.int16 else 1.0
    return samples * np.float64(scale)


def _parameters(signal: Mapping[str, Any]) -> tuple[int, bool, float, float]:
    """(bits, is mu-law, mu, pre_emphasis) of a checked `signal`; ValueError names what is wrong."""
    unknown = set(signal) - _KEYS
    if unknown:
        raise ValueError(f"unknown signal keys: {sorted(unknown)}; known: {sorted(_KEYS)}")
    for key in ("bits", "companding"):
        if key not in signal:
            raise ValueError(f"signal lacks {key!r}")
    bits, companding = int(signal["bits"]), signal["companding"]
    mu, alpha = float(signal.get("mu", 255)), float(signal.get("pre_emphasis", 0.0))
    if not 1 <= bits <= 24:
        raise ValueError(f"signal bits must be 1 to 24, not {bits}")
    if companding not in ("mu-law", "linear"):
        raise ValueError(f"signal companding must be 'mu-law' or 'linear', not {companding!r}")
    if companding == "mu-law" and not 0 < mu < float("inf"):
        raise ValueError(f"signal mu must be positive and finite, not {mu}")
    if not 0 <= alpha < 1:
        raise ValueError(f"signal pre_emphasis must lie in [0, 1), not {alpha}")
    return bits, companding == "mu-law", mu, alpha


def _values_per_unit(signal: Mapping[str, Any], bits: int) -> float:
    """Linear tokens between 0 and 1."""
    grid = signal.get("grid", "pcm")
    if grid not in ("pcm", "full-scale"):
        raise ValueError(f"signal grid must be 'pcm' or 'full-scale', not {grid!r}")
    return float(2 ** (bits - 1)) if grid == "pcm" else (2**bits - 1) / 2


def silence(signal: Mapping[str, Any]) -> int:
    """The token of e = 0, which stands before the first sample."""
    return int(encode(np.zeros(1, np.int16), signal)[0])


def encode(pcm: ArrayLike, signal: Mapping[str, Any]) -> NDArray[np.int64]:
    """int16 samples (n,) -> tokens (n,) in [0, 2**bits).

    The pre-emphasised value is clipped to [-1, 1]; only samples beyond 1 / (1 + pre_emphasis) of
    full scale can reach that.
    """
    bits, mu_law, mu, alpha = _parameters(signal)
    samples = np.asarray(pcm)
    if samples.ndim != 1 or samples.dtype != np.int16:
        raise ValueError(f"pcm must be int16 (n,), not {samples.dtype} {samples.shape}")
    x = to_float(samples)
    e = x.copy()
    e[1:] -= alpha * x[:-1]
    if mu_law:
        e = np.clip(e, -1.0, 1.0)
        v = np.sign(e) * np.log(1.0 + mu * np.abs(e)) / np.log(1.0 + mu)
        tokens = np.rint((v + 1.0) / 2.0 * (2**bits - 1))
    else:
        tokens = np.clip(np.rint((e + 1.0) * _values_per_unit(signal, bits)), 0, 2**bits - 1)
    result: NDArray[np.int64] = tokens.astype(np.int64)
    return result


def decode(tokens: ArrayLike, signal: Mapping[str, Any]) -> NDArray[np.int16]:
    """Tokens (n,) in [0, 2**bits) -> int16 samples (n,), rounded half to even and clipped."""
    bits, mu_law, mu, alpha = _parameters(signal)
    token = np.asarray(tokens)
    if token.ndim != 1 or not np.issubdtype(token.dtype, np.integer):
        raise ValueError(f"tokens must be integers (n,), not {token.dtype} {token.shape}")
    if token.size and not (0 <= int(token.min()) and int(token.max()) < 2**bits):
        raise ValueError(f"tokens must lie in [0, {2**bits})")
    if mu_law:
        v = token * (2.0 / (2**bits - 1)) - 1.0
        e = np.sign(v) * ((1.0 + mu) ** np.abs(v) - 1.0) / mu
    else:
        e = token / _values_per_unit(signal, bits) - 1.0
    y = np.empty(len(e))
    last = 0.0
    for n, value in enumerate(e.tolist()):
        last = value + alpha * last
        y[n] = last
    return to_int16(y)
