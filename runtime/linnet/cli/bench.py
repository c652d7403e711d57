"""linnet bench: how fast voices and matrices are here, beside the limit and what else there is."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from linnet.bundled import voices
from linnet.cli.arguments import add_kernels, positive, seconds, sparsity
from linnet.format.blocks import BLOCKS, DENSE
from linnet.format.dtypes import DTYPES

if TYPE_CHECKING:
    from linnet.cli.arguments import Parsers

MODES = ("matvec", "sample", "sweep", "subscale", "rivals")
DESCRIPTION = "`linnet bench MODE --help` tells of each mode. `linnet bench VOICE` is sample."


def add(parsers: Parsers) -> None:
    parser = parsers.add_parser(
        "bench", help="speed of a voice, or of matrices", description=DESCRIPTION
    )
    modes = parser.add_subparsers(metavar="MODE", dest="what", required=True)
    _add_matvec(modes)
    _add_sample(modes)
    _add_sweep(modes)
    _add_subscale(modes)
    _add_rivals(modes)
    parser.set_defaults(run=run)


def with_mode(arguments: Sequence[str]) -> list[str]:
    """`bench VOICE` as `bench sample VOICE`."""
    words = list(arguments)
    if words[:1] == ["bench"] and len(words) > 1 and words[1] not in MODES:
        if words[1].endswith(".linnet") or os.path.isfile(words[1]) or words[1] in voices():
            words.insert(1, "sample")
    return words


def _add_matvec(modes: Parsers) -> None:
    parser = modes.add_parser(
        "matvec",
        help="products of matrices, with every kernel set and storage type",
        description="Times products of the paper's matrices and of GRUs', with every kernel set "
        "and storage type, on one core, beside other libraries and the stream limit: the time that "
        "only loading and widening the weights takes. Writes OUT.json and OUT.png.",
    )
    _add_common(parser)
    one = parser.add_argument_group("one matrix instead, which writes nothing; implied by any")
    one.add_argument("--quick", action="store_true", help="one random matrix")
    _add_shape(one)
    one.add_argument("--sparsity", type=sparsity, help="default: 0.95")
    one.add_argument("--block", choices=[*BLOCKS, DENSE], help="default: 4x4")
    one.add_argument("--dtype", choices=list(DTYPES), help="default: float16")
    one.add_argument("--weights", metavar="FILE.npz", help="time each matrix of this file")


def _add_sample(modes: Parsers) -> None:
    parser = modes.add_parser(
        "sample",
        help="a voice's speed, and where the time goes",
        description="Times the samples of a voice with every kernel set, and the operations that "
        "they take. Writes OUT.json and OUT.png.",
    )
    parser.add_argument("voice", metavar="VOICE", help="a .linnet file or a name")
    parser.add_argument(
        "--threads", type=positive, nargs="+", default=[1], help="numbers of threads (default: 1)"
    )
    _add_common(parser)


def _add_sweep(modes: Parsers) -> None:
    parser = modes.add_parser(
        "sweep",
        help="time against sparsity, sparse beside dense",
        description="Times one matrix at thirteen sparsities, sparse and dense, on one core. "
        "Writes OUT.json and OUT.png.",
    )
    _add_common(parser)
    _add_shape(parser)
    parser.add_argument("--dtype", choices=list(DTYPES), help="default: float16")


def _add_subscale(modes: Parsers) -> None:
    parser = modes.add_parser(
        "subscale",
        help="a network in sub-tensors beside the same one without",
        description="Times WaveRNNs with random weights, in turn: without sub-tensors, and in some "
        "numbers of them, which include what looks at other sub-tensors. Writes OUT.json and "
        "OUT.png.",
    )
    parser.add_argument(
        "--sub-tensors", type=positive, nargs="+", default=[2, 4, 8, 16], help="default: 2 4 8 16"
    )
    parser.add_argument(
        "--threads", type=positive, nargs="+", default=[1, 2], help="1, and these (default: 1 2)"
    )
    parser.add_argument("--units", type=positive, default=384, help="default: 384")
    parser.add_argument("--sparsity", type=sparsity, default=0.9, help="default: 0.9")
    parser.add_argument("--block", choices=[*BLOCKS, DENSE], default="4x4", help="default: 4x4")
    parser.add_argument("--dtype", choices=list(DTYPES), default="float16", help="default: float16")
    parser.add_argument("--future", type=int, default=16, help="places seen ahead (default: 16)")
    parser.add_argument("--past", type=int, default=7, help="places seen before (default: 7)")
    parser.add_argument("--look", type=positive, default=64, help="units that see (default: 64)")
    _add_common(parser)


def _add_rivals(modes: Parsers) -> None:
    parser = modes.add_parser(
        "rivals",
        help="other vocoders beside voices",
        description="Times HiFi-GAN, multi-band MelGAN and Vocos of the published shapes, with "
        "random weights, in onnxruntime, and voices, all on one thread: whole utterances and "
        "chunks of 100 ms. Needs PyTorch, onnx and onnxruntime. Writes OUT.json and OUT.png.",
    )
    parser.add_argument("voices", metavar="VOICE", nargs="+", help=".linnet files or names")
    _add_common(parser)


def _add_common(parser: argparse.ArgumentParser) -> None:
    add_kernels(parser)
    parser.add_argument(
        "-o", "--output", metavar="OUT", help="default: linnet-bench-MODE; none with --json"
    )
    parser.add_argument(
        "--json", metavar="FILE", help="only the figures, into this file, or - for stdout"
    )
    parser.add_argument(
        "--time-limit",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="of the whole run, which then takes fewer rounds and leaves out what there is no time "
        "for; everything is timed once at least (default: 60; 0: none)",
    )


def _add_shape(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--rows", type=positive, help="default: 3072")
    parser.add_argument("--cols", type=positive, help="default: 1024")


def run(options: argparse.Namespace) -> None:
    options.start = time.perf_counter()  # before what takes seconds to import
    _complete(options)
    from linnet_bench import report

    report.run(options)


def _complete(options: argparse.Namespace) -> None:
    """Put the defaults in."""
    names = ("rows", "cols", "sparsity", "block", "dtype", "weights")
    given = {name: getattr(options, name, None) for name in names}
    options.quick = getattr(options, "quick", False) or any(v is not None for v in given.values())
    if options.output is None and options.json is None:
        options.output = f"linnet-bench-{options.what}"
    options.rows, options.cols = given["rows"] or 3072, given["cols"] or 1024
    options.sparsity = 0.95 if given["sparsity"] is None else given["sparsity"]
    options.block, options.dtype = given["block"] or "4x4", given["dtype"] or "float16"
    options.weights = given["weights"]
