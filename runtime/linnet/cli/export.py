"""linnet export: a checkpoint to a voice, a voice to ONNX, or only a look at a checkpoint."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from linnet.bundled import voices
from linnet.cli.arguments import (
    add_transpose,
    kept,
    n_bytes,
    sparsity,
    storage_type,
    temperature,
)
from linnet.files import (
    STANDARD,
    as_file,
    read_bytes,
    require_apart,
    write_atomic,
    write_bytes,
)
from linnet.format.blocks import BLOCKS, DENSE
from linnet.format.dtypes import DTYPES, STORAGE_TYPES
from linnet.format.reading import is_voice
from linnet.inputs import load_mel

if TYPE_CHECKING:
    from linnet.cli.arguments import Parsers

SHORT_NAMES = [stored.short for stored in STORAGE_TYPES]
VARIABLE = "LINNET_MAX_UNPACKED"


def add(parsers: Parsers) -> None:
    parser = parsers.add_parser("export", help="turn a pruned checkpoint into a .linnet file")
    parser.add_argument(
        "source",
        metavar="CHECKPOINT",
        help="PyTorch, safetensors, npz, ONNX, or model.bin; a .linnet file, or a voice that comes "
        "with linnet, for another --dtype or --matching; - is standard input",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "-o", "--output", metavar="VOICE", help="write a .linnet file; - is standard output"
    )
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
    parser.add_argument(
        "--dtype",
        type=storage_type,
        choices=list(DTYPES),
        metavar="TYPE",
        help=f"{', '.join(SHORT_NAMES)}; default: the config's, or {SHORT_NAMES[0]}",
    )
    parser.add_argument(
        "--keep",
        type=kept,
        action="append",
        metavar="LAYER=TYPE",
        help="store this layer, or those of a pattern, in another type; may be repeated",
    )
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
        "--calibrate", metavar="IN.wav", help="round int8 weights so that sums on it change least"
    )
    parser.add_argument(
        "--score", metavar="IN.wav", help="print its nats per sample before and after"
    )
    parser.add_argument(
        "--mel", metavar="MEL.npy", help="features of both; default: computed from them"
    )
    add_transpose(parser)
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
    source = options.source
    if not os.path.exists(source) and source in voices():
        options.source = voices()[source]["path"]  # a voice that comes with linnet
    with as_file(options.source) as source:
        options.source = source
        _run(options)


def _run(options: argparse.Namespace) -> None:
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
            require_apart([options.suggest_names], [options.source])
            names = linnet_export.suggest_names(options.source, **limits)
            write_atomic(options.suggest_names, names.encode())
            print(f"a names map to edit: {options.suggest_names}")
    elif options.to_onnx:
        for path in linnet_export.export_onnx(options.source, options.to_onnx):
            print(path)
    else:
        report = _export(options)
        text = json.dumps(asdict(report), indent=2) if options.json else str(report)
        print(text, file=sys.stderr if report.path == STANDARD else sys.stdout)


def _export(options: argparse.Namespace) -> Any:
    """The report of what was written, to standard output too."""
    if options.output != STANDARD:
        return export(options)
    with tempfile.TemporaryDirectory() as folder:
        options.output = os.path.join(folder, "stdout")
        report = export(options)
        write_bytes(STANDARD, read_bytes(options.output))
    return replace(report, path=STANDARD)


def _mel(options: argparse.Namespace) -> npt.NDArray[Any] | None:
    if options.mel is None:
        return None
    mel = load_mel(options.mel)
    return mel.swapaxes(-1, -2) if options.transpose and mel.ndim > 1 else mel


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
        if options.dtype is not None or options.keep is not None:
            return _restored(options)
        _refuse_options(
            options, {"output", "matching", "rounds", "json"}, "is for checkpoints, not for voices"
        )
        if options.matching is None:
            raise ValueError(
                f"{options.source} is a voice already: only --matching, or --dtype, changes it"
            )
        return rematch(options.source, options.output, options.matching, options.rounds or 1)
    return export(
        options.source,
        options.output,
        block=options.block,
        sparsity=options.sparsity,
        dtype=options.dtype,
        keep=dict(options.keep or ()),
        names=options.names,
        config=options.config,
        preset=options.preset,
        temperature=options.temperature,
        matching=options.matching,
        rounds=options.rounds,
        **_recordings(options),
        name=options.name,
        key=options.key,
        max_unpacked=_max_unpacked(options),
    )


def _recordings(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "calibrate": options.calibrate,
        "score": options.score,
        "mel": _mel(options),
    }


def _restored(options: argparse.Namespace) -> object:
    from linnet_export import restore

    allowed = {"output", "dtype", "keep", "calibrate", "score", "mel", "transpose", "json"}
    _refuse_options(options, allowed, "does not go with another type of a voice's weights")
    return restore(
        options.source,
        options.output,
        options.dtype,
        dict(options.keep or ()),
        **_recordings(options),
    )
