"""One matrix: its product beside dense ones and the stream limit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linnet import _hooks
from linnet.format import blocks, dtypes
from linnet.format.blocks import Packed
from linnet.format.description import recurrent_matrix
from linnet.matrix import SparseMatrix
from linnet.pruning import prune
from linnet.voice import Voice
from linnet_bench.timing import Budget, Timer, interleaved, one_library_thread, timer

Float32 = npt.NDArray[np.float32]
UNSTRUCTURED = "1x1"


@dataclass(frozen=True)
class ProductTimes:
    """Seconds per product y = W x of one matrix, on one thread."""

    rows: int
    cols: int
    block: str
    dtype: str
    density: float
    nbytes: int
    kernels: str
    sparse: float
    dense: float  # linnet's own dense kernel, all weights stored in the same type
    numpy: float  # numpy's float32 product
    stream_limit: float  # only loading, widening and multiply-adding the stored weights

    @property
    def ratio(self) -> float:
        """Time of the sparse product over the stream limit."""
        return self.sparse / self.stream_limit


def time_products(
    matrix: SparseMatrix, rounds: int | None = None, budget: Budget | None = None
) -> ProductTimes:
    """Time one matrix beside its dense forms and the stream limit."""
    weights = matrix.to_dense()
    rows, cols = matrix.shape
    dense = SparseMatrix(weights, "dense", matrix.dtype, matrix.kernels)
    y = np.empty(rows, np.float32)
    x = vector(cols)
    with one_library_thread():
        times = interleaved(
            {
                "sparse": product_timer(matrix),
                "dense": product_timer(dense),
                "numpy": timer(lambda: np.dot(weights, x, out=y)),
                "stream_limit": limit_timer(matrix.packed),
            },
            rounds,
            budget,
        )
    return ProductTimes(
        rows,
        cols,
        matrix.block,
        matrix.dtype,
        matrix.density,
        matrix.nbytes,
        matrix.kernels,
        **times,
    )


def product_timer(matrix: SparseMatrix) -> Timer:
    """Times W x in the core, without the calls from Python."""
    x = vector(matrix.shape[1])
    return lambda repeats: matrix.time(x, repeats)


def limit_timer(*matrices: Packed) -> Timer:
    """Times the stream limit of the stored weights of matrices, those of each type together."""
    by_type = {
        dtypes.DTYPES[dtype]: b"".join(m.values.tobytes() for m in matrices if m.dtype == dtype)
        for dtype in {matrix.dtype for matrix in matrices}
    }
    return lambda repeats: sum(
        _hooks.stream_limit(values, number, repeats) for number, values in by_type.items()
    )


def vector(size: int) -> Float32:
    return np.random.default_rng(0).standard_normal(size).astype(np.float32)


def voice_matrix(voice: Voice) -> SparseMatrix | None:
    """The voice's recurrent matrix, None where it has no gates."""
    tensor = recurrent_matrix(voice.file())
    return None if tensor is None else SparseMatrix.from_packed(tensor.packed, voice.kernels)


def random_weights(rows: int, cols: int, sparsity: float, block: str) -> Float32:
    """Normal weights, pruned by blocks ("1x1": one by one), which falls on random places."""
    weights: Float32 = np.random.default_rng(0).standard_normal((rows, cols)).astype(np.float32)
    if block == blocks.DENSE:
        return weights
    return np.asarray(prune(weights, block, sparsity), np.float32)


def random_matrix(
    rows: int, cols: int, sparsity: float, block: str, dtype: str, kernels: str | None
) -> SparseMatrix:
    """A matrix of `random_weights`."""
    return SparseMatrix(random_weights(rows, cols, sparsity, block), block, dtype, kernels)
