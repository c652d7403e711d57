"""Speech as the output of an all-pole filter: what is left to model is its excitation.

Per frame the filter has prediction coefficients a (order,) and a gain g > 0. A sample s of the
pre-emphasised signal is predicted as p = -sum a[i] s[n-1-i]; the excitation u = (s - p) / g has
variance 1 or so whatever the level of the speech, and is quantised to 256 tokens. They stand for
sign(v) ((1 + MU)^|v| - 1) RANGE / MU, v = (token - 128) / 128: steps of 5 % of the value.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

MU = 511.0
RANGE = 32.0  # in gains
SILENCE = 128
CLASSES = 256
INPUTS = 3

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def quantise(u: float) -> int:
    """The nearest token of an excitation."""
    v = math.log1p(min(abs(u), RANGE) * (MU / RANGE)) / math.log1p(MU)
    return min(SILENCE + round(math.copysign(128.0 * v, u)), CLASSES - 1)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def expand(token: int) -> float:
    """The excitation of a token."""
    v = (token - SILENCE) / 128.0
    return math.copysign((math.exp(abs(v) * math.log1p(MU)) - 1.0) * (RANGE / MU), v)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def compress(x: float) -> float:
    """What the network is told of a signal: its signed square root, of order 1 for speech."""
    return math.copysign(0.125 * math.sqrt(abs(x)), x)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def predict(a: Any, past: Any) -> float:
    """The next sample from the samples before, newest first (order,)."""
    p = 0.0
    for i in range(len(a)):
        p -= a[i] * past[i]
    return p


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def advance(past: Any, s: float) -> None:
    """Puts the sample s before the others."""
    for i in range(len(past) - 1, 0, -1):
        past[i] = past[i - 1]
    past[0] = s


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def analyse(s: Any, a: Any, g: Any, noise: Any, past: Any, last: Any) -> tuple[Any, Any]:
    """Tokens (B, T) of the excitation of s (B, T) and the network's inputs (B, T, 3).

    a (B, S, order), g (B, S): the filters of S frames. noise (B, T) is added to the tokens that the
    filter and the network see of the past, as free-running mistakes would be; the tokens returned
    lead back to s from there (Valin and Skoglund 2019, section 3.3). past (B, order) and last
    (B, 2), the token's v and the sample before, are carried over.
    """
    streams, steps = s.shape
    hop = steps // a.shape[1]
    tokens = np.empty((streams, steps), np.int64)
    inputs = np.empty((streams, steps, INPUTS), np.float32)
    for j in range(streams):
        state = past[j]
        for t in range(steps):
            coefficients, gain = a[j, t // hop], g[j, t // hop]
            p = predict(coefficients, state)
            inputs[j, t, 0] = last[j, 0]
            inputs[j, t, 1] = compress(p / gain)
            inputs[j, t, 2] = compress(last[j, 1] / gain)
            token = quantise((s[j, t] - p) / gain)
            tokens[j, t] = token
            heard = min(max(token + noise[j, t], 0), CLASSES - 1)
            sample = min(max(p + expand(heard) * gain, -2.0), 2.0)
            advance(state, sample)
            last[j, 0] = (heard - SILENCE) / 128.0
            last[j, 1] = sample
    return tokens, inputs
