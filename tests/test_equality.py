"""Every kernel set gives the reference's bits, which are as near to float64 as their sums allow."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba", reason="the reference needs Numba")

from linnet import SparseMatrix, _hooks, kernels  # noqa: E402
from linnet.format import blocks, dtypes  # noqa: E402
from linnet.reference import functions, matching  # noqa: E402
from linnet.reference.engine import matvec  # noqa: E402

Floats = npt.NDArray[np.float32]

LAYOUTS = ["dense", *blocks.BLOCKS]

# Numba compiles within the first example.
every_example = settings(deadline=None, max_examples=60)
each_set = pytest.mark.parametrize("name", kernels())
seeds = st.integers(0, 2**32 - 1)


def assert_same_bits(actual: Floats, expected: Floats) -> None:
    """Of two NaN, such as infinity less infinity, the bits may differ."""
    assert actual.dtype == expected.dtype == np.float32
    nan = np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(actual), nan)
    np.testing.assert_array_equal(actual[~nan].view(np.uint32), expected[~nan].view(np.uint32))


def awkward(rng: np.random.Generator, shape: tuple[int, ...], largest: float) -> Floats:
    """Numbers of all magnitudes up to `largest`: zeros of both signs, subnormals, equal ones."""
    wide = rng.normal(size=shape) * 2.0 ** rng.integers(-140, 1, shape)
    plain = rng.normal(size=shape)
    edges = rng.choice(
        [0.0, -0.0, 1.0, -1.0, 2.0**-24, 2.0**-14, 2.0**-149, largest, -largest], shape
    )
    kind = rng.choice(3, shape, p=[0.2, 0.6, 0.2])
    return np.choose(kind, [wide, plain, edges]).astype(np.float32)


def random_packed(
    rng: np.random.Generator, rows: int, cols: int, density: float, layout: str, dtype: str
) -> blocks.Packed:
    """A random matrix with about `density` of its blocks, whose quads stand in any order."""
    dense = awkward(rng, (rows, cols), 65504.0)
    if layout == "dense":
        return blocks.pack(dense, layout, dtype)
    r, c = blocks.block_shape(layout)
    grid = rng.random((-(-rows // r), -(-cols // c))) < density
    grid[rng.random(len(grid)) < 0.2] = False  # empty block rows
    dense *= np.repeat(np.repeat(grid, r, 0), c, 1)[:rows, :cols]
    packed = blocks.pack(dense, layout, dtype)
    assert packed.quads is not None and packed.columns is not None
    ends = np.cumsum(4 * packed.quads["depth"].astype(np.int64))
    order = rng.permutation(len(ends))
    listed = np.concatenate(
        [np.arange(ends[i] - 4 * int(packed.quads["depth"][i]), ends[i]) for i in order]
    )
    return replace(
        packed,
        values=packed.values.reshape(-1, r * c)[listed].ravel(),
        columns=packed.columns[listed],
        quads=packed.quads[order],
    )


def assert_near_float64(
    y: Floats, dense: Floats, x: Floats, bias: Floats, step: float = 0.0
) -> None:
    """|y - W x - b| <= n u / (1 - n u) (|W| |x| + |b|): each term passes at most n roundings.

    n = cols products, at most 5 sums of partial sums and the bias; u = 2^-24, or 2^-150 absolutely
    below the normal numbers. Higham, "Accuracy and stability of numerical algorithms", 3.1.
    Where x is rounded to multiples of `step`, it is half a step off, and a rounding of its
    quotient: of 127, at most 2^-15 of a step.
    """
    wide, x64 = dense.astype(np.float64), x.astype(np.float64)
    n = len(x) + 6
    gamma = n * 2.0**-24 / (1 - n * 2.0**-24)
    sums = np.abs(wide) @ (np.abs(x64) + step)
    bound = gamma * (sums + np.abs(bias)) + n * 2.0**-150
    bound += (0.5 + 2.0**-15) * step * np.abs(wide).sum(axis=1)
    bound += n * 127**2 * 2.0**-150 if step else 0  # of a scale of an integer product
    assert (np.abs(y - (wide @ x64 + bias)) <= bound).all()


def step_of(packed: blocks.Packed, x: Floats) -> float | None:
    """Between the operand's integers: 0 where it stays, None where it is clipped or too small."""
    if packed.dtype != "int8":
        return 0.0
    greatest = float(np.abs(x).max())
    most = packed.input_range or greatest
    return most / 127 if greatest <= most and most > 2.0**-100 else None


@each_set
@pytest.mark.parametrize("dtype", list(dtypes.DTYPES))
@pytest.mark.parametrize("layout", LAYOUTS)
@every_example
@given(
    rows=st.integers(1, 70),
    cols=st.integers(1, 150),
    density=st.sampled_from([0, 0.1, 0.6, 1]),
    scale=st.sampled_from([1, 2**-130]),  # the second gives subnormal sums and zeros of both signs
    input_range=st.sampled_from([0.0, 1.0, 2.0**14]),
    seed=seeds,
)
def test_products(
    name: str,
    layout: str,
    dtype: str,
    rows: int,
    cols: int,
    density: float,
    scale: float,
    input_range: float,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    packed = random_packed(rng, rows, cols, density, layout, dtype)
    if dtype == "int8":
        packed = replace(packed, input_range=input_range)
    matrix = SparseMatrix.from_packed(packed, name)
    assert matrix.kernels == name
    x = awkward(rng, (cols,), 1e4) * np.float32(scale)
    bias = awkward(rng, (rows,), 1e4)

    step = step_of(packed, x)
    expected = matvec(packed, x)
    assert_same_bits(matrix @ x, expected)
    if step is not None:
        assert_near_float64(expected, matrix.to_dense(), x, np.zeros(rows, np.float32), step)

    expected = matvec(packed, x, bias)
    y = np.full(rows, np.nan, np.float32)
    matrix._core.matvec(x, y, bias)
    assert_same_bits(y, expected)
    if step is not None:
        assert_near_float64(expected, matrix.to_dense(), x, bias, step)


def integers_packed(rows: int, cols: int, layout: str, fill: int) -> blocks.Packed:
    """An int8 matrix of one integer, whose rows all have the scale 1."""
    packed = blocks.pack(np.full((rows, cols), np.sign(fill), np.float32), layout, "int8")
    values = np.where(packed.values != 0, np.int8(fill), np.int8(0))
    return replace(packed, values=values, scales=np.ones(rows, np.float32), input_range=127.0)


@each_set
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("fill", "x"), [(127, 127), (-127, 127), (127, -127), (-127, -127)])
def test_the_largest_integers_saturate_nothing(name: str, layout: str, fill: int, x: int) -> None:
    """Every product is 127 x 127, in rows as long as the format allows."""
    for cols in (7, dtypes.INT8_COLUMNS):
        matrix = SparseMatrix.from_packed(integers_packed(33, cols, layout, fill), name)
        y = matrix @ np.full(cols, x, np.float32)
        np.testing.assert_array_equal(y, np.full(33, np.float32(fill * x * cols)))


@each_set
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("input_range", [0.0, 1.5])
def test_operands_that_are_no_numbers_have_a_meaning(
    name: str, layout: str, input_range: float
) -> None:
    rng = np.random.default_rng(1)
    packed = replace(random_packed(rng, 35, 50, 0.7, layout, "int8"), input_range=input_range)
    matrix = SparseMatrix.from_packed(packed, name)
    for special in (np.nan, np.inf, -np.inf, 3.4e38, 2.0**-149):
        x = rng.normal(size=50).astype(np.float32)
        x[rng.integers(0, 50, 3)] = special
        expected = matvec(packed, x)
        assert np.isfinite(expected).all() or not input_range
        assert_same_bits(matrix @ x, expected)
    bias = awkward(rng, (35,), 10)
    y = np.full(35, np.nan, np.float32)
    for x in (np.zeros(50, np.float32), np.full(50, np.nan, np.float32)):
        matrix._core.matvec(x, y, bias)
        assert_same_bits(y, matvec(packed, x, bias))
        if not x.any() or not input_range:
            np.testing.assert_array_equal(y, bias)


@each_set
@pytest.mark.parametrize("block", list(blocks.BLOCKS))
def test_products_with_wide_column_indices(name: str, block: str) -> None:
    rng = np.random.default_rng(0)
    cols = 300 * blocks.block_shape(block)[1] - 1
    packed = random_packed(rng, 33, cols, 0.3, block, "float16")
    assert packed.columns is not None and packed.columns.dtype == np.uint16
    x = awkward(rng, (cols,), 1e4)
    assert_same_bits(SparseMatrix.from_packed(packed, name) @ x, matvec(packed, x))


@each_set
@pytest.mark.parametrize("dtype", list(dtypes.DTYPES))
@pytest.mark.parametrize("cols", range(1, 7))
def test_products_with_few_columns(name: str, dtype: str, cols: int) -> None:
    for rows in (1, 15, 16, 17, 100):
        rng = np.random.default_rng(rows)
        packed = random_packed(rng, rows, cols, 1, blocks.DENSE, dtype)
        x, bias = awkward(rng, (cols,), 1e4), awkward(rng, (rows,), 1e4)
        matrix = SparseMatrix.from_packed(packed, name)
        assert_same_bits(matrix @ x, matvec(packed, x))
        y = np.full(rows, np.nan, np.float32)
        matrix._core.matvec(x, y, bias)
        assert_same_bits(y, matvec(packed, x, bias))


@each_set
def test_products_of_a_real_model(name: str) -> None:
    root = Path(os.environ.get("LINNET_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    path = root / "lyra-sparse-wavernn-1024" / "wavernn_1024_95_4x4.npz"
    if not path.exists():
        pytest.skip(f"{path.name} is absent: set LINNET_TEST_DATA")
    rng = np.random.default_rng(0)
    with np.load(path) as tensors:
        weights = [tensors[key] for key in tensors.files if tensors[key].ndim == 2]
    for dense in weights:
        x = rng.uniform(-1, 1, dense.shape[1]).astype(np.float32)
        for layout in LAYOUTS:
            matrix = SparseMatrix(dense, layout, kernels=name)
            expected = matvec(blocks.pack(dense, layout, "float16"), x)
            assert_same_bits(matrix @ x, expected)
            rounded = dense.astype(np.float16).astype(np.float32)
            assert_near_float64(expected, rounded, x, np.zeros(len(dense), np.float32))


@each_set
@every_example
@given(units=st.integers(1, 70), seed=seeds)
def test_gates(name: str, units: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    recurrent, input = (awkward(rng, (3, units), 100.0) * 4 for _ in range(2))
    state = rng.uniform(-1, 1, units).astype(np.float32)
    actual = _hooks.gates(name, recurrent, input, state)
    functions.gates(recurrent.ravel(), input.ravel(), state)
    assert_same_bits(actual, state)


@each_set
@every_example
@given(n=st.integers(1, 300), temperature=st.sampled_from([0.1, 0.7, 1.0, 3.0]), seed=seeds)
def test_exponentials(name: str, n: int, temperature: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = awkward(rng, (n,), 300.0) * 5
    logits[rng.random(n) < 0.02] = rng.choice([np.nan, -np.inf, np.inf])
    inverse = np.float32(1) / np.float32(temperature)
    actual = _hooks.exponentials(name, logits, float(inverse))
    expected = functions.exponentials(logits, inverse)
    assert actual[0] == expected[0]
    assert_same_bits(actual[1], expected[1])
    assert_same_bits(actual[2], expected[2])


@each_set
@pytest.mark.parametrize("activation", range(5))
def test_activations(name: str, activation: int) -> None:
    patterns = np.arange(0, 2**32, 65521, dtype=np.uint64).astype(np.uint32).view(np.float32)
    edges = np.array([0.0, -0.0, np.inf, -np.inf, 1e-45, 86, -86, 88, -88], np.float32)
    y = np.concatenate([patterns, edges, np.linspace(-100, 100, 10_001, dtype=np.float32)])
    add = np.roll(y, 1)
    for other, wanted in ((None, y.copy()), (add, functions.add(y, add))):
        functions.activate(activation, wanted)
        assert_same_bits(_hooks.activate(name, activation, y, other), wanted)


@each_set
@every_example
@given(rows=st.integers(1, 9), window=st.integers(1, 7), channels=st.integers(1, 40), seed=seeds)
def test_upsampling(name: str, rows: int, window: int, channels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights, frames = awkward(rng, (rows, window), 1e4), awkward(rng, (window, channels), 1e4)
    expected = np.empty((rows, channels), np.float32)
    functions.upsample(weights, frames, expected)
    assert_same_bits(_hooks.upsample(name, weights, frames), expected)


@each_set
@every_example
@given(log_n=st.integers(4, 12), power=st.integers(1, 2), largest=st.integers(-140, 40), seed=seeds)
def test_spectra_and_back(name: str, log_n: int, power: int, largest: int, seed: int) -> None:
    n = 1 << log_n
    rng = np.random.default_rng(seed)
    twiddles = awkward(rng, (n,), 1.0)  # a file may hold any
    size = 2 * int(rng.integers(1, n // 2 + 1))
    signal, window = awkward(rng, (size,), 2.0**largest), awkward(rng, (size,), 1.0)
    frame = np.zeros(n, np.float32)
    frame[(n - size) // 2 :][:size] = signal * window
    re, im = matching.forwards(twiddles, frame)
    sizes = matching.sizes(re, im, power)
    for actual, expected in zip(
        _hooks.spectrum(name, twiddles, power, signal, window), (re, im, sizes), strict=True
    ):
        assert_same_bits(actual, expected)
    gain = awkward(rng, (n // 2 + 1,), 100.0)
    expected = matching.backwards(twiddles, re * gain, im * gain)
    assert_same_bits(_hooks.from_spectrum(name, twiddles, re, im, gain), expected)


@each_set
@every_example
@given(n=st.integers(1, 70), seed=seeds)
def test_corrections(name: str, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    features, bands = awkward(rng, (n,), 10.0), awkward(rng, (n,), 2.0**127)
    bands[rng.random(n) < 0.1] = rng.choice([np.nan, -np.inf, np.inf])
    numbers = np.array([2.3, -0.5, rng.choice([1e-45, 1e-5]), 1.3, 4.6], np.float32)
    expected = matching.corrections(bands, features, *numbers)
    assert_same_bits(_hooks.corrections(name, numbers, features, bands), expected)


@each_set
@pytest.mark.parametrize(("dtype", "number"), dtypes.DTYPES.items())
def test_every_short_weight_is_widened_exactly(name: str, dtype: str, number: int) -> None:
    stored = np.arange(2**16, dtype=np.uint32)
    if dtype == "float32":
        bits = stored * np.uint32(0xFFFB)
    elif dtype == "float16":
        bits = stored.astype(np.uint16)[(stored & 0x7C00) != 0x7C00]
    elif dtype == "int8":
        bits = np.tile(np.arange(-127, 128, dtype=np.int8), 3)
    else:
        bits = stored.astype(np.uint16)
    values: npt.NDArray[Any] = bits.view(np.float16) if dtype == "float16" else bits
    wide = values.view(np.float32) if dtype == "float32" else dtypes.widen(values, dtype)
    finite = np.isfinite(wide)
    assert_same_bits(_hooks.widen(name, number, values[finite].tobytes()), wide[finite])
