"""Pictures of measurements. Each function fills a matplotlib figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from linnet.bench.matvec import Measured, rival_names
from linnet.bench.sample import Profile
from linnet.bench.sweep import DENSE, Sweep

SMALL_SHARE = 0.02  # operations below this share of a sample are drawn as one


def draw_matvec(figure: Any, results: Sequence[Measured], kernels: str) -> None:
    """GFLOP/s over nonzeros: linnet's best kernel set with fp16, its stream limit, the rivals."""
    figure.set_size_inches(10, 0.5 * len(results) + 1.5)
    axes = figure.subplots()
    places = range(len(results))
    limits = [2e-9 * r.nnz / r.limits["fp16"] for r in results]
    axes.barh(places, limits, height=0.85, color="#e4e4e4", label="stream limit fp16")
    names = [f"{kernels} fp16", *rival_names(results)]
    height = 0.85 / len(names)
    for k, name in enumerate(names):
        having = [place for place in places if name in results[place].seconds]
        axes.barh(
            [place - 0.425 + (k + 0.5) * height for place in having],
            [results[place].gflops(name) for place in having],
            height=height,
            color=f"C{k}",
            label=f"linnet {name}" if k == 0 else name,
        )
    axes.set_yticks(places, [str(r.case) for r in results], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("GFLOP/s over nonzeros")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=4, fontsize=8)


def draw_profiles(figure: Any, profiles: Sequence[Profile]) -> None:
    """One bar per kernel set: microseconds of a sample by operation."""
    figure.set_size_inches(10, 1.2 * len(profiles) + 2.5)
    axes = figure.subplots()
    fastest = min(profiles, key=lambda p: p.sum)
    shown = [
        i for i, part in enumerate(fastest.parts) if part.microseconds > SMALL_SHARE * fastest.sum
    ]
    labels = [profile.kernels for profile in profiles]
    left = [0.0] * len(profiles)
    for k, i in enumerate([*shown, None]):
        if i is None:
            widths = [profile.sum - at for profile, at in zip(profiles, left, strict=True)]
        else:
            widths = [profile.parts[i].microseconds for profile in profiles]
        label = "everything else" if i is None else fastest.parts[i].operation
        axes.barh(
            labels, widths, left=left, color=f"C{k}" if i is not None else "#bbb", label=label
        )
        left = [at + width for at, width in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("microseconds per sample, one thread")
    figure.legend(loc="outside upper center", ncols=3, fontsize=8)


def draw_sweep(figure: Any, sweep: Sweep) -> None:
    """Time against sparsity, and the crossovers with linnet's and numpy's dense products."""
    figure.set_size_inches(9, 6)
    axes = figure.subplots()
    for name, seconds in sweep.seconds.items():
        style = "--" if name in DENSE else "-"
        label = f"{name} {sweep.dtype}" if name.startswith("linnet") else name
        axes.plot(
            [100 * s for s in sweep.sparsities],
            [1e6 * s for s in seconds],
            style,
            marker=".",
            label=label,
        )
    for sparse, crossings in sweep.crossovers().items():
        for dense, sparsity in crossings.items():
            if sparsity is None or sparsity == sweep.sparsities[0]:
                continue
            at = sweep.sparsities.index(min(sweep.sparsities, key=lambda s: abs(s - sparsity)))
            axes.plot(100 * sparsity, 1e6 * sweep.seconds[dense][at], "ko", fillstyle="none")
            axes.annotate(
                f"{sparse} = {dense}: {sparsity:.0%}",
                (100 * sparsity, 1e6 * sweep.seconds[dense][at]),
                xytext=(4, 6),
                textcoords="offset points",
                fontsize=7,
            )
    axes.set_yscale("log")
    axes.set_xlabel("sparsity (%)")
    axes.set_ylabel("microseconds per product")
    axes.set_title(f"{sweep.rows} x {sweep.cols}, kernels {sweep.kernels}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
