"""linnet export: a checkpoint to a voice."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from linnet.blocks import BLOCKS, DENSE, DTYPES
from linnet.commands.arguments import load_mel, sparsity

if TYPE_CHECKING:
    from linnet.commands.arguments import Parsers


def add(parsers: Parsers) -> None:
    parser = parsers.add_parser("export", help="turn a pruned checkpoint into a .linnet file")
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="PyTorch, safetensors, npz, ONNX, or model.bin"
    )
    parser.add_argument("-o", "--output", metavar="VOICE", required=True)
    parser.add_argument(
        "--block", choices=[*BLOCKS, DENSE], help="default: what fits the checkpoint's zeros"
    )
    parser.add_argument(
        "--sparsity", type=sparsity, help="prune to this share of zero blocks; needs --block"
    )
    parser.add_argument("--dtype", choices=list(DTYPES), default="float16")
    parser.add_argument("--names", metavar="MAP.toml", help="our tensor names, and theirs")
    parser.add_argument("--config", metavar="CONFIG.toml", help="put over the checkpoint's config")
    parser.add_argument(
        "--preset", metavar="PROJECT", help="fatchord, torchaudio, coqui, real-time-voice-cloning"
    )
    parser.add_argument(
        "--score", metavar="IN.wav", help="print its nats per sample before and after"
    )
    parser.add_argument("--mel", metavar="MEL.npy", help="its features; default: computed from it")
    parser.add_argument("--name", help="the voice's name; default: the config's, or the file's")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from linnet_export import export

    report = export(
        options.checkpoint,
        options.output,
        block=options.block,
        sparsity=options.sparsity,
        dtype=options.dtype,
        names=options.names,
        config=options.config,
        preset=options.preset,
        score=options.score,
        mel=load_mel(options.mel) if options.mel else None,
        name=options.name,
    )
    print(report)
