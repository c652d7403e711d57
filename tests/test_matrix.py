"""linnet.SparseMatrix as numpy users meet it; test_equality.py has its sums."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import linnet
from linnet import _core
from linnet.format import blocks, choice, dtypes

SHAPES = st.tuples(st.integers(1, 70), st.integers(1, 70))
LAYOUTS = st.sampled_from([*blocks.BLOCKS, "dense"])


def pruned(shape: tuple[int, int], block: str, seed: int) -> npt.NDArray[np.float32]:
    """About a third of the blocks hold normal weights."""
    rng = np.random.default_rng(seed)
    r, c = blocks.BLOCKS.get(block, (1, 1))
    keep = rng.random((-(-shape[0] // r), -(-shape[1] // c))) < 1 / 3
    mask = np.kron(keep, np.ones((r, c)))[: shape[0], : shape[1]]
    weights: npt.NDArray[np.float32] = (rng.standard_normal(shape) * mask).astype(np.float32)
    return weights


@settings(deadline=None)
@given(SHAPES, LAYOUTS, st.sampled_from(list(dtypes.DTYPES)), st.integers(0, 99))
def test_what_is_stored(shape: tuple[int, int], block: str, dtype: str, seed: int) -> None:
    dense = pruned(shape, block, seed)
    matrix = linnet.SparseMatrix(dense, block, dtype)
    assert (matrix.shape, matrix.block, matrix.dtype) == (shape, block, dtype)
    assert matrix.kernels == linnet.kernels()[0]
    rounded = dtypes.as_stored(dense, dtype)
    np.testing.assert_array_equal(matrix.to_dense(), rounded)
    if block == "dense":
        assert matrix.nnz == dense.size
    else:
        stored = np.kron(choice.occupied_blocks(rounded, block), np.ones(blocks.BLOCKS[block]))
        assert matrix.nnz == np.count_nonzero(stored[: shape[0], : shape[1]])
    assert matrix.density == matrix.nnz / dense.size
    assert matrix.nbytes == choice.stored_bytes(rounded, block, dtype)


@settings(deadline=None)
@given(SHAPES, LAYOUTS, st.integers(0, 5), st.integers(0, 99))
def test_every_form_of_a_product_has_the_same_bits(
    shape: tuple[int, int], block: str, n: int, seed: int
) -> None:
    dense = pruned(shape, block, seed)
    x = np.random.default_rng(seed).standard_normal((shape[1], n)).astype(np.float32)
    every = [linnet.SparseMatrix(dense, block, kernels=k) for k in linnet.kernels()]
    every.append(pickle.loads(pickle.dumps(every[0])))
    expected = every[0] @ x
    assert expected.shape == (shape[0], n) and expected.dtype == np.float32
    for matrix in every:
        np.testing.assert_array_equal((matrix @ x).view("u4"), expected.view("u4"))
        for i in range(n):
            out = np.full(shape[0], np.nan, np.float32)
            column = np.ascontiguousarray(x[:, i])
            assert matrix.matvec(column, out=out) is out
            for product in (out, matrix.matvec(column), matrix @ column, matrix @ x[:, i]):
                np.testing.assert_array_equal(product.view("u4"), expected[:, i].view("u4"))


def test_auto_takes_the_block_that_was_pruned() -> None:
    for block in ("4x4", "16x1", "1x16"):
        assert linnet.SparseMatrix(pruned((64, 64), block, 0), "auto").block == block


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros(31, np.float32), r"shape \(32,\), not \(31,\)"),
        (np.zeros((32, 1), np.float32), r"shape \(32,\)"),
        (np.zeros(32), "float32 array, not float64"),
        (np.zeros(64, np.float32)[::2], "strided"),
    ],
)
def test_matvec_refuses_other_arrays(x: Any, message: str) -> None:
    square = linnet.SparseMatrix(np.eye(32))
    good = np.zeros(32, np.float32)
    with pytest.raises(ValueError, match="x must .*" + message):
        square.matvec(x, out=good)
    with pytest.raises(ValueError, match="out must .*" + message):
        square.matvec(good, out=x)


def test_matvec_refuses_to_overwrite_its_input() -> None:
    square = linnet.SparseMatrix(np.eye(32))
    x = np.zeros(48, np.float32)
    for out in (x[:32], x[16:]):
        with pytest.raises(ValueError, match="overlaps"):
            square.matvec(x[:32], out=out)
    frozen = np.zeros(32, np.float32)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="writeable"):
        square.matvec(x[:32], out=frozen)


@pytest.mark.parametrize(
    ("dense", "options", "message"),
    [
        (np.zeros(4), {}, r"shape \(rows, cols\), not \(4,\)"),
        (np.zeros((0, 4)), {}, r"not \(0, 4\)"),
        (np.zeros((4, 4), complex), {}, "real numbers, not complex128"),
        (np.eye(4), {"block": "8x8"}, "block '8x8' is none of 4x4"),
        (np.eye(4), {"block": "vector"}, "block 'vector' is none of 4x4"),
        (np.eye(4), {"dtype": "int4"}, "dtype 'int4' is none of float16"),
        (np.zeros((2, 16385)), {"dtype": "int8"}, "16385 columns are more than an int8 matrix"),
        (np.full((4, 4), 1e39), {"dtype": "int8"}, r"1e\+39, is beyond the range of int8"),
        (np.full((4, 4), np.nan), {}, "NaN or infinite"),
        (np.full((4, 4), 70000.0), {}, "70000, is beyond the range of float16"),
    ],
)
def test_other_matrices_are_refused(dense: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        linnet.SparseMatrix(dense, **options)


def test_products_with_other_shapes_are_refused() -> None:
    matrix = linnet.SparseMatrix(np.eye(4))
    for x in (np.zeros(5), np.zeros((5, 4)), np.zeros((4, 1, 1)), np.float32(1)):
        with pytest.raises(ValueError, match=r"x must have shape \(4,\) or \(4, n\)"):
            matrix @ x
    with pytest.raises(TypeError):
        np.zeros(4) @ matrix  # type: ignore[operator]


@pytest.mark.parametrize(
    ("columns", "block_rows", "depth", "message"),
    [
        ([0, 2, 0, 0], [0, 1], 1, "column index 2 is beyond"),
        ([0, 0, 0, 0], [0, 0], 1, "block row 0, which is beyond 2 or in another quad"),
        ([0, 0, 0, 0], [0, 2], 1, "block row 2, which is beyond 2 or in another quad"),
        ([0, 0, 0, 0], [0], 1, "1 block rows of 2"),
        ([0, 0, 0, 0], [0, 1], 2, "more than n_blocks"),
        ([0, 0, 0, 0], [0, 1], 0, "0 blocks of 4"),
        ([0, 0, 0], [0, 1], 1, "values have the wrong size"),
    ],
)
def test_the_core_never_follows_a_wrong_index(
    columns: list[int], block_rows: list[int], depth: int, message: str
) -> None:
    values = np.zeros((4, 16), np.float16).tobytes()
    quads = np.zeros(1, blocks.QUAD)
    quads["block_rows"] = blocks.NO_BLOCK_ROW
    quads["block_rows"][0, : len(block_rows)] = block_rows
    quads["depth"] = depth
    with pytest.raises(ValueError, match=message):
        _core.Matrix(3, 1, 8, 8, values, bytes(columns), quads.tobytes())
