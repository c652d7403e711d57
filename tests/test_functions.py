"""The reference's own functions against float64 mathematics and published vectors.

Every bound is derived here from the steps of export/FORMAT.md, in units of u = 2^-24, the relative
error of one rounding. tests/test_equality.py then carries them over to every kernel set.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("numba", reason="the reference needs Numba")

from linnet.reference import functions  # noqa: E402
from linnet.reference.exact import compiled  # noqa: E402

Floats = npt.NDArray[np.float32]

U = 2.0**-24
LARGEST = np.finfo(np.float32).max

# exp(x) = 2^n e^r. |r| <= R: n is the integer nearest to x times a log2(e) that is off by at most
# 2^-25 of itself, and |x log2(e)| < 2^7. Its errors, relative to the result:
R = math.log(2) * (0.5 + 2.0**-18)
EXP_BOUND = (
    # x - n LN2_HIGH is exact (a multiple of 2^-25 below 1/2); adding n LN2_LOW rounds below 1/2;
    # LN2_LOW is off by half an ulp of 2^-43, n < 2^7.
    2.0**-26
    + 2.0**-37
    # Horner: the last four roundings, each half an ulp of a value below 2, 2, 1, 1/4. This is for
    # r >= 0, where the result is >= 1; for r < 0 they halve, and the result is > 0.7.
    + U * (1 + R + R**2 / 2 + R**3 / 8)
    # The two highest steps lie below 1/16 and 1/64.
    + U * (R**4 / 32 + R**5 / 128)
    # The polynomial itself: see test_polynomial.
    + 3.3e-9
) * (1 + 2.0**-20)  # products of errors

# s = 1 / (1 + E): E's error counts s (1 - s) EXP_BOUND; 1 + E rounds by u where s > 1/2, which
# counts s^2 u; the quotient rounds by u / 2. With EXP_BOUND < 2 u the sum is greatest at s = 1.
# Below s = 1/2 it is smaller. The clamp of exp adds at most e^-86.
SIGMOID_BOUND = 1.5 * U * (1 + 2.0**-20)
# Twice that, and half an ulp of a result of at most 1.
TANH_BOUND = 2 * SIGMOID_BOUND + U / 2

# log(x) = n ln 2 + L, L = log(1 + f), where |f^2 P(f)| <= 0.18 |L| (most at f = -1/3). Errors of L,
# relative: of f^2, of P (its last step, and at most half of that from the others, which lie below
# 1/2 and are multiplied by |f| <= 1/3), the polynomial itself, the last step.
LOG_FRACTION = U * (0.18 * 2.5 + 1) + 4.8e-9
# Where n is not 0: |L| <= 0.4056, adding n LN2_LOW rounds below 1/2, LN2_LOW is off by less than
# 2^-45, and the last step rounds.
LOG_POWER = 0.4056 * LOG_FRACTION + 2.0**-26 + 2.0**-38

# softplus = relu + log(1 + e): e counts at most its own relative error; log(w) of w <= 2 is at
# least 0.2876 where n is not 0; log(1 + e) = log(w) + c / w with an error of (c / w)^2 / 2, at most
# u / 2 of it, where c <= u is what w lost; then two sums.
SOFTPLUS_BOUND = (EXP_BOUND + LOG_POWER / 0.2876 + U + 0.5 * U + 2 * U) * (1 + 2.0**-20)


def elementwise(function: Callable[[np.float32], np.float32]) -> Callable[[Floats], Floats]:
    @compiled
    def apply(x: Floats) -> Floats:
        y = np.empty_like(x)
        for i in range(len(x)):
            y[i] = function(x[i])
        return y

    return apply


def all_kinds_of_floats() -> Floats:
    """Every 1009th float32 pattern (both signs, all exponents, NaN), infinities, a fine grid."""
    patterns = np.arange(0, 2**32, 1009, dtype=np.uint64).astype(np.uint32).view(np.float32)
    extremes = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -86, 88], np.float32)
    # At the ends of the range of r, where n steps, the polynomial is worst.
    halves = ((np.arange(-125, 128) + 0.5) * math.log(2)).astype(np.float32)
    steps = np.concatenate([np.nextafter(halves, np.float32(end)) for end in (-1e3, 1e3)])
    grid = np.linspace(-90, 90, 2_000_001, dtype=np.float32)
    return np.concatenate([patterns, extremes, halves, steps, grid])


def test_polynomial() -> None:
    coefficients = [functions.P6, functions.P5, functions.P4, functions.P3, functions.P2, 1, 1]
    r = np.linspace(-R, R, 200_001)
    assert np.abs(np.polyval(np.array(coefficients, np.float64), r) / np.exp(r) - 1).max() < 3.3e-9


def test_exp_is_within_its_bound() -> None:
    x = all_kinds_of_floats()
    y = elementwise(functions.exp)(x)
    exact = np.exp(np.clip(np.where(np.isnan(x), -86, x).astype(np.float64), -86, 88))
    assert EXP_BOUND < 1.75 * U
    assert np.abs(y / exact - 1).max() <= EXP_BOUND
    assert elementwise(functions.exp)(np.zeros(1, np.float32))[0] == 1


def test_sigmoid_and_tanh_are_within_their_bounds() -> None:
    x = all_kinds_of_floats()
    wide = np.where(np.isnan(x), np.inf, x).astype(np.float64)  # NaN counts as +infinity
    with np.errstate(over="ignore"):
        sigmoid = 1 / (1 + np.exp(-wide))
    assert np.abs(elementwise(functions.sigmoid)(x) - sigmoid).max() <= SIGMOID_BOUND
    assert np.abs(elementwise(functions.tanh)(x) - np.tanh(wide)).max() <= TANH_BOUND


def test_log_is_within_its_bound() -> None:
    x = all_kinds_of_floats()
    near_one = (1 + np.linspace(-0.5, 1, 200_001)).astype(np.float32)
    x = np.concatenate([x, near_one, near_one * np.float32(2.0**-126)])
    clamped = np.clip(np.where(np.isnan(x), 0, x).astype(np.float64), 2.0**-126, float(LARGEST))
    y, exact = elementwise(functions.log)(x).astype(np.float64), np.log(clamped)
    # n is 0 from 2/3 to 4/3, give or take a bit.
    power = np.abs(clamped - 1) > 1 / 3 - 2.0**-23
    bound = np.where(power, LOG_POWER + U * np.abs(exact), LOG_FRACTION * np.abs(exact))
    assert LOG_FRACTION < 1.6 * U
    assert (np.abs(y - exact) <= bound).all()


def test_softplus_is_relatively_within_its_bound() -> None:
    x = all_kinds_of_floats()
    wide = np.clip(np.where(np.isnan(x), -86, x).astype(np.float64), -86, float(LARGEST))
    exact = np.maximum(wide, 0) + np.log1p(np.exp(-np.abs(wide)))
    y = elementwise(functions.softplus)(x)[~np.isnan(x) & np.isfinite(x)]
    exact = exact[~np.isnan(x) & np.isfinite(x)]
    assert SOFTPLUS_BOUND < 10 * U
    assert np.abs(y / exact - 1).max() <= SOFTPLUS_BOUND
    assert elementwise(functions.softplus)(np.array([np.inf], np.float32))[0] == np.inf


def test_relu_of_nan_is_zero() -> None:
    x = np.array([np.nan, -np.inf, -1, -0.0, 0.0, 1e-45, np.inf], np.float32)
    y = elementwise(functions.relu)(x)
    np.testing.assert_array_equal(y.view(np.uint32), [0, 0, 0, 0, 0, 1, 0x7F800000])


def test_mu_law_expansion_is_within_its_bound() -> None:
    mu = 255
    v = np.linspace(-1, 1, 4097, dtype=np.float32)
    log1p_mu, inverse_mu = np.float32(math.log(1 + mu)), np.float32(1 / mu)
    y = np.array([functions.expand(x, log1p_mu, inverse_mu) for x in v], np.float64)
    exact = np.copysign(np.expm1(np.abs(v.astype(np.float64)) * math.log(1 + mu)) / mu, v)
    # The argument of exp carries two roundings, exp its own, then come the difference, 1 / mu and
    # the product: all relative to at most (1 + mu) / mu.
    relative = 2 * U * math.log(1 + mu) + EXP_BOUND + 3 * U
    assert np.abs(y - exact).max() <= relative * (1 + mu) / mu


@pytest.mark.parametrize(
    ("y", "sample"),
    [
        (0.5 / 32768, 0),
        (1.5 / 32768, 2),
        (-2.5 / 32768, -2),
        (1.0, 32767),
        (-1.5, -32768),
        (math.inf, 32767),
        (math.nan, -32768),
    ],
)
def test_samples_round_to_even_and_clamp(y: float, sample: int) -> None:
    assert functions.to_pcm(np.float32(y)) == sample


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ("00000000 " * 4, "00000000 " * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff " * 4, "ffffffff " * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            "243f6a88 85a308d3 13198a2e 03707344",
            "a4093822 299f31d0",
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_gives_the_known_answers_of_random123(counter: str, key: str, words: str) -> None:
    c0, c1, c2, c3 = (int(word, 16) for word in counter.split())
    k0, k1 = (int(word, 16) for word in key.split())
    assert functions.philox((c0, c1, c2, c3), (k0, k1)) == tuple(
        int(word, 16) for word in words.split()
    )


def test_random_numbers_are_independent_of_each_other_and_even() -> None:
    n, cells = 16_384, 64
    numbers = [
        [functions.uniform(7, 0, i, 0) for i in range(n)],
        [functions.uniform(7, 0, i, 1) for i in range(n)],  # another word
        [functions.uniform(7, 1, i, 0) for i in range(n)],  # another stream
        [functions.uniform(7 + 2**32, 0, i, 0) for i in range(n)],  # another seed
    ]
    for a in numbers:
        assert 0 <= min(a) and max(a) < 1
        assert_likely(np.histogram(a, cells, (0, 1))[0], np.full(cells, n / cells))
    for b in numbers[1:]:
        pairs = np.histogram2d(numbers[0], b, 8, ((0, 1), (0, 1)))[0].ravel()
        assert_likely(pairs, np.full(64, n / 64))


def assert_likely(counts: npt.NDArray[np.floating], expected: npt.NDArray[np.floating]) -> None:
    """Pearson's statistic is below what a chance of e^-14 would exceed (Laurent, Massart 2000)."""
    d, t = len(counts) - 1, 14
    statistic = float(((counts - expected) ** 2 / expected).sum())
    assert statistic < d + 2 * math.sqrt(d * t) + 2 * t


@pytest.mark.parametrize("classes", [1, 5, 16, 37, 256])
def test_a_draw_takes_each_class_by_its_share(classes: int) -> None:
    logits = np.random.default_rng(classes).normal(0, 2, classes).astype(np.float32)
    temperature = 0.75
    _, e, groups = functions.exponentials(logits, np.float32(1 / temperature))
    numbers = np.arange(0, 2**24, 64) * np.float32(2.0**-24)

    @compiled
    def draws(numbers: Floats) -> npt.NDArray[np.int64]:
        counts = np.zeros(classes, np.int64)
        for u in numbers:
            counts[functions.draw(classes, e, groups, u)] += 1
        return counts

    shares = draws(numbers.astype(np.float32)) / len(numbers)
    wide = np.exp(logits.astype(np.float64) / temperature)
    # A border between classes lies in the running sum: off by the errors of exp (whose argument
    # carries three roundings, of values up to |l - m| / temperature) and at most `classes` + 1
    # roundings of the sum and its threshold. A share has two borders, and the grid its step.
    argument = float(logits.max() - logits.min()) / temperature
    border = EXP_BOUND + 3 * U * argument + (classes + 1) * U
    assert np.abs(shares - wide / wide.sum()).max() <= 2 * border + 1 / len(numbers)


def test_a_draw_survives_logits_that_are_not_finite() -> None:
    for logits in ([np.nan] * 20, [-np.inf] * 20, [np.inf, 0.0, np.nan]):
        m, e, groups = functions.exponentials(np.array(logits, np.float32), np.float32(1))
        assert np.isfinite(groups).all()
        for u in (0.0, 0.5, 1 - U):
            assert 0 <= functions.draw(len(logits), e, groups, np.float32(u)) < len(logits)
        chosen = functions.likeliest(np.array(logits, np.float32), np.float32(m))
        assert chosen == 0
