"""`linnet bench subscale`: a network's speed in sub-tensors, beside the same network without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import linnet
from linnet.format.blocks import DENSE
from linnet.pruning import prune
from linnet.speed import sample_timer
from linnet_bench.timing import Budget, interleaved, pinned

SAMPLE_RATE, HOP_LENGTH, N_MELS = 16000, 192, 80  # 16 sub-tensors divide the hop
CHANNELS, HEAD = 96, 128
PLAIN, SUBSCALE = "wavernn-dual-softmax", "wavernn-subscale"


@dataclass(frozen=True)
class Network:
    """A WaveRNN with random weights; sparsity and block are of all matrices that are pruned."""

    units: int = 384
    sparsity: float = 0.9
    block: str = "4x4"
    dtype: str = "float16"
    future: int = 16
    past: int = 7
    look: int = 64  # units that look at other sub-tensors


@dataclass(frozen=True)
class SubscaleTimes:
    """Speed of the network in so many sub-tensors, 1 without, on so many threads."""

    sub_tensors: int
    threads: int
    microseconds: float  # per sample, the frame program included
    times_real_time: float  # seconds of audio per second
    against_plain: float  # times as fast as one thread without sub-tensors
    against_one: float  # times as fast as one thread with as many
    lookahead: int  # frames


def random_voice(network: Network, sub_tensors: int, seed: int = 0) -> bytes:
    """The network with random weights, in sub-tensors, or without where there is 1."""
    from linnet_export.exporting import build_voice
    from linnet_export.readers.checkpoint import Checkpoint
    from linnet_export.writing.storage import Storage
    from linnet_export.writing.writer import to_bytes

    random = np.random.default_rng(seed)
    n, h, b = network, network.units, sub_tensors
    tensors: dict[str, npt.NDArray[np.float32]] = {}

    def layer(name: str, rows: int, *cols: int, pruned: bool = True, bias: bool = True) -> None:
        weights = random.standard_normal((rows, *cols)) / np.sqrt(np.prod(cols))
        if pruned and network.block != DENSE:
            weights = prune(weights / np.sqrt(1 - n.sparsity), n.block, n.sparsity)
        tensors[f"{name}.weight"] = weights.astype(np.float32)
        if bias:
            tensors[f"{name}.bias"] = np.zeros(rows, np.float32)

    layer("conditioning.0", CHANNELS, N_MELS, 3, pruned=False)
    layer("recurrent", 3 * h, h)
    layer("input", 3 * h, 3 + CHANNELS, pruned=False)
    tensors["input.weight"].reshape(3, h, -1)[:, : h // 2, 2] = 0  # the coarse byte knows none
    for name, kind in (("input", "ih"), ("recurrent", "hh")):
        for part in ("weight", "bias"):
            tensors[f"gru.{part}_{kind}_l0"] = tensors.pop(f"{name}.{part}")
    if b > 1:
        layer("look", n.look, (b - 1) * (n.past + n.future + 1) + b)
        layer("look_gates", 3 * h, n.look, bias=False)
    for first, second in (("O1", "O2"), ("O3", "O4")):
        layer(first, HEAD, h // 2)
        layer(second, 256, HEAD)
    config = {
        "architecture": PLAIN if b == 1 else SUBSCALE,
        "features": {
            "kind": "external",
            "sample_rate": SAMPLE_RATE,
            "hop_length": HOP_LENGTH,
            "n_mels": N_MELS,
            "description": "random numbers",
        },
        "signal": {"bits": 16, "companding": "mu-law", "mu": 255.0, "pre_emphasis": 0.85},
        "conditioning_padding": "valid",
        "training": {"description": "random weights"},
    }
    if b > 1:
        config["network"] = {"sub_tensors": b, "future": n.future, "past": n.past}
    voice = build_voice(Checkpoint(tensors), config, f"subscale-{b}", Storage(dtype=n.dtype))
    return to_bytes(voice)


def measure(
    network: Network,
    sub_tensors: Sequence[int],
    threads: Sequence[int],
    kernels: str,
    budget: Budget | None = None,
) -> list[SubscaleTimes]:
    """Time all numbers of sub-tensors, and the network without, on all numbers of threads in turn.

    Raises ValueError where a number of sub-tensors does not divide a hop.
    """
    files = {b: random_voice(network, b) for b in dict.fromkeys([1, *sub_tensors])}
    cases = [(b, n) for b in files for n in dict.fromkeys([1, *threads])]
    voices = {(b, n): linnet.load(files[b], threads=n, kernels=kernels) for b, n in cases}
    timers = {f"{b} {n}": sample_timer(voice) for (b, n), voice in voices.items()}
    for run in timers.values():
        run(1)  # a stream's other threads start now, free to use the other cores
    with pinned():
        times = interleaved(timers, budget=budget)
    return [
        SubscaleTimes(
            b,
            n,
            1e6 * times[f"{b} {n}"],
            1 / (times[f"{b} {n}"] * SAMPLE_RATE),
            times["1 1"] / times[f"{b} {n}"],
            times[f"{b} 1"] / times[f"{b} {n}"],
            voices[b, n].lookahead,
        )
        for b, n in cases
    ]


def as_dict(network: Network, times: Sequence[SubscaleTimes]) -> dict[str, Any]:
    return {"network": asdict(network), "speeds": [asdict(t) for t in times]}
