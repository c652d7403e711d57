"""linnet bench: how fast voices and matrices are here, beside the limit and what else there is."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from linnet.cli.arguments import add_kernels, positive, sparsity
from linnet.format.blocks import BLOCKS, DENSE
from linnet.format.dtypes import DTYPES

if TYPE_CHECKING:
    from linnet.cli.arguments import Parsers

DESCRIPTION = """\
matvec        products of the paper's matrices and of GRUs', with every kernel set and storage type
matvec --quick    one matrix
sample VOICE  a voice's speed and where the time goes, for every kernel set (also: bench VOICE)
sweep         time against sparsity, sparse beside dense
All but --quick write OUT.json and OUT.png. On one core."""


def add(parsers: Parsers) -> None:
    parser = parsers.add_parser(
        "bench",
        help="speed of a voice, or of matrices",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "what",
        metavar="matvec | sample | sweep",
        nargs="?",
        default="matvec",
        help="what to measure (default: matvec)",
    )
    parser.add_argument(
        "voice", metavar="VOICE", nargs="?", help="a .linnet file or a name, for sample"
    )
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
    if options.what not in ("matvec", "sample", "sweep"):
        if options.voice is not None:
            raise ValueError(f"bench measures matvec, sample or sweep, not {options.what!r}")
        options.what, options.voice = "sample", options.what
    if options.what == "sample" and options.voice is None:
        raise ValueError("bench sample needs a voice: linnet bench sample VOICE")
    quick_given = (options.rows, options.cols, options.sparsity, options.block, options.dtype)
    if options.weights or any(given is not None for given in quick_given):
        options.quick = True
    options.output = options.output or f"linnet-bench-{options.what}"
    options.rows, options.cols = options.rows or 3072, options.cols or 1024
    options.sparsity = 0.95 if options.sparsity is None else options.sparsity
    options.block, options.dtype = options.block or "4x4", options.dtype or "float16"
