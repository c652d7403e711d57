"""Block-sparse matrices for numpy: the kernels on their own, without a voice around them."""

from __future__ import annotations

import io
import os
import warnings
import zipfile
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from linnet import _core
from linnet.errors import FormatError
from linnet.files import write_atomic
from linnet.format import blocks, choice, dtypes

Float32 = npt.NDArray[np.float32]

# Where the weights are scattered, so that more than half of the blocks of such a matrix are stored,
# zeros among them, a product is no faster than a dense one.
_HINT_SIZE = 4096
_HINT_BLOCKS = 0.5


class SparseMatrix:
    """A read-only matrix W of which only the blocks with a nonzero are stored.

    Products are float32, with the same bits on every CPU, every kernel set and any number of
    threads (export/FORMAT.md, "Arithmetic"). One matrix may be used by several threads at once.
    `np.asarray(W)` gives the dense matrix.
    """

    # numpy leaves x @ W alone, which would otherwise become an array of objects.
    __array_ufunc__ = None

    def __init__(
        self,
        dense: Any,
        block: str = "4x4",
        dtype: str = "float16",
        kernels: str | None = None,
        threads: int = 1,
    ) -> None:
        """Store `dense` (rows, cols), an array or a matrix or array of scipy.sparse.

        block: "4x4", "8x4", "16x1", "1x16", "1x4" (rows x columns), "dense", or "auto" for the one
        that needs the fewest bytes. dtype: "float16", "bfloat16", "float32" or "int8"; weights are
        rounded to nearest even, once. An int8 matrix has a scale for each row, and products round x
        too, to 255 steps within its greatest magnitude. kernels: a name of `linnet.kernels()`; None
        for the best set. threads: 1 to 16 for each product.

        A matrix of scipy.sparse is made dense on its way. Warns where the nonzeros are so scattered
        that most blocks are stored. Raises ValueError for another shape or name, for NaN or
        infinite weights, for weights beyond the range of dtype, and for a kernel set that this CPU
        lacks.
        """
        weights = dense.toarray() if hasattr(dense, "toarray") else np.asarray(dense)
        if weights.ndim != 2 or 0 in weights.shape:
            raise ValueError(f"a matrix must have shape (rows, cols), not {weights.shape}")
        if weights.dtype.kind not in "fiu":
            raise ValueError(f"weights must be real numbers, not {weights.dtype}")
        if block == "auto":
            block = choice.best_block(weights, dtype)
        if block != blocks.DENSE:
            blocks.block_shape(block)
        self._use(blocks.pack(weights, block, dtype), kernels, threads)
        if weights.size >= _HINT_SIZE and block != blocks.DENSE:
            self._hint(weights)

    @classmethod
    def from_packed(
        cls, packed: blocks.Packed, kernels: str | None = None, threads: int = 1
    ) -> SparseMatrix:
        """A matrix as it stands in a file."""
        matrix = cls.__new__(cls)
        matrix._use(packed, kernels, threads)
        return matrix

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], kernels: str | None = None, threads: int = 1
    ) -> SparseMatrix:
        """Read what `save` wrote.

        Raises FormatError, which names the file, for a file that `save` did not write, and OSError
        where it cannot be read.
        """
        with open(path, "rb") as file:
            data = io.BytesIO(file.read())
        try:
            with np.load(data, allow_pickle=False) as parts:
                found: dict[str, Any] = {name: parts[name][()] for name in parts}
            found |= {name: str(found[name]) for name in ("layout", "dtype")}
            found |= {name: int(found[name]) for name in ("rows", "cols", "n_blocks")}
            packed = blocks.Packed(**{**found, "input_range": float(found["input_range"])})
            cls.from_packed(packed)
        except (zipfile.BadZipFile, EOFError, KeyError, TypeError, ValueError, AttributeError) as e:
            raise FormatError(f"{os.fspath(path)}: not a matrix that save wrote: {e}") from None
        return cls.from_packed(packed, kernels, threads)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the stored blocks to a file for `load`, whole or not at all: numpy's .npz format,
        whatever the file is called. Raises OSError from the system."""
        parts = {field.name: getattr(self._packed, field.name) for field in fields(self._packed)}
        data = io.BytesIO()
        np.savez(data, **{name: part for name, part in parts.items() if part is not None})
        write_atomic(path, data.getvalue())

    def _hint(self, weights: npt.NDArray[Any]) -> None:
        nonzeros = np.count_nonzero(weights)
        needed = choice.occupied_blocks(weights, self.block).mean()
        if nonzeros * 2 <= weights.size and needed > _HINT_BLOCKS:
            warnings.warn(
                f"{nonzeros / weights.size:.0%} of the weights are nonzero, but they lie in "
                f"{needed:.0%} of the {self.block} blocks, all of which are stored: prune by "
                'blocks (linnet.pruning.prune), or take block="auto"',
                stacklevel=3,
            )

    def _use(self, packed: blocks.Packed, kernels: str | None, threads: int) -> None:
        self._packed = packed
        self._threads = threads
        self._core = _core.Matrix(
            blocks.LAYOUTS[packed.layout],
            dtypes.DTYPES[packed.dtype],
            packed.rows,
            packed.cols,
            packed.values_section,
            b"" if packed.columns is None else packed.columns.tobytes(),
            b"" if packed.quads is None else packed.quads.tobytes(),
            kernels,
            threads,
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
    def threads(self) -> int:
        """Threads of a product."""
        return self._threads

    @property
    def T(self) -> SparseMatrix:  # noqa: N802, as numpy calls it
        """Refused: the order of the stored blocks serves W x alone."""
        raise AttributeError(
            "a SparseMatrix has no transpose: store one, SparseMatrix(W.to_dense().T, block)"
        )

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
        """W @ x for x (cols,) or (cols, n), converted to float32; bits do not depend on n.

        From four columns on they read the weights together, which is faster.
        """
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
        self._core.matmul(columns, products)
        return np.ascontiguousarray(products.T)

    def __rmatmul__(self, x: object) -> Float32:
        raise TypeError("x @ W is not there: store the transpose, SparseMatrix(W.to_dense().T) @ x")

    def time(self, x: Float32, repeats: int) -> float:
        """Seconds per product with x (cols,) float32, averaged over `repeats` products."""
        return self._core.time(x, repeats)

    def to_dense(self) -> Float32:
        """The matrix as stored, (rows, cols) float32."""
        return self._packed.to_dense()

    def to_scipy(self) -> Any:
        """The matrix as stored, a scipy.sparse.csr_array of float32 without the stored zeros.

        Raises ModuleNotFoundError without scipy.
        """
        from scipy.sparse import csr_array

        return csr_array(self.to_dense())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("a SparseMatrix becomes an array only by a copy")
        return self.to_dense().astype(np.float32 if dtype is None else dtype, copy=False)

    def __repr__(self) -> str:
        rows, cols = self.shape
        return (
            f"<SparseMatrix {rows} x {cols}, {self.block} {self.dtype}, {self.density:.1%} stored>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return SparseMatrix.from_packed, (self._packed, None, self._threads)
