"""What storing a network in other ways does to the time of a sample: the bundled voice slt by shape
of blocks, type of weights, and with its output layers as sparse as its recurrent matrix is. All
take turns in one run. It is for the time alone: weights that are pruned here are random.

python bench/storage.py [--kernels SET]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import linnet
from linnet.format.reading import read
from linnet.pruning import prune
from linnet.speed import sample_timer
from linnet.table import table
from linnet_bench.timing import Timer, interleaved, pinned
from linnet_export import export
from linnet_export.families import lpc

VOICES = Path(__file__).parent.parent / "voices"
SPARSITY = 0.9
STEPS = {  # block of the recurrent matrix, of the output layers, type
    "fp16 dense": ("dense", "dense", "float16"),
    "fp16 4x4, as the voice ships": ("4x4", "dense", "float16"),
    "fp16 16x1": ("16x1", "dense", "float16"),
    "fp16 8x4": ("8x4", "dense", "float16"),
    "fp16 4x4, output layers too": ("4x4", "4x4", "float16"),
    "fp16 8x4, output layers too": ("8x4", "8x4", "float16"),
    "int8 4x4": ("4x4", "dense", "int8"),
    "int8 8x4": ("8x4", "dense", "int8"),
    "int8 8x4, output layers too": ("8x4", "8x4", "int8"),
}


def main(kernels: str | None) -> None:
    voice = read((VOICES / "slt.linnet").read_bytes())
    tensors, config = lpc.checkpoint(voice), {**voice.metadata, "matching": 4}
    with tempfile.TemporaryDirectory() as folder, pinned():
        random = np.random.default_rng(0)
        timers: dict[str, Timer] = {}
        sizes: dict[str, int] = {}
        for name, (block, output, dtype) in STEPS.items():
            path = Path(folder) / f"{len(sizes)}.linnet"
            shapes = {"gru.weight_hh_l0": block, "O1.weight": output, "O2.weight": output}
            pruned = {
                key: prune(random.standard_normal(tensors[key].shape) / 20, shape, SPARSITY)
                for key, shape in shapes.items()
                if shape != "dense"
            }
            weights: dict[str, Any] = {**tensors, **pruned}
            np.savez(path.with_suffix(".npz"), **weights)
            asked = block if block == "dense" else None  # else as the zeros say
            report = export(path.with_suffix(".npz"), path, config=config, dtype=dtype, block=asked)
            found = {layer.name: layer.block for layer in report.layers}["gru.recurrent"]
            if found != block:
                raise ValueError(f"{name}: the exporter chose {found}")
            sizes[name] = path.stat().st_size
            timers[name] = sample_timer(linnet.load(path, kernels=kernels))
        times = interleaved(timers, 31)
    usual = times["fp16 4x4, as the voice ships"]
    rows: list[list[object]] = [["network", "us a sample", "times as fast", "kB"]]
    for name, seconds in times.items():
        rows.append(
            [name, f"{seconds * 1e6:.2f}", f"{usual / seconds:.2f}", f"{sizes[name] / 1e3:.0f}"]
        )
    print(table(rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kernels")
    main(parser.parse_args().kernels)
