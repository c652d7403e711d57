"""linnet bulk: a corpus to wav files, on all cores of this machine or of a Ray cluster."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from linnet.cli.arguments import VOICE, add_features, add_kernels, positive, seed, temperature

if TYPE_CHECKING:
    from linnet.cli.arguments import Parsers


def add(parsers: Parsers) -> None:
    parser = parsers.add_parser("bulk", help="vocode a corpus on all cores, or on a Ray cluster")
    parser.add_argument("voice", metavar="VOICE", help=VOICE)
    parser.add_argument(
        "source",
        metavar="IN",
        help="a folder, a 'pattern', a list (.txt) or a manifest (.jsonl, .parquet)",
    )
    parser.add_argument("output", metavar="OUT", help="the folder of the wav files")
    parser.add_argument("--jobs", type=positive, help="workers (default: one per core)")
    parser.add_argument(
        "--batch", type=positive, default=8, help="utterances a worker makes together (default 8)"
    )
    parser.add_argument("--seed", type=seed, default=0, help="of the run (default 0)")
    parser.add_argument("--temperature", type=temperature, default=1.0, help="default 1")
    parser.add_argument(
        "--shard", type=_shard, default=(1, 1), metavar="I/N", help="only the I-th of N parts"
    )
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--address", help="of the Ray cluster, as in ray.init: 'auto', HOST:PORT")
    add_features(parser)
    add_kernels(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from linnet.bulk import vocode

    report = vocode(
        options.source,
        options.voice,
        options.output,
        jobs=options.jobs,
        batch=options.batch,
        seed=options.seed,
        temperature=options.temperature,
        mel_from=options.mel_from,
        strict=options.strict,
        kernels=options.kernels,
        part=options.shard,
        engine=options.engine,
        address=options.address,
        progress=True,
    )
    speed = report.audio_seconds / report.seconds if report.seconds else 0.0
    print(
        f"{options.output}: {report.made} made ({report.audio_seconds:.1f} s of audio,"
        f" {speed:.1f} x real time), {report.skipped} there before, {len(report.failed)} failed"
    )
    if report.failed:
        name, error = next(iter(report.failed.items()))
        more = f"; all are in {report.errors_path}" if len(report.failed) > 1 else ""
        print(f"linnet: {name}: {error}{more}", file=sys.stderr)
    if report.stopped:
        print(
            f"linnet: stopped: {report.stopped}; the same command goes on from here",
            file=sys.stderr,
        )
    return 1 if report.failed or report.stopped else 0


def _shard(text: str) -> tuple[int, int]:
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r}: I/N, such as 1/8")
    if not 1 <= int(number) <= int(count):
        raise argparse.ArgumentTypeError(f"{text}: from 1/{count} to {count}/{count}")
    return int(number), int(count)
