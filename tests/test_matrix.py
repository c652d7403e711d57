"""linnet.SparseMatrix as numpy users meet it; test_equality.py has its sums."""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
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
@given(SHAPES, LAYOUTS, st.integers(0, 17), st.integers(0, 99))
def test_every_form_of_a_product_has_the_same_bits(
    shape: tuple[int, int], block: str, n: int, seed: int
) -> None:
    dense = pruned(shape, block, seed)
    x = np.random.default_rng(seed).standard_normal((shape[1], n)).astype(np.float32)
    every = [linnet.SparseMatrix(dense, block, kernels=k) for k in linnet.kernels()]
    every.append(pickle.loads(pickle.dumps(every[0])))
    every.append(linnet.SparseMatrix(dense, block, threads=3))
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


def test_threads_change_no_bit_of_a_large_product() -> None:
    kinds = (("4x4", "float16"), ("1x16", "int8"), ("dense", "float32"), ("dense", "int8"))
    for block, dtype in kinds:
        dense = pruned((515, 259), block, 1)
        x = np.random.default_rng(0).standard_normal((259, 11)).astype(np.float32)
        alone = linnet.SparseMatrix(dense, block, dtype)
        for threads in (2, 3, 16):
            together = linnet.SparseMatrix(dense, block, dtype, threads=threads)
            assert together.threads == pickle.loads(pickle.dumps(together)).threads == threads
            np.testing.assert_array_equal((together @ x).view("u4"), (alone @ x).view("u4"))


def test_several_threads_of_python_share_a_matrix() -> None:
    matrix = linnet.SparseMatrix(pruned((512, 512), "4x4", 2), threads=2)
    inputs = np.random.default_rng(0).standard_normal((8, 512)).astype(np.float32)
    expected = [matrix @ x for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for got, want in zip(pool.map(matrix.__matmul__, inputs), expected, strict=True):
                np.testing.assert_array_equal(got, want)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_starts_threads_of_its_own() -> None:
    matrix = linnet.SparseMatrix(pruned((1024, 1024), "4x4", 2), threads=2)
    x = np.ones(1024, np.float32)
    expected = matrix @ x
    with multiprocessing.get_context("fork").Pool(1) as pool:
        got = pool.apply_async(matrix.__matmul__, (x,)).get(timeout=60)
    np.testing.assert_array_equal(got, expected)


def test_scipy_matrices_come_and_go() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    dense = pruned((40, 24), "4x4", 3).astype(np.float16).astype(np.float32)
    for kind in (sparse.csr_array, sparse.csc_matrix, sparse.coo_array, sparse.bsr_array):
        matrix = linnet.SparseMatrix(kind(dense))
        np.testing.assert_array_equal(np.asarray(matrix), dense)
    out = matrix.to_scipy()
    assert out.nnz == np.count_nonzero(dense)
    np.testing.assert_array_equal(out.toarray(), dense)


def test_asarray_gives_the_stored_matrix() -> None:
    matrix = linnet.SparseMatrix(pruned((9, 7), "1x4", 0), "1x4", "bfloat16")
    np.testing.assert_array_equal(np.asarray(matrix), matrix.to_dense())
    assert np.asarray(matrix, np.float64).dtype == np.float64


def test_a_transpose_is_refused_with_the_way_to_it() -> None:
    matrix = linnet.SparseMatrix(np.eye(4))
    with pytest.raises(AttributeError, match=r"SparseMatrix\(W.to_dense\(\).T, block\)"):
        matrix.T  # noqa: B018
    for x in (np.zeros(4), [0, 0, 0, 0]):
        with pytest.raises(TypeError, match="store the transpose"):
            x @ matrix


@pytest.mark.parametrize("dtype", list(dtypes.DTYPES))
@pytest.mark.parametrize("block", [*blocks.BLOCKS, "dense"])
def test_a_saved_matrix_comes_back(tmp_path: Path, block: str, dtype: str) -> None:
    matrix = linnet.SparseMatrix(pruned((37, 21), block, 4), block, dtype)
    path = tmp_path / "matrix.anything"
    matrix.save(path)
    again = linnet.SparseMatrix.load(path, kernels="portable", threads=2)
    assert (again.block, again.dtype, again.shape) == (block, dtype, (37, 21))
    assert (again.kernels, again.threads) == ("portable", 2)
    np.testing.assert_array_equal(again.to_dense(), matrix.to_dense())
    with pytest.raises(ValueError, match="no kernel set 'mmx'"):
        linnet.SparseMatrix.load(path, kernels="mmx")


def test_damaged_files_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "matrix.npz"
    linnet.SparseMatrix(np.eye(16)).save(path)
    data = path.read_bytes()
    other = io.BytesIO()
    np.savez(other, values=np.zeros(3))
    for wrong in (b"", data[: len(data) // 2], b"abc", other.getvalue()):
        path.write_bytes(wrong)
        with pytest.raises(linnet.FormatError, match=r"matrix\.npz: not a matrix"):
            linnet.SparseMatrix.load(path)
    with pytest.raises(FileNotFoundError):
        linnet.SparseMatrix.load(tmp_path / "absent")


def test_scattered_weights_bring_a_hint() -> None:
    rng = np.random.default_rng(0)
    scattered = rng.standard_normal((128, 128)) * (rng.random((128, 128)) < 0.2)
    with pytest.warns(UserWarning, match="9[0-9]% of the 4x4 blocks"):
        linnet.SparseMatrix(scattered)
    linnet.SparseMatrix(scattered, "auto")
    linnet.SparseMatrix(rng.standard_normal((128, 128)))
    linnet.SparseMatrix(pruned((128, 128), "4x4", 0))


@pytest.mark.parametrize("threads", [0, 17])
def test_other_numbers_of_threads_are_refused(threads: int) -> None:
    with pytest.raises(ValueError, match=f"threads must be 1 .. 16, not {threads}"):
        linnet.SparseMatrix(np.eye(4), threads=threads)


def test_products_with_other_shapes_are_refused() -> None:
    matrix = linnet.SparseMatrix(np.eye(4))
    for x in (np.zeros(5), np.zeros((5, 4)), np.zeros((4, 1, 1)), np.float32(1)):
        with pytest.raises(ValueError, match=r"x must have shape \(4,\) or \(4, n\)"):
            matrix @ x


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
