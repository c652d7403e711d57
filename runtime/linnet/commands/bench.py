"""linnet bench: how fast a voice runs on one thread, or how fast one matrix is."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np

from linnet import bench
from linnet.blocks import BLOCKS, DENSE, DTYPES
from linnet.commands.arguments import add_kernels, add_threads, load_voice, positive, sparsity
from linnet.commands.table import facts
from linnet.matrix import SparseMatrix

if TYPE_CHECKING:
    from linnet.commands.arguments import Parsers


def add(parsers: Parsers) -> None:
    parser = parsers.add_parser("bench", help="speed of a voice, or of one matrix")
    parser.add_argument(
        "voice",
        metavar="VOICE | matvec",
        nargs="?",
        default="matvec",
        help="a .linnet file, or the word matvec for one matrix (default)",
    )
    add_kernels(parser)
    add_threads(parser)
    matvec = parser.add_argument_group("matvec")
    matvec.add_argument("--rows", type=positive, default=3072)
    matvec.add_argument("--cols", type=positive, default=1024)
    matvec.add_argument("--sparsity", type=sparsity, default=0.95)
    matvec.add_argument("--block", choices=[*BLOCKS, DENSE], default="4x4")
    matvec.add_argument("--dtype", choices=list(DTYPES), default="float16")
    matvec.add_argument(
        "--weights", metavar="FILE.npz", help="time each matrix of this file instead"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    print(facts([("cpu", bench.cpu_name()), ("threads", options.threads)]))
    if options.voice != "matvec":
        voice = load_voice(options)
        times = bench.time_voice(voice)
        print(facts(voice_facts(times, voice.kernels)))
        matrix = bench.voice_matrix(voice)
        matrices = {} if matrix is None else {"recurrent matrix": matrix}
    elif options.weights:
        matrices = {
            name: SparseMatrix(weights, options.block, options.dtype, options.kernels)
            for name, weights in np.load(options.weights, allow_pickle=False).items()
            if weights.ndim == 2 and weights.dtype.kind == "f"
        }
    else:
        shape = (options.rows, options.cols, options.sparsity)
        storage = (options.block, options.dtype, options.kernels)
        matrices = {"random matrix": bench.random_matrix(*shape, *storage)}
    for name, matrix in matrices.items():
        print()
        print(facts([("matrix", name), *product_facts(bench.time_products(matrix))]))


def voice_facts(times: bench.VoiceTimes, kernels: str) -> list[tuple[str, object]]:
    factor = times.real_time_factor
    return [
        ("kernels", kernels),
        ("real-time factor", f"{factor:.3f} ({1 / factor:.1f} x faster than real time)"),
        ("per sample", f"{times.seconds_per_sample * 1e6:.2f} us"),
    ]


def product_facts(times: bench.ProductTimes) -> list[tuple[str, object]]:
    us = 1e6
    return [
        ("shape", f"{times.rows} x {times.cols}, {times.density:.2%} stored"),
        ("storage", f"{times.block} {times.dtype}, {times.nbytes} bytes"),
        ("kernels", times.kernels),
        ("sparse", f"{times.sparse * us:.2f} us"),
        ("stream limit", f"{times.stream_limit * us:.2f} us, sparse is {times.ratio:.2f} x that"),
        (
            "linnet dense",
            f"{times.dense * us:.2f} us, {times.dense / times.sparse:.1f} x the sparse time",
        ),
        (
            "numpy dense",
            f"{times.numpy * us:.2f} us, {times.numpy / times.sparse:.1f} x the sparse time",
        ),
    ]
