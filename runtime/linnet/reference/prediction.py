"""FORMAT.md's linear prediction in Numba: float32, rounded where it says."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from linnet.reference import functions
from linnet.reference.exact import compiled, fma

Floats = npt.NDArray[np.float32]

ZERO = np.float32(0)
ONE = np.float32(1)
MOST_GAIN = np.float32(256)
MOST_SIGNAL = np.float32(2)


@compiled
def clamped(x: np.float32, low: np.float32, high: np.float32) -> np.float32:
    """x within [low, high]; NaN counts as low."""
    x = x if x > low else low
    return x if x < high else high


@compiled
def step_up(reflection: Floats) -> Floats:
    """Reflection coefficients (order) -> prediction coefficients (order)."""
    a = np.zeros(len(reflection), np.float32)
    for i in range(len(reflection)):
        k = clamped(reflection[i], -ONE, ONE)
        before = a[:i].copy()
        for j in range(i):
            a[j] = fma(k, before[i - 1 - j], before[j])
        a[i] = k
    return a


@compiled
def signed_root(x: np.float32, gain: np.float32) -> np.float32:
    """sign(x) sqrt(|x| / gain)."""
    root: np.float32 = np.copysign(np.sqrt(abs(x) / gain), x)
    return root


@compiled
def predict(a: Floats, gain: np.float32, least_gain: np.float32, past: Floats, out: Floats) -> None:
    """out (4) from the newest samples, past (order), which moves up by one."""
    p = np.zeros(4, np.float32)
    for i in range(len(a)):
        p[i % 4] = fma(a[i], past[i], p[i % 4])
    prediction = -((p[0] + p[1]) + (p[2] + p[3]))
    g = clamped(gain, least_gain, MOST_GAIN)
    out[0] = prediction
    out[1] = g
    out[2] = signed_root(prediction, g)
    out[3] = signed_root(past[0], g)
    past[1:] = past[:-1].copy()


@compiled
def excited(predicted: Floats, e: np.float32) -> np.float32:
    """The sample of an excitation in gains; predicted: prediction and gain."""
    return clamped(fma(e, predicted[1], predicted[0]), -MOST_SIGNAL, MOST_SIGNAL)


@compiled
def token_of(
    predicted: Floats,
    sample: np.float32,
    scale: np.float32,
    offset: np.float32,
    mu: np.float32,
    log1p_mu: np.float32,
    classes: int,
) -> int:
    """The token whose excitation leads from the prediction nearest to the sample."""
    u = (sample - predicted[0]) / predicted[1]
    size = functions.log(fma(abs(u), mu, ONE)) / log1p_mu
    v = size if u > ZERO else -size
    z = clamped((v - offset) / scale, ZERO, np.float32(classes - 1))
    return int(np.rint(z))
