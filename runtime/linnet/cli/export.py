"""linnet export: a checkpoint to a voice, a voice to ONNX, or only a look at a checkpoint."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from linnet.cli.arguments import load_mel, n_bytes, sparsity, temperature
from linnet.files import write_atomic
from linnet.format.blocks import BLOCKS, DENSE
from linnet.format.dtypes import DTYPES
from linnet.format.reading import is_voice

if TYPE_CHECKING:
    from linnet.cli.arguments import Parsers

VARIABLE = "LINNET_MAX_UNPACKED"


def add(parsers: Parsers) -> None:
    parser = parsers.add_parser("export", help="turn a pruned checkpoint into a .linnet file")
    parser.add_argument(
        "source",
        metavar="CHECKPOINT",
        help="PyTorch, safetensors, npz, ONNX, or model.bin; a .linnet file for another --matching",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("-o", "--output", metavar="VOICE", help="write a .linnet file")
    what.add_argument(
        "--describe", action="store_true", help="only list the tensors, and the likely family"
    )
    what.add_argument(
        "--to-onnx",
        metavar="OUT.onnx",
        help="CHECKPOINT is a .linnet file: write its networks, with dense weights",
    )
    parser.add_argument(
        "--block", choices=[*BLOCKS, DENSE], help="default: what fits the checkpoint's zeros"
    )
    parser.add_argument(
        "--sparsity", type=sparsity, help="prune to this share of zero blocks; needs --block"
    )
    parser.add_argument("--dtype", choices=list(DTYPES), help="default: float16")
    parser.add_argument("--names", metavar="MAP.toml", help="our tensor names, and theirs")
    parser.add_argument("--config", metavar="CONFIG.toml", help="put over the checkpoint's config")
    parser.add_argument(
        "--preset", metavar="PROJECT", help="fatchord, torchaudio, coqui, real-time-voice-cloning"
    )
    parser.add_argument(
        "--temperature", type=temperature, help="divide the logits by it, in the weights; default 1"
    )
    parser.add_argument(
        "--matching",
        type=int,
        metavar="ITERATIONS",
        help="how many frames each hop brings nearer to the features; default: the config's, or 0",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        help="how often it does so; default: the config's matching_rounds, or 1",
    )
    parser.add_argument(
        "--score", metavar="IN.wav", help="print its nats per sample before and after"
    )
    parser.add_argument("--mel", metavar="MEL.npy", help="its features; default: computed from it")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--key",
        metavar="PLACE",
        help="where the weights stand in a checkpoint of several networks: keys with dots between",
    )
    parser.add_argument(
        "--max-unpacked",
        type=n_bytes,
        metavar="BYTES",
        help="that the checkpoint may unpack to, such as 2G; default: LINNET_MAX_UNPACKED, or 512M",
    )
    parser.add_argument(
        "--suggest-names",
        metavar="MAP.toml",
        help="with --describe: write a names map to edit",
    )
    parser.add_argument("--name", help="the voice's name; default: the config's, or the file's")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    import linnet_export

    if options.output is None:
        looking = {"describe", "key", "max_unpacked", "suggest_names"}
        allowed = looking if options.describe else {"to_onnx"}
        _refuse_options(options, allowed, "is for making a voice, with -o")
    elif options.suggest_names:
        raise ValueError("--suggest-names goes with --describe")
    limits = {"key": options.key, "max_unpacked": _max_unpacked(options)}
    if options.describe:
        print(linnet_export.describe(options.source, **limits))
        if options.suggest_names:
            names = linnet_export.suggest_names(options.source, **limits)
            write_atomic(options.suggest_names, names.encode())
            print(f"a names map to edit: {options.suggest_names}")
    elif options.to_onnx:
        for path in linnet_export.export_onnx(options.source, options.to_onnx):
            print(path)
    else:
        report = export(options)
        print(json.dumps(asdict(report), indent=2) if options.json else report)


def _max_unpacked(options: argparse.Namespace) -> int | None:
    """The option, or else the environment's variable."""
    if options.max_unpacked is not None or VARIABLE not in os.environ:
        return options.max_unpacked  # type: ignore[no-any-return]
    try:
        return n_bytes(os.environ[VARIABLE])
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"{VARIABLE}: {error}") from None


def _refuse_options(options: argparse.Namespace, allowed: set[str], why: str) -> None:
    for name, value in vars(options).items():
        given = value is not None and value is not False
        if given and name not in {"source", "run", *allowed}:
            raise ValueError(f"--{name.replace('_', '-')} {why}")


def export(options: argparse.Namespace) -> Any:
    """The report of what was written."""
    from linnet_export import export, rematch

    if is_voice(options.source):
        _refuse_options(
            options, {"output", "matching", "rounds", "json"}, "is for checkpoints, not for voices"
        )
        if options.matching is None:
            raise ValueError(f"{options.source} is a voice already: only --matching changes it")
        return rematch(options.source, options.output, options.matching, options.rounds or 1)
    return export(
        options.source,
        options.output,
        block=options.block,
        sparsity=options.sparsity,
        dtype=options.dtype or "float16",
        names=options.names,
        config=options.config,
        preset=options.preset,
        temperature=options.temperature,
        matching=options.matching,
        rounds=options.rounds,
        score=options.score,
        mel=load_mel(options.mel) if options.mel else None,
        name=options.name,
        key=options.key,
        max_unpacked=_max_unpacked(options),
    )
