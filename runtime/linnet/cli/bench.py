"""linnet bench: how fast voices and matrices are here, beside the limit and what else there is."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from linnet.cli.arguments import add_kernels, positive, sparsity
from linnet.format.blocks import BLOCKS, DENSE
from linnet.format.dtypes import DTYPES

if TYPE_CHECKING:
    from linnet.cli.arguments import Parsers

WHAT = ("matvec", "sample", "sweep", "rivals")
DESCRIPTION = """\
matvec        products of the paper's matrices and of GRUs', with every kernel set and storage type
matvec --quick    one matrix
sample VOICE  a voice's speed and where the time goes, for every kernel set (also: bench VOICE)
sweep         time against sparsity, sparse beside dense
rivals VOICE ...  other vocoders beside voices; needs PyTorch and onnxruntime
All but --quick write OUT.json, and but for rivals OUT.png. On one core."""


def add(parsers: Parsers) -> None:
    parser = parsers.add_parser(
        "bench",
        help="speed of a voice, or of matrices",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "what",
        metavar=" | ".join(WHAT),
        nargs="?",
        default="matvec",
        help="what to measure (default: matvec)",
    )
    parser.add_argument("voices", metavar="VOICE", nargs="*", help=".linnet files")
    add_kernels(parser)
    parser.add_argument(
        "-o", "--output", metavar="OUT", help="default: linnet-bench-matvec, and so on"
    )
    sample = parser.add_argument_group("sample")
    sample.add_argument(
        "--threads", type=positive, nargs="+", default=[1], help="numbers of threads (default: 1)"
    )
    matvec = parser.add_argument_group("matvec --quick (implied by any of these), and sweep")
    matvec.add_argument("--quick", action="store_true", help="one random matrix")
    matvec.add_argument("--rows", type=positive, help="default: 3072")
    matvec.add_argument("--cols", type=positive, help="default: 1024")
    matvec.add_argument("--sparsity", type=sparsity, help="default: 0.95")
    matvec.add_argument("--block", choices=[*BLOCKS, DENSE], help="default: 4x4")
    matvec.add_argument("--dtype", choices=list(DTYPES), help="default: float16")
    matvec.add_argument(
        "--weights", metavar="FILE.npz", help="time each matrix of this file instead"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    _complete(options)
    from linnet_bench import report

    report.run(options)


def _complete(options: argparse.Namespace) -> None:
    """Put the defaults in. Raises ValueError where the words do not say what to measure."""
    if options.what not in WHAT:
        if options.voices:
            known = f"{', '.join(WHAT[:-1])} or {WHAT[-1]}"
            raise ValueError(f"bench measures {known}, not {options.what!r}")
        options.what, options.voices = "sample", [options.what]
    n = len(options.voices)
    if options.what == "sample" and n != 1:
        raise ValueError(f"bench sample needs a voice, not {n}: linnet bench sample VOICE")
    if options.what == "rivals" and not n:
        raise ValueError("bench rivals needs voices: linnet bench rivals VOICE ...")
    quick_given = (options.rows, options.cols, options.sparsity, options.block, options.dtype)
    if options.weights or any(given is not None for given in quick_given):
        options.quick = True
    options.output = options.output or f"linnet-bench-{options.what}"
    options.rows, options.cols = options.rows or 3072, options.cols or 1024
    options.sparsity = 0.95 if options.sparsity is None else options.sparsity
    options.block, options.dtype = options.block or "4x4", options.dtype or "float16"
