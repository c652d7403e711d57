"""FORMAT.md's functions, gates, draws and output in Numba: float32, rounded where it says."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from linnet.reference.exact import compiled, fma, from_bits, to_bits

Floats = npt.NDArray[np.float32]

GROUP = 16  # classes of a draw that are summed together

ZERO = np.float32(0)
ONE = np.float32(1)
TWO = np.float32(2)
MINUS_ONE = np.float32(-1)
EXP_MIN = np.float32(-86)
EXP_MAX = np.float32(88)
LOG2_E = np.float32(float.fromhex("0x1.715476p+0"))
ROUNDING = np.float32(float.fromhex("0x1.8p+23"))  # adding it rounds to an integer
MINUS_LN2_HIGH = np.float32(float.fromhex("-0x1.62e4p-1"))
MINUS_LN2_LOW = np.float32(float.fromhex("-0x1.7f7d1cp-20"))
P6 = np.float32(float.fromhex("0x1.6a524ep-10"))
P5 = np.float32(float.fromhex("0x1.12396ep-7"))
P4 = np.float32(float.fromhex("0x1.5558aap-5"))
P3 = np.float32(float.fromhex("0x1.555492p-3"))
P2 = np.float32(float.fromhex("0x1.fffffcp-2"))

LN2_HIGH = np.float32(float.fromhex("0x1.62e4p-1"))
LN2_LOW = np.float32(float.fromhex("0x1.7f7d1cp-20"))
LOG_MIN = np.float32(2.0**-126)
LOG_MAX = np.float32(float.fromhex("0x1.fffffep+127"))
TWO_THIRDS = np.int32(0x2AAAAB)  # the bits of its fraction
L8 = np.float32(float.fromhex("-0x1.07e5f4p-3"))
L7 = np.float32(float.fromhex("0x1.1e73ap-3"))
L6 = np.float32(float.fromhex("-0x1.f32078p-4"))
L5 = np.float32(float.fromhex("0x1.1ed424p-3"))
L4 = np.float32(float.fromhex("-0x1.559d36p-3"))
L3 = np.float32(float.fromhex("0x1.99d05ep-3"))
L2 = np.float32(float.fromhex("-0x1.fffef4p-3"))
L1 = np.float32(float.fromhex("0x1.555506p-2"))
L0 = np.float32(-0.5)

S9 = np.float32(float.fromhex("0x1.3daff6p+5"))
S7 = np.float32(float.fromhex("-0x1.324ccap+6"))
S5 = np.float32(float.fromhex("0x1.4668bp+6"))
S3 = np.float32(float.fromhex("-0x1.4abbc2p+5"))
S1 = np.float32(float.fromhex("0x1.921fb6p+2"))
MOST_TURNS = np.float32(2.0**21)
QUARTER = np.float32(0.25)
HALF = np.float32(0.5)

PCM_SCALE = np.float32(32768)
PCM_MIN = np.float32(-32768)
PCM_MAX = np.float32(32767)


@compiled
def exp(x: np.float32) -> np.float32:
    """e^x for x clamped to [-86, 88]; NaN counts as -86."""
    x = x if x > EXP_MIN else EXP_MIN
    x = x if x < EXP_MAX else EXP_MAX
    t = fma(x, LOG2_E, ROUNDING)
    n = t - ROUNDING
    r = fma(n, MINUS_LN2_HIGH, x)
    r = fma(n, MINUS_LN2_LOW, r)
    p = fma(P6, r, P5)
    p = fma(p, r, P4)
    p = fma(p, r, P3)
    p = fma(p, r, P2)
    p = fma(p, r, ONE)
    p = fma(p, r, ONE)
    power = to_bits(t) - to_bits(ROUNDING)
    return from_bits(np.int32(to_bits(p) + (power << 23)))


@compiled
def log(x: np.float32) -> np.float32:
    """ln x for x clamped to the positive normal numbers; NaN counts as the least of them."""
    x = x if x > LOG_MIN else LOG_MIN
    x = x if x < LOG_MAX else LOG_MAX
    bits = np.int32(to_bits(x))
    power = np.int32((bits - TWO_THIRDS) >> 23)
    n = np.float32(power - 126)
    f = from_bits(np.int32(bits - (power << 23) + (126 << 23))) - ONE
    p = fma(L8, f, L7)
    p = fma(p, f, L6)
    p = fma(p, f, L5)
    p = fma(p, f, L4)
    p = fma(p, f, L3)
    p = fma(p, f, L2)
    p = fma(p, f, L1)
    p = fma(p, f, L0)
    r = fma(f * f, p, f)
    return fma(n, LN2_HIGH, fma(n, LN2_LOW, r))


@compiled
def sigmoid(x: np.float32) -> np.float32:
    """1 / (1 + e^-x)."""
    y: np.float32 = ONE / (ONE + exp(-x))
    return y


@compiled
def tanh(x: np.float32) -> np.float32:
    """2 sigmoid(2 x) - 1."""
    return fma(TWO, sigmoid(x + x), MINUS_ONE)


@compiled
def relu(x: np.float32) -> np.float32:
    """x where it is positive, else +0."""
    return x if x > ZERO else ZERO


@compiled
def softplus(x: np.float32) -> np.float32:
    """ln(1 + e^x), relatively exact: what 1 + e loses of e = e^-|x| is put back."""
    e = exp(-abs(x))
    w = ONE + e
    y: np.float32 = relu(x) + (log(w) + (e - (w - ONE)) / w)
    return y


@compiled
def quarter_sine(h: np.float32) -> np.float32:
    """sin(2 pi h) for |h| <= 1/4."""
    u = h * h
    p = fma(S9, u, S7)
    p = fma(p, u, S5)
    p = fma(p, u, S3)
    p = fma(p, u, S1)
    y: np.float32 = h * p
    return y


@compiled
def part_of_turn(turns: np.float32) -> np.float32:
    """Turns less the nearest whole ones; NaN counts as whole."""
    turns = turns if turns > -MOST_TURNS else -MOST_TURNS
    turns = turns if turns < MOST_TURNS else MOST_TURNS
    part: np.float32 = turns - ((turns + ROUNDING) - ROUNDING)
    return part


@compiled
def cos_turns(turns: np.float32) -> np.float32:
    """cos(2 pi turns)."""
    return quarter_sine(QUARTER - abs(part_of_turn(turns)))


@compiled
def sin_turns(turns: np.float32) -> np.float32:
    """sin(2 pi turns)."""
    part = part_of_turn(turns)
    size = abs(part)
    rest = HALF - size
    return quarter_sine(np.copysign(size if size < rest else rest, part))


@compiled
def fold(p: Floats) -> np.float32:
    """The sum of p (16), by halves."""
    b0 = (p[0] + p[8]) + (p[4] + p[12])
    b1 = (p[1] + p[9]) + (p[5] + p[13])
    b2 = (p[2] + p[10]) + (p[6] + p[14])
    b3 = (p[3] + p[11]) + (p[7] + p[15])
    total: np.float32 = (b0 + b1) + (b2 + b3)
    return total


@compiled
def add(a: Floats, b: Floats) -> Floats:
    """a + b, element by element; numpy would warn of overflow."""
    return a + b


@compiled
def activate(activation: int, y: Floats) -> None:
    """y (n) = activation(y), in place: 0 none, 1 relu, 2 tanh, 3 sigmoid, 4 exp."""
    for i in range(len(y)):
        if activation == 1:
            y[i] = relu(y[i])
        elif activation == 2:
            y[i] = tanh(y[i])
        elif activation == 3:
            y[i] = sigmoid(y[i])
        elif activation == 4:
            y[i] = exp(y[i])


@compiled
def gates(recurrent: Floats, input: Floats, state: Floats) -> None:
    """A GRU step, state (units) in place; recurrent, input (3 units): update, reset, candidate."""
    units = len(state)
    for i in range(units):
        u = sigmoid(recurrent[i] + input[i])
        r = sigmoid(recurrent[units + i] + input[units + i])
        e = tanh(fma(r, recurrent[2 * units + i], input[2 * units + i]))
        state[i] = fma(u, state[i] - e, e)


@compiled
def upsample(weights: Floats, window: Floats, out: Floats) -> None:
    """out (hop, channels) = weights (hop, n) times window (n, channels), summed over n in turn."""
    for i in range(out.shape[0]):
        for c in range(out.shape[1]):
            y = ZERO
            for j in range(window.shape[0]):
                y = fma(weights[i, j], window[j, c], y)
            out[i, c] = y


@compiled
def exponentials(
    logits: Floats, inverse_temperature: np.float32
) -> tuple[np.float32, Floats, Floats]:
    """The greatest logit m; e = exp((logits - m) / temperature), padded by +0; its folds of 16."""
    n = len(logits)
    m = np.float32(-np.inf)
    for i in range(n):
        m = logits[i] if logits[i] > m else m
    n_groups = (n + GROUP - 1) // GROUP
    e = np.zeros(n_groups * GROUP, np.float32)
    for i in range(n):
        e[i] = exp((logits[i] - m) * inverse_temperature)
    groups = np.empty(n_groups, np.float32)
    for k in range(n_groups):
        groups[k] = fold(e[k * GROUP : (k + 1) * GROUP])
    return m, e, groups


@compiled
def cumulated(groups: Floats) -> np.float32:
    """C_last: the groups (n), added in turn."""
    c = ZERO
    for k in range(len(groups)):
        c = c + groups[k]
    return c


@compiled
def draw(classes: int, e: Floats, groups: Floats, uniform: np.float32) -> int:
    """The class in whose share of the cumulative sum of e lies the number `uniform` of [0, 1)."""
    threshold = uniform * cumulated(groups)
    before = ZERO
    k = 0
    while k < len(groups) - 1 and not before + groups[k] > threshold:
        before = before + groups[k]
        k += 1
    end = min(classes, (k + 1) * GROUP)
    a = before
    for i in range(k * GROUP, end):
        a = a + e[i]
        if a > threshold:
            return i
    return end - 1


@compiled
def likeliest(logits: Floats, m: np.float32) -> int:
    """The first class whose logit is m, 0 where m is -inf."""
    for i in range(len(logits)):
        if logits[i] == m and m > -np.inf:
            return i
    return 0


@compiled
def affine(token: int, scale: np.float32, offset: np.float32) -> np.float32:
    """token * scale + offset, rounded once."""
    return fma(np.float32(token), scale, offset)


@compiled
def expand(v: np.float32, log1p_mu: np.float32, inverse_mu: np.float32) -> np.float32:
    """The inverse of mu-law companding: sign(v) ((1 + mu)^|v| - 1) / mu."""
    z = (exp(abs(v) * log1p_mu) - ONE) * inverse_mu
    signed: np.float32 = np.copysign(z, v)
    return signed


@compiled
def deemphasize(e: np.float32, pre_emphasis: np.float32, state: np.float32) -> np.float32:
    """One step of the filter 1 / (1 - pre_emphasis z^-1)."""
    return fma(pre_emphasis, state, e)


@compiled
def to_pcm(y: np.float32) -> int:
    """y, full scale 1, as a 16-bit sample: rounded to nearest even, clamped."""
    z = y * PCM_SCALE
    z = z if z > PCM_MIN else PCM_MIN
    z = z if z < PCM_MAX else PCM_MAX
    return int(np.rint(z))


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Philox4x32-10: four random words of 32 bits.

    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        even = 0xD2511F53 * c0
        odd = 0xCD9E8D57 * c2
        c0, c1 = (odd >> 32) ^ c1 ^ k0, odd & 0xFFFFFFFF
        c2, c3 = (even >> 32) ^ c3 ^ k1, even & 0xFFFFFFFF
        k0 = (k0 + 0x9E3779B9) & 0xFFFFFFFF
        k1 = (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


def uniform(seed: int, stream: int, sample: int, index: int) -> np.float32:
    """The index-th random number of a sample: a multiple of 2^-24 in [0, 1)."""
    return np.float32((random_word(seed, stream, sample, index) >> 8) * 2.0**-24)


def random_word(seed: int, stream: int, sample: int, index: int) -> int:
    """The index-th random word of a sample: 32 bits."""
    mask = 0xFFFFFFFF
    counter = (sample & mask, sample >> 32 & mask, (index & mask) >> 2, stream)
    return philox(counter, (seed & mask, seed >> 32 & mask))[index & 3]
