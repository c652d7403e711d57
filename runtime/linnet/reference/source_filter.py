"""FORMAT.md's source and filter in Numba: float32, rounded where it says."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from linnet.reference import functions
from linnet.reference.exact import compiled, fma
from linnet.reference.prediction import MOST_GAIN, MOST_SIGNAL, ONE, ZERO, clamped

Floats = npt.NDArray[np.float32]

TWO = np.float32(2)
HALF = np.float32(0.5)
MOST_EXCITATION = np.float32(65536)
PER_BYTES = np.float32(
    float.fromhex("0x1.bb688cp-8")
)  # one by the deviation of a sum of four bytes


@compiled
def pitch(logits: Floats, centres: Floats, reach: int, voicing: np.float32) -> Floats:
    """Logits (bins), their centres (bins) -> cycles a sample, and 1 where voiced."""
    best = 0
    for i in range(1, len(logits)):
        best = i if logits[i] > logits[best] else best
    weights = total = ZERO
    for i in range(max(0, best - reach), min(len(logits), best + reach + 1)):
        weight = functions.exp(logits[i] - logits[best])
        weights = weights + weight
        total = fma(weight, centres[i], total)
    out = np.zeros(2, np.float32)
    out[0] = functions.exp(total / weights)
    out[1] = ONE if voicing > ZERO else ZERO
    return out


@compiled
def levinson(r: Floats, power: np.float32, least_gain: np.float32) -> Floats:
    """Autocorrelations (lags) -> coefficients (lags - 1) and gain."""
    order = len(r) - 1
    out = np.zeros(order + 1, np.float32)
    a = out[:order]
    error = r[0]
    for i in range(order):
        total = r[i + 1]
        for j in range(i):
            total = fma(a[j], r[i - j], total)
        k = clamped(np.divide(-total, error), -ONE, ONE)
        before = a[:i].copy()
        for j in range(i):
            a[j] = fma(k, before[i - 1 - j], before[j])
        a[i] = k
        error = error * fma(-k, k, ONE)
    out[order] = functions.relu(np.sqrt(functions.relu(power * error)) - least_gain)
    return out


@compiled
def harmonics(
    most: int,
    frequency: np.float32,
    voiced: np.float32,
    phases: Floats,
    top: np.float32,
    per_cycle: np.float32,
) -> Floats:
    """(2, most): cosine and sine parts of the harmonics of a pitch."""
    parts = np.zeros((2, most), np.float32)
    frequency, voiced = clamped(frequency, ZERO, HALF), clamped(voiced, ZERO, ONE)
    size = voiced * (TWO * np.sqrt(frequency))
    for k in range(most):
        at = np.float32(k + 1) * frequency
        if not at < top:
            break
        place = at * per_cycle
        turn = ZERO
        if place < np.float32(len(phases) - 1):
            low = int(place)
            turn = fma(phases[low + 1] - phases[low], place - np.float32(low), phases[low])
        parts[0, k] = size * functions.cos_turns(turn)
        parts[1, k] = -size * functions.sin_turns(turn)
    return parts


def noise_of(word: int) -> np.float32:
    """A word's bytes as a number near to normal."""
    total = sum(word >> shift & 255 for shift in (0, 8, 16, 24))
    return np.float32(np.float32(total - 510) * PER_BYTES)


@compiled
def count_of(parts: Floats) -> int:
    """Harmonics up to the last of which a part (2, 2, most) is not zero."""
    for k in range(parts.shape[2] - 1, -1, -1):
        if (
            parts[0, 0, k] != ZERO
            or parts[0, 1, k] != ZERO
            or parts[1, 0, k] != ZERO
            or parts[1, 1, k] != ZERO
        ):
            return k + 1
    return 0


@compiled
def source(
    pitch: Floats,
    parts: Floats,
    noise: Floats,
    temperature: np.float32,
    first: int,
    hop: int,
    state: Floats,
) -> Floats:
    """The excitation (n) of samples first .. of a frame, of which state (1) is the turn.

    pitch (4), parts (2, 2, most): of the frame and the next; noise (n).
    """
    out = np.empty(len(noise), np.float32)
    v0, v1 = clamped(pitch[1], ZERO, ONE), clamped(pitch[3], ZERO, ONE)
    f0, f1 = clamped(pitch[0], ZERO, HALF), clamped(pitch[2], ZERO, HALF)
    f0 = f1 if v0 == ZERO else f0
    f1 = f0 if v1 == ZERO else f1
    count = count_of(parts)
    turn = clamped(state[0], -HALF, HALF)
    for i in range(len(noise)):
        at = np.float32(first + i) / np.float32(hop)
        total = ((ONE - fma(v1 - v0, at, v0)) * temperature) * noise[i]
        if count > 0:
            turn = turn + fma(f1 - f0, at, f0)
            turn = turn if turn < HALF else turn - ONE
            cosine, sine = functions.cos_turns(turn), functions.sin_turns(turn)
            c, s = ONE, ZERO
            for k in range(count):
                c, s = fma(-s, sine, c * cosine), fma(s, cosine, c * sine)
                more_c, more_s = parts[1, 0, k] - parts[0, 0, k], parts[1, 1, k] - parts[0, 1, k]
                total = fma(fma(more_c, at, parts[0, 0, k]), c, total)
                total = fma(fma(more_s, at, parts[0, 1, k]), s, total)
        out[i] = total
    state[0] = turn
    return out


@compiled
def all_pole(excitation: Floats, a: Floats, gain: np.float32, past: Floats) -> Floats:
    """Samples (n) of an excitation (n); past (order), the newest first, moves on."""
    order = len(a)
    out = np.empty(len(excitation), np.float32)
    gain = clamped(gain, ZERO, MOST_GAIN)
    for i in range(len(excitation)):
        p = np.zeros(4, np.float32)
        for k in range(order - 1, -1, -1):
            p[k % 4] = fma(a[k], past[k], p[k % 4])
        prediction = -((p[0] + p[1]) + (p[2] + p[3]))
        e = clamped(excitation[i], -MOST_EXCITATION, MOST_EXCITATION)
        past[1:] = past[:-1].copy()
        past[0] = out[i] = clamped(fma(e, gain, prediction), -MOST_SIGNAL, MOST_SIGNAL)
    return out
