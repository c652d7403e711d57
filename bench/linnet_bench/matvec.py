"""`linnet bench matvec`: the paper's Table 4, and matrices of GRUs, with every kernel set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from linnet.format import blocks
from linnet.format.dtypes import STORAGE_TYPES
from linnet.matrix import SparseMatrix
from linnet_bench.products import UNSTRUCTURED, limit_timer, product_timer, random_weights
from linnet_bench.rivals import rivals
from linnet_bench.timing import Budget, Timer, interleaved, one_library_thread

SHORT_DTYPES = {stored.name: stored.short for stored in STORAGE_TYPES}
PAPER_DENSE = (224, 384, 1024)
PAPER_SPARSE = ((512, 0.8), (1024, 0.95), (2048, 0.964))
# Dense and sparse matrices of about as many weights: 50,176 and 52,429; 147,456 and 150,995.
SAME_WEIGHTS = {512: 224, 1024: 224, 2048: 384}
GRUS = ((1152, 384), (2688, 896), (3072, 1024), (6144, 2048))
GRU_SPARSITIES = (0.9, 0.95, 0.97)
BLOCKS = ("4x4", "16x1")  # of the paper


@dataclass(frozen=True)
class Case:
    """One matrix. block: "dense", or how it was pruned; "1x1" stands for weights one by one."""

    rows: int
    cols: int
    sparsity: float
    block: str

    def __str__(self) -> str:
        share = "" if self.block == blocks.DENSE else f" {self.sparsity:.1%}"
        return f"{self.rows} x {self.cols}{share} {self.block}"


@dataclass(frozen=True)
class Measured:
    """Seconds per product by alternative: "avx2 fp16" is linnet's, others as `rivals` names them.

    limits: the stream limit of the stored weights by storage type.
    """

    case: Case
    nnz: int
    seconds: dict[str, float]
    limits: dict[str, float]

    def gflops(self, alternative: str) -> float:
        """1e9 operations per second, counting a multiplication and an addition per nonzero."""
        return 2e-9 * self.nnz / self.seconds[alternative]

    def thousands(self, alternative: str) -> float:
        """Thousand products per second."""
        return 1e-3 / self.seconds[alternative]

    def fraction(self, kernels: str, dtype: str) -> float:
        """The stream limit over the time of linnet's product."""
        return self.limits[dtype] / self.seconds[f"{kernels} {dtype}"]

    def as_dict(self) -> dict[str, Any]:
        return {
            **asdict(self.case),
            "nonzeros": self.nnz,
            "stream_limit_seconds": self.limits,
            "alternatives": {
                name: {
                    "seconds": seconds,
                    "gflops": self.gflops(name),
                    "thousand_products_per_second": self.thousands(name),
                    **self._share_of_limit(name),
                }
                for name, seconds in self.seconds.items()
            },
        }

    def _share_of_limit(self, name: str) -> dict[str, float]:
        kernels, _, dtype = name.partition(" ")
        return {"of_stream_limit": self.fraction(kernels, dtype)} if dtype in self.limits else {}


def paper_cases() -> Iterator[Case]:
    """Table 4 of Kalchbrenner et al. 2018, its matrices square."""
    for size in PAPER_DENSE:
        yield Case(size, size, 0.0, blocks.DENSE)
    for block in (UNSTRUCTURED, *BLOCKS):
        for size, sparsity in PAPER_SPARSE:
            yield Case(size, size, sparsity, block)


def gru_cases() -> Iterator[Case]:
    """The recurrent matrices of GRUs with 384, 896, 1024 and 2048 units."""
    for rows, cols in GRUS:
        for sparsity in GRU_SPARSITIES:
            for block in ("8x4", *BLOCKS):
                yield Case(rows, cols, sparsity, block)


def measure(case: Case, kernels: Sequence[str], budget: Budget | None = None) -> Measured:
    """Time one matrix with each kernel set and storage type, beside the stream limit and rivals."""
    weights = random_weights(case.rows, case.cols, case.sparsity, case.block)
    layout = blocks.DENSE if case.block == UNSTRUCTURED else case.block
    alternatives: dict[str, Timer] = {}
    for dtype, short in SHORT_DTYPES.items():
        packed = blocks.pack(weights, layout, dtype)
        for name in kernels:
            matrix = SparseMatrix.from_packed(packed, name)
            alternatives[f"{name} {short}"] = product_timer(matrix)
        alternatives[f"limit {short}"] = limit_timer(packed)
    alternatives |= rivals(weights, case.block)
    with one_library_thread():
        times = interleaved(alternatives, budget=budget)
    limits = {short: times.pop(f"limit {short}") for short in SHORT_DTYPES.values()}
    return Measured(case, int((weights != 0).sum()), times, limits)


def rival_names(results: Iterable[Measured]) -> list[str]:
    """The alternatives that are not linnet's, in the order in which they first occur."""
    names = [name for r in results for name in r.seconds]
    return [name for name in dict.fromkeys(names) if name.split()[-1] not in SHORT_DTYPES.values()]


def measure_all(
    cases: Iterable[Case],
    kernels: Sequence[str],
    report: Callable[[Case], None],
    budget: Budget | None = None,
) -> list[Measured]:
    """`measure` of every case, or of as many as the budget leaves time for, one at least; `report`
    is told of each beforehand."""
    results: list[Measured] = []
    for case in cases:
        if budget and budget.spent() and results:
            break
        report(case)
        results.append(measure(case, kernels, budget))
    return results


def claims(results: Sequence[Measured], kernels: str) -> list[tuple[str, list[float], str]]:
    """The paper's four claims: what, the ratios of fp16 products here, and the paper's.

    Unstructured products are scipy's CSR: linnet has no kernel for them. Empty where one lacks.
    """
    ours = f"{kernels} fp16"
    by_case = {(r.case.block, r.case.rows): r for r in results if r.case.rows == r.case.cols}
    sparse = [by_case.get((block, size)) for block in BLOCKS for size, _ in PAPER_SPARSE]
    found: list[tuple[str, list[float], str]] = []

    def claim(what: str, paper: str, ratios: Iterable[float | None]) -> None:
        found.append((what, [ratio for ratio in ratios if ratio is not None], paper))

    def against_few(r: Measured | None) -> float | None:
        dense = by_case.get((blocks.DENSE, SAME_WEIGHTS[r.case.rows])) if r else None
        return r.gflops(ours) / dense.gflops(ours) if r and dense else None

    def against_size(r: Measured | None) -> float | None:
        dense = by_case.get((blocks.DENSE, r.case.rows)) if r else None
        return dense.seconds[ours] / r.seconds[ours] if r and dense else None

    def of(block: str, other: str, alternative: str) -> Iterator[float | None]:
        for size, _ in PAPER_SPARSE:
            a, b = by_case.get((block, size)), by_case.get((other, size))
            if a and b and alternative in b.seconds:
                yield b.seconds[alternative] / a.seconds[ours]

    claim(
        "block-sparse / dense of as many weights, GFLOP/s", "0.9 .. 1.2", map(against_few, sparse)
    )
    claim("block-sparse / dense of the same size (1024)", "33 .. 48", map(against_size, sparse))
    claim("16x1 / 4x4", "about 1.1", of("16x1", "4x4", ours))
    claim("4x4 / unstructured (scipy CSR)", "4 .. 5", of("4x4", UNSTRUCTURED, "scipy CSR"))
    return found
