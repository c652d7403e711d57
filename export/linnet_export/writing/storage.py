"""How a layer's weights are stored: block shape, type, pruned or not; and the report about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from linnet.format.blocks import BLOCKS, DENSE, TABLE, Packed, block_shape, pack
from linnet.format.choice import best_block, fill_ratio
from linnet.format.dtypes import INT8_COLUMNS, type_name
from linnet.pruning import prune
from linnet_export.building.tensors import Weights

# Of an int8 voice, matrices with fewer columns stay fp16, as tables do: they are small, and their
# operands, such as the last sample, say too much to be rounded to 255 steps.
LEAST_INT8_COLUMNS = 16

# Stored weights per nonzero above which zeros do not fit a block shape.
MAX_FILL = 1.05


@dataclass(frozen=True)
class Layer:
    """One line of the exporter's report."""

    name: str
    rows: int
    cols: int
    nonzeros: int
    density: float  # nonzeros / (rows cols)
    block: str
    dtype: str
    stored_weights: int
    bytes: int
    bytes_per_weight: float  # per stored weight
    rounding_error: float  # the largest, relative to the largest weight


@dataclass
class Storage:
    """The exporter's choices; collects the report.

    dtype: the type of every layer's weights but for those in `keep`: layers by name or pattern, and
    their types.
    block: a block shape (or "dense") for every prunable layer, None to read it from the zeros.
    sparsity: prune prunable layers to this share of zero blocks (needs a block shape), None to
    leave them.
    """

    dtype: str = "float16"
    block: str | None = None
    sparsity: float | None = None
    keep: Mapping[str, str] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    spared: tuple[str, ...] = ()  # layers, or patterns, that stay fp16 in an int8 voice

    def __post_init__(self) -> None:
        self.dtype = type_name(self.dtype)
        self.keep = {name: type_name(dtype) for name, dtype in self.keep.items()}
        if self.block not in (None, DENSE):
            block_shape(self.block)
        if self.sparsity is not None:
            if self.block not in BLOCKS:
                raise ValueError(
                    "pruning (sparsity) needs a block shape: one of " + ", ".join(BLOCKS)
                )
            if not 0 <= self.sparsity < 1:
                raise ValueError(f"sparsity {self.sparsity} is not in [0, 1)")

    def matrix(
        self, name: str, dense: Weights, *, prunable: bool = False, parts: tuple[int, int] = (1, 1)
    ) -> Packed:
        """Store a matrix; prunable ones obey `block` and `sparsity`.

        parts: the rows are parts[0] equal shares of the units, of parts[1] gates each; every gate
        is pruned on its own.

        Raises ValueError that names the tensor.
        """
        if prunable and self.sparsity is not None and self.block is not None:
            dense = self._prune(name, dense, self.block, self.sparsity, parts)
        dtype = self._type(name, dense.shape[1])
        return self._store(name, dense, self._layout(name, dense, prunable, dtype), dtype)

    def _type(self, name: str, cols: int | None = None) -> str:
        """The type of a layer's weights, a table's without `cols`: of the patterns in `keep` that
        fit its name the last one's, but a name itself comes first."""
        kept = [dtype for pattern, dtype in self.keep.items() if fnmatchcase(name, pattern)]
        if kept:
            return self.keep.get(name, kept[-1])
        fits = cols is not None and LEAST_INT8_COLUMNS <= cols <= INT8_COLUMNS
        fits = fits and not any(fnmatchcase(name, pattern) for pattern in self.spared)
        return self.dtype if fits or self.dtype != "int8" else "float16"

    def require_kept(self, keep: Mapping[str, str] | None = None) -> None:
        """Once all layers are stored: raise ValueError where `keep` names one that is not there."""
        names = [layer.name for layer in self.layers]
        for pattern in self.keep if keep is None else keep:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise ValueError(f"keep names no layer {pattern!r}; there are {', '.join(names)}")

    def _prune(
        self, name: str, dense: Weights, block: str, sparsity: float, parts: tuple[int, int]
    ) -> Weights:
        shares, gates = parts
        rows, cols = dense.shape
        if shares * gates > 1 and rows // (shares * gates) % block_shape(block)[0]:
            raise ValueError(
                f"{name}: {rows // (shares * gates)} rows of a gate are no whole number of {block} "
                "blocks, so it cannot be pruned in them"
            )
        by_gate = dense.reshape(shares, gates, -1, cols).swapaxes(0, 1).reshape(rows, cols)
        pruned = prune(by_gate, block, sparsity, gates)
        return pruned.reshape(gates, shares, -1, cols).swapaxes(0, 1).reshape(rows, cols)

    def again(self, name: str, packed: Packed) -> Packed:
        """Store what is stored already in the layer's type; its layout stays."""
        dtype = self._type(name, None if packed.layout == TABLE else packed.cols)
        return self._store(name, packed.to_dense(), packed.layout, dtype)

    def table(self, name: str, dense: Weights) -> Packed:
        """Store an embedding."""
        return self._store(name, dense, TABLE, self._type(name))

    def vector(self, name: str, values: Weights) -> Packed:
        """Store a bias or upsampling weights, as float32."""
        try:
            return pack(values, "vector", "float32")
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None

    def _layout(self, name: str, dense: Weights, prunable: bool, dtype: str) -> str:
        automatic = best_block(dense, dtype)
        if not prunable or self.block is None:
            return automatic
        if self.sparsity is not None or self.block == DENSE:
            return self.block
        if np.count_nonzero(dense) * 2 > dense.size:
            return DENSE
        if fill_ratio(dense, self.block) > MAX_FILL:
            costs = ", ".join(f"{block} {fill_ratio(dense, block):.2f}" for block in BLOCKS)
            raise ValueError(
                f"{name}: its zeros do not fit blocks of {self.block}; stored weights per nonzero "
                f"would be {costs} (at most {MAX_FILL} counts as a fit)"
            )
        return self.block

    def _store(self, name: str, dense: Weights, layout: str, dtype: str) -> Packed:
        try:
            packed = pack(dense, layout, dtype)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        nonzeros = int(np.count_nonzero(dense))
        largest = float(np.abs(dense).max())
        error_ = float(np.abs(packed.to_dense().astype(np.float64) - dense).max())
        self.layers.append(
            Layer(
                name,
                packed.rows,
                packed.cols,
                nonzeros,
                nonzeros / dense.size,
                layout,
                packed.dtype,
                packed.stored_weights,
                packed.nbytes,
                packed.nbytes / max(packed.stored_weights, 1),
                error_ / largest if largest else 0.0,
            )
        )
        return packed

    def metadata(self) -> list[dict[str, Any]]:
        """The report as it stands in the file's metadata."""
        return [asdict(layer) for layer in self.layers]
