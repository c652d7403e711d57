"""FORMAT.md's mixtures of logistics and band merging in Numba and float64."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from linnet.format.operations import Logistics, SubBands
from linnet.reference import functions
from linnet.reference.exact import compiled, fma

Floats = npt.NDArray[np.float32]

QUANTILE_SPAN = np.float32(float.fromhex("0x1.fffd6p-1"))  # 1 - 2e-5
QUANTILE_LOW = np.float32(float.fromhex("0x1.4f8b58p-17"))  # 1e-5
ONE = np.float32(1)
PCM = np.float32(32768)
PCM_STEP = np.float32(2.0**-15)
PCM_MIN, PCM_MAX = np.float32(-32768), np.float32(32767)


@compiled
def cut(z: np.float32) -> np.float32:
    """z as a 16-bit number, towards zero."""
    z = z if z > PCM_MIN else PCM_MIN
    z = z if z < PCM_MAX else PCM_MAX
    return np.float32(np.trunc(z))


@compiled
def rounded(v: np.float32, steps: np.float32) -> np.float32:
    """A drawn value as the network sees it: clamped, and cut to 16 bits where it has steps."""
    if steps == 0:
        v = v if v > -ONE else -ONE
        return v if v < ONE else ONE
    y: np.float32 = cut(v * steps) * PCM_STEP
    return y


@compiled
def scale_of(parameter: np.float32, least: np.float32, activation: int) -> np.float32:
    """A logistic's scale: exp or softplus of its parameter."""
    s = parameter if parameter > least else least
    return functions.exp(s) if activation == 0 else functions.softplus(s)


@compiled
def value(
    mean: np.float32, scale: np.float32, temperature: np.float32, u: np.float32
) -> np.float32:
    """The value of the logistic distribution at the quantile that u of [0, 1) stands for."""
    q = fma(u, QUANTILE_SPAN, QUANTILE_LOW)
    return fma(scale * temperature, functions.log((ONE - q) / q), mean)


@compiled
def all_pass(z: Floats, previous: Floats, x: np.float32) -> np.float32:
    """Sections z (n) in turn; previous (n + 1): the last input of the first, each one's output."""
    for k in range(len(z)):
        y = fma(z[k], x - previous[k + 1], previous[k])
        previous[k] = x
        x = y
    previous[len(z)] = x
    return x


@compiled
def merge(
    low: Floats, high: Floats, first: Floats, second: Floats, state: Floats, out: Floats
) -> None:
    """Two bands (n) as one signal (2 n); state (2, sections + 1) of both filters."""
    for t in range(len(low)):
        out[2 * t] = cut(all_pass(second, state[1], low[t] + high[t]))
        out[2 * t + 1] = cut(all_pass(first, state[0], low[t] - high[t]))


def merge_bands(op: SubBands, filters: Floats | None, bands: Floats, state: Floats) -> list[int]:
    """One value per band (2^levels) -> as many samples."""
    values = bands.copy()
    if op.levels and filters is not None:
        first, second = np.split(filters, 2)
        memory = state[1:].reshape(-1, 2, len(first) + 1)
        signals = (values * PCM).reshape(-1, 1)
        done = 0
        while len(signals) > 1:
            merged = np.empty((len(signals) // 2, 2 * signals.shape[1]), np.float32)
            for pair in range(len(merged)):
                low, high = signals[2 * pair], signals[2 * pair + 1]
                if pair % 2:
                    low, high = high, low
                merge(low, high, first, second, memory[done], merged[pair])
                done += 1
            signals = merged
        values = signals[0] * PCM_STEP
    samples = []
    for v in values:
        state[0] = functions.deemphasize(v, np.float32(op.pre_emphasis), state[0])
        samples.append(functions.to_pcm(state[0]))
    return samples


def token_value(op: Logistics, token: int) -> np.float32:
    """The value that a token stands for."""
    if op.values_per_unit == 0:
        step = np.float32(2) / np.float32(op.classes - 1)
        return np.float32(functions.affine(token, step, np.float32(-1)))
    return np.float32((token - 32768) / 32768)


def nats(op: Logistics, logits: Floats, means: Floats, scales: Floats, token: int) -> float:
    """A token's negative log-likelihood: that of the interval of values rounded to it, in float64.

    logits, means, scales: (mixtures) of one band.
    """
    if op.values_per_unit == 0:
        half = 1 / (op.classes - 1)
        low, high = (2 * token - 1) * half - 1, (2 * token + 1) * half - 1
    else:
        n = token - 32768
        low, high = (
            (n if n > 0 else n - 1) / op.values_per_unit,
            (n if n < 0 else n + 1) / op.values_per_unit,
        )
    m, _, groups = functions.exponentials(logits, np.float32(1))
    total = math.log(float(functions.cumulated(groups)))
    s = [
        float(scale_of(scale, np.float32(op.least_scale), op.scale_activation)) for scale in scales
    ]
    with np.errstate(all="ignore"):
        a = (low - means.astype(np.float64)) / s
        b = (high - means.astype(np.float64)) / s
        width = np.log(-np.expm1(a - b))
        if token == 0:
            a, width = np.full(len(s), -np.inf), np.zeros(len(s))
        if token == op.classes - 1:
            b, width = np.full(len(s), np.inf), np.zeros(len(s))
        shares = width - np.logaddexp(0, a) - np.logaddexp(0, -b)
        terms = logits.astype(np.float64) - float(m) + shares
        return total - float(np.logaddexp.reduce(terms))
