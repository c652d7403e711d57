"""linnet bench matvec: products, as tables and files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

import linnet_bench
from linnet.matrix import SparseMatrix
from linnet.speed import against_limit
from linnet.table import facts, table
from linnet_bench import matvec
from linnet_bench.matvec import SHORT_DTYPES, Measured
from linnet_bench.plots import draw_matvec
from linnet_bench.results import Results
from linnet_bench.status import status_line
from linnet_bench.timing import Budget


def run(options: argparse.Namespace, kernels: Sequence[str]) -> Results:
    cases = [*matvec.paper_cases(), *matvec.gru_cases()]
    budget = Budget(options.time_limit, len(cases), options.start)
    with status_line() as show:
        results = matvec.measure_all(cases, kernels, show, budget)
    best = kernels[0]
    print("Microseconds per product; linnet with fp16 weights\n")
    print(times_table(results, kernels))
    print(f"\nlinnet {best}: GFLOP/s over nonzeros, thousand products per second, microseconds,")
    print("and the stream limit in microseconds and as a fraction reached\n")
    print(storage_table(results, best))
    claims = matvec.claims(results, best)
    print("\nThe paper's claims, ratios of fp16 products\n")
    rows = [[what, " ".join(f"{r:.2f}" for r in ratios), paper] for what, ratios, paper in claims]
    print(table([["claim", "here", "paper"], *rows], left=1))
    if str(budget):
        print(f"\n{budget}")
    return Results(
        {
            "products": [result.as_dict() for result in results],
            "claims": [{"claim": c, "here": here, "paper": paper} for c, here, paper in claims],
            "least_rounds": budget.least_rounds,
        },
        lambda figure: draw_matvec(figure, results, best),
    )


def times_table(results: Sequence[Measured], kernels: Sequence[str]) -> str:
    names = [*(f"{name} fp16" for name in kernels), *matvec.rival_names(results)]
    rows: list[list[object]] = [["matrix", *(name.removesuffix(" fp16") for name in names)]]
    for result in results:
        cells = [microseconds(result.seconds.get(name)) for name in names]
        rows.append([result.case, *cells])
    return table(rows)


def storage_table(results: Sequence[Measured], kernels: str) -> str:
    titles: list[Any] = ["matrix"]
    for dtype in SHORT_DTYPES.values():
        titles += [dtype, "GFLOP/s", "1000/s", "limit", "reached"]
    rows = [titles]
    for result in results:
        cells: list[Any] = [result.case]
        for dtype in SHORT_DTYPES.values():
            name = f"{kernels} {dtype}"
            cells += [
                microseconds(result.seconds[name]),
                f"{result.gflops(name):.1f}",
                f"{result.thousands(name):.1f}",
                microseconds(result.limits[dtype]),
                f"{result.fraction(kernels, dtype):.2f}",
            ]
        rows.append(cells)
    return table(rows)


def microseconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{1e6 * seconds:.2f}" if seconds < 1e-4 else f"{1e6 * seconds:.0f}"


def run_quick(options: argparse.Namespace, kernels: str) -> Results:
    storage = (options.block, options.dtype, kernels)
    if options.weights:
        matrices = {
            name: SparseMatrix(weights, *storage)
            for name, weights in np.load(options.weights, allow_pickle=False).items()
            if weights.ndim == 2 and weights.dtype.kind == "f"
        }
    else:
        shape = (options.rows, options.cols, options.sparsity)
        matrices = {"random matrix": linnet_bench.random_matrix(*shape, *storage)}
    budget = Budget(options.time_limit, len(matrices), options.start)
    products = []
    for name, matrix in matrices.items():
        times = linnet_bench.time_products(matrix, budget=budget)
        products.append({"matrix": name, **asdict(times)})
        print(facts([("matrix", name), *product_facts(times)]))
        print()
    if str(budget):
        print(budget)
    return Results({"products": products}, None)


def product_facts(times: linnet_bench.ProductTimes) -> list[tuple[str, object]]:
    us = 1e6
    return [
        ("shape", f"{times.rows} x {times.cols}, {times.density:.2%} stored"),
        ("storage", f"{times.block} {times.dtype}, {times.nbytes} bytes"),
        ("kernels", times.kernels),
        ("sparse", f"{times.sparse * us:.2f} us"),
        (
            "stream limit",
            f"{times.stream_limit * us:.2f} us, sparse is {against_limit(times.ratio)}",
        ),
        (
            "linnet dense",
            f"{times.dense * us:.2f} us, {times.dense / times.sparse:.1f} x the sparse time",
        ),
        (
            "numpy dense",
            f"{times.numpy * us:.2f} us, {times.numpy / times.sparse:.1f} x the sparse time",
        ),
    ]
