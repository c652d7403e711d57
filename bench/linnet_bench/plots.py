"""Pictures of measurements. Each function fills a matplotlib figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from linnet.format.blocks import DENSE as DENSE_LAYOUT
from linnet_bench.matvec import Measured, rival_names
from linnet_bench.products import UNSTRUCTURED
from linnet_bench.sample import Profile
from linnet_bench.sweep import DENSE, Sweep

if TYPE_CHECKING:
    from linnet_bench.subscale import SubscaleTimes
    from linnet_bench.vocoder_times import VocoderTimes

SMALL_SHARE = 0.02  # operations below this share of a sample are drawn as one


def draw_matvec(figure: Any, results: Sequence[Measured], kernels: str) -> None:
    """How many times as fast as numpy's dense product: linnet's best kernel set with fp16 in each
    block shape, and the sparse products of others. The matrices of GRUs at 95 %, or all sparse
    ones where there are none."""
    sparse = [r for r in results if r.case.block not in (DENSE_LAYOUT, UNSTRUCTURED)]
    chosen = [r for r in sparse if r.case.rows == 3 * r.case.cols and r.case.sparsity == 0.95]
    speeds: dict[str, dict[str, float]] = {}  # by matrix, then by alternative
    for result in chosen or sparse:
        case, numpy = result.case, result.seconds["numpy"]
        of = speeds.setdefault(f"{case.rows} x {case.cols}\n{case.sparsity:.0%} sparse", {})
        of[f"linnet {case.block}"] = numpy / result.seconds[f"{kernels} fp16"]
        for name in rival_names([result]):
            if name.endswith(("CSR", "BSR")):
                of[name] = max(of.get(name, 0.0), numpy / result.seconds[name])
    names = sorted({name for of in speeds.values() for name in of}, key=_linnet_first)
    figure.set_size_inches(2.2 * len(speeds) + 2, 4.2)
    axes = figure.subplots()
    width = 0.85 / max(len(names), 1)
    ours = sum(map(_is_linnet, names))
    for k, name in enumerate(names):
        at = [i + (k - (len(names) - 1) / 2) * width for i, of in enumerate(speeds.values())]
        heights = [of.get(name, 0.0) for of in speeds.values()]
        shade = 0.45 + 0.5 * k / max(ours, 1) if _is_linnet(name) else 0.35 + 0.15 * (k - ours)
        colour = (0.1, 0.35, shade) if _is_linnet(name) else (shade, shade, shade)
        bars = axes.bar(at, heights, width, label=name, color=colour)
        axes.bar_label(bars, [f"{h:.0f}" if h else "" for h in heights], fontsize=8)
    axes.axhline(1, color="black", lw=0.8)
    axes.set_xticks(range(len(speeds)), list(speeds))
    axes.set_ylabel("times as fast as numpy's dense product")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)


def _is_linnet(name: str) -> bool:
    return name.startswith("linnet")


def _linnet_first(name: str) -> tuple[bool, str]:
    return not _is_linnet(name), name


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


def draw_subscale(figure: Any, times: Sequence[SubscaleTimes]) -> None:
    """Samples per second against the number of sub-tensors, for each number of threads."""
    figure.set_size_inches(6, 4)
    axes = figure.subplots()
    for n in dict.fromkeys(t.threads for t in times):
        of = [t for t in times if t.threads == n]
        label = "1 thread" if n == 1 else f"{n} threads"
        axes.plot([t.sub_tensors for t in of], [1 / t.microseconds for t in of], "o-", label=label)
    axes.set_xscale("log", base=2)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("sub-tensors")
    axes.set_ylabel("million samples per second")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def draw_vocoders(figure: Any, vocoders: Sequence[VocoderTimes]) -> None:
    """Bars of times real time, whole utterances and chunks; 1 is a line."""
    figure.set_size_inches(9, 0.5 * len(vocoders) + 1.5)
    axes = figure.subplots()
    places = np.arange(len(vocoders))
    axes.barh(places - 0.2, [v.whole for v in vocoders], 0.4, label="whole utterances")
    axes.barh(places + 0.2, [v.chunks for v in vocoders], 0.4, label="chunks of 100 ms")
    axes.axvline(1, color="black", lw=1)
    axes.set_yticks(places, [v.name for v in vocoders], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("times real time, one thread")
    axes.legend(fontsize=8)
