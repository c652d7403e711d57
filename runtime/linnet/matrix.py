"""Block-sparse matrices for numpy: the kernels on their own, without a voice around them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from linnet import _core
from linnet.format import blocks, choice, dtypes

Float32 = npt.NDArray[np.float32]


class SparseMatrix:
    """A read-only matrix W of which only the blocks with a nonzero are stored.

    Products are float32, with the same bits on every CPU and every kernel set (export/FORMAT.md,
    "Arithmetic"). One matrix may be used by several threads at once.
    """

    # numpy leaves x @ W alone, which would otherwise become an array of objects.
    __array_ufunc__ = None

    def __init__(
        self,
        dense: npt.ArrayLike,
        block: str = "4x4",
        dtype: str = "float16",
        kernels: str | None = None,
    ) -> None:
        """Store `dense` (rows, cols).

        block: "4x4", "8x4", "16x1", "1x16", "1x4" (rows x columns), "dense", or "auto" for the one
        that needs the fewest bytes. dtype: "float16", "bfloat16", "float32" or "int8"; weights are
        rounded to nearest even, once. An int8 matrix has a scale for each row, and products round x
        too, to 255 steps within its greatest magnitude. kernels: a name of `linnet.kernels()`; None
        for the best set.

        Raises ValueError for another shape or name, for NaN or infinite weights, for weights beyond
        the range of dtype, and for a kernel set that this CPU lacks.
        """
        weights = np.asarray(dense)
        if weights.ndim != 2 or 0 in weights.shape:
            raise ValueError(f"a matrix must have shape (rows, cols), not {weights.shape}")
        if weights.dtype.kind not in "fiu":
            raise ValueError(f"weights must be real numbers, not {weights.dtype}")
        if block == "auto":
            block = choice.best_block(weights, dtype)
        if block != blocks.DENSE:
            blocks.block_shape(block)
        self._use(blocks.pack(weights, block, dtype), kernels)

    @classmethod
    def from_packed(cls, packed: blocks.Packed, kernels: str | None = None) -> SparseMatrix:
        """A matrix as it stands in a file."""
        matrix = cls.__new__(cls)
        matrix._use(packed, kernels)
        return matrix

    def _use(self, packed: blocks.Packed, kernels: str | None) -> None:
        self._packed = packed
        self._core = _core.Matrix(
            blocks.LAYOUTS[packed.layout],
            dtypes.DTYPES[packed.dtype],
            packed.rows,
            packed.cols,
            packed.values_section,
            b"" if packed.columns is None else packed.columns.tobytes(),
            b"" if packed.quads is None else packed.quads.tobytes(),
            kernels,
            packed.input_range,
        )

    @property
    def packed(self) -> blocks.Packed:
        """The matrix as it stands in a file."""
        return self._packed

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        return self._packed.rows, self._packed.cols

    @property
    def block(self) -> str:
        """The block shape's name, or "dense"."""
        return self._packed.layout

    @property
    def dtype(self) -> str:
        """The storage type's name."""
        return self._packed.dtype

    @property
    def kernels(self) -> str:
        """The name of the kernel set in use."""
        return self._core.kernels

    @property
    def nnz(self) -> int:
        """Stored weights: those of stored blocks, zeros among them included, inside the matrix."""
        return self._packed.stored_weights

    @property
    def nbytes(self) -> int:
        """Bytes of everything stored: weights, block columns and quads."""
        return self._packed.nbytes

    @property
    def density(self) -> float:
        """nnz / (rows cols)."""
        rows, cols = self.shape
        return self.nnz / (rows * cols)

    def matvec(self, x: Float32, out: Float32 | None = None) -> Float32:
        """W x, into `out` if given; `out` is returned.

        x: (cols,) float32, contiguous. out: (rows,) float32, contiguous, apart from x.
        Raises ValueError for anything else.
        """
        if out is None:
            out = np.empty(self._packed.rows, np.float32)
        self._core.matvec(x, out)
        return out

    def __matmul__(self, x: npt.ArrayLike) -> Float32:
        """W @ x for x (cols,) or (cols, n), converted to float32; bits do not depend on n."""
        operand = np.asarray(x)
        rows, cols = self.shape
        if operand.ndim not in (1, 2) or operand.shape[0] != cols:
            raise ValueError(f"x must have shape ({cols},) or ({cols}, n), not {operand.shape}")
        if operand.dtype.kind not in "fiu":
            raise ValueError(f"x must be real numbers, not {operand.dtype}")
        columns = np.ascontiguousarray(operand.T, dtype=np.float32)
        if operand.ndim == 1:
            return self.matvec(columns)
        products = np.empty((len(columns), rows), np.float32)
        for column, product in zip(columns, products, strict=True):
            self._core.matvec(column, product)
        return np.ascontiguousarray(products.T)

    def time(self, x: Float32, repeats: int) -> float:
        """Seconds per product with x (cols,) float32, averaged over `repeats` products."""
        return self._core.time(x, repeats)

    def to_dense(self) -> Float32:
        """The matrix as stored, (rows, cols) float32."""
        return self._packed.to_dense()

    def __repr__(self) -> str:
        rows, cols = self.shape
        return (
            f"<SparseMatrix {rows} x {cols}, {self.block} {self.dtype}, {self.density:.1%} stored>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return SparseMatrix.from_packed, (self._packed, None)
