"""linnet bench sweep: time against sparsity, as a table and files."""

from __future__ import annotations

import argparse

from linnet.table import table
from linnet_bench import sweep
from linnet_bench.plots import draw_sweep
from linnet_bench.report_matvec import microseconds
from linnet_bench.results import Results
from linnet_bench.status import status_line
from linnet_bench.timing import Budget


def run(options: argparse.Namespace, kernels: str) -> Results:
    budget = Budget(options.time_limit, len(sweep.SPARSITIES), options.start)
    with status_line() as show:
        shape = (options.rows, options.cols)
        result = sweep.measure(*shape, options.dtype, kernels, show, budget=budget)
    storage = f"kernels {kernels}, {options.dtype}"
    print(f"Microseconds per product, {result.rows} x {result.cols}, {storage}\n")
    print(times_table(result))
    print("\nSparsity from which on the sparse product is faster\n")
    print(crossover_table(result))
    if str(budget):
        print(f"\n{budget}")
    return Results(result.as_dict(), lambda figure: draw_sweep(figure, result))


def times_table(result: sweep.Sweep) -> str:
    rows: list[list[object]] = [["sparsity", *result.seconds]]
    for i, sparsity in enumerate(result.sparsities):
        figures = [microseconds(seconds[i]) for seconds in result.seconds.values()]
        rows.append([f"{sparsity:.1%}", *figures])
    return table(rows)


def crossover_table(result: sweep.Sweep) -> str:
    crossovers = result.crossovers()
    dense = list(next(iter(crossovers.values())))
    rows: list[list[object]] = [["", *dense]]
    for sparse, crossings in crossovers.items():
        rows.append([sparse, *(_crossing(crossings[name], result) for name in dense)])
    return table(rows)


def _crossing(sparsity: float | None, result: sweep.Sweep) -> str:
    if sparsity is None:
        return "never"
    return "always" if sparsity == result.sparsities[0] else f"{sparsity:.1%}"
