"""Pictures of measurements. Each function fills a matplotlib figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from linnet_bench.matvec import Measured, rival_names
from linnet_bench.sample import Profile
from linnet_bench.sweep import DENSE, Sweep

SMALL_SHARE = 0.02  # operations below this share of a sample are drawn as one


def draw_matvec(figure: Any, results: Sequence[Measured], kernels: str) -> None:
    """GFLOP/s over nonzeros: linnet's best kernel set with fp16, its stream limit, the rivals."""
    figure.set_size_inches(9, 0.24 * len(results) + 1.5)
    axes = figure.subplots()
    places = range(len(results))
    limits = [2e-9 * r.nnz / r.limits["fp16"] for r in results]
    axes.scatter(limits, places, marker="|", s=120, color="black", label="stream limit fp16")
    for k, name in enumerate([f"{kernels} fp16", *rival_names(results)]):
        having = [place for place in places if name in results[place].seconds]
        axes.scatter(
            [results[place].gflops(name) for place in having],
            having,
            s=45 if k == 0 else 18,
            color=f"C{k}",
            label=f"linnet {name}" if k == 0 else name,
        )
    axes.set_yticks(places, [str(r.case) for r in results], fontsize=8)
    axes.set_ylim(len(results) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.set_xlabel("GFLOP/s over nonzeros")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=4, fontsize=8)


def draw_profiles(figure: Any, profiles: Sequence[Profile]) -> None:
    """One bar per kernel set, each on its own scale: microseconds of a sample by operation."""
    figure.set_size_inches(10, 1.3 * len(profiles) + 1.2)
    fastest = min(profiles, key=lambda profile: profile.sum)
    least = SMALL_SHARE * fastest.sum
    shown = [i for i, part in enumerate(fastest.parts) if part.microseconds > least]
    all_axes = figure.subplots(len(profiles), 1, squeeze=False).ravel()
    for axes, profile in zip(all_axes, profiles, strict=True):
        at = 0.0
        for k, i in enumerate(shown):
            width = profile.parts[i].microseconds
            label = fastest.parts[i].operation if axes is all_axes[0] else None
            axes.barh([profile.kernels], [width], left=at, color=f"C{k}", label=label)
            at += width
        rest = "everything else" if axes is all_axes[0] else None
        axes.barh([profile.kernels], [profile.sum - at], left=at, color="#bbbbbb", label=rest)
        axes.set_xlim(0, profile.sum)
    all_axes[-1].set_xlabel("microseconds per sample, one thread")
    figure.legend(loc="outside upper center", ncols=3, fontsize=8)


def draw_sweep(figure: Any, sweep: Sweep) -> None:
    """Time against sparsity; circles where a sparse product overtakes a dense one for good."""
    figure.set_size_inches(9, 6)
    axes = figure.subplots()
    for name, seconds in sorted(sweep.seconds.items(), key=lambda item: item[0] in DENSE):
        label = f"{name} {sweep.dtype}" if name.startswith("linnet") else name
        style = "--" if name in DENSE else "-"
        times = [1e6 * s for s in seconds]
        axes.plot([100 * s for s in sweep.sparsities], times, style, marker=".", label=label)
    crossings = [
        (100 * sparsity, 1e6 * np.interp(sparsity, sweep.sparsities, sweep.seconds[dense]))
        for found in sweep.crossovers().values()
        for dense, sparsity in found.items()
        if sparsity
    ]
    x, y = [at for at, _ in crossings], [time for _, time in crossings]
    axes.plot(x, y, "ko", fillstyle="none", label="crossover")
    axes.set_yscale("log")
    axes.set_xlabel("sparsity (%)")
    axes.set_ylabel("microseconds per product")
    axes.set_title(f"{sweep.rows} x {sweep.cols}, kernels {sweep.kernels}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
