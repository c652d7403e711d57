"""linnet score: how likely a voice finds a recording."""

from __future__ import annotations

import argparse
import json
import math
from typing import TYPE_CHECKING

from linnet.arguments import oriented
from linnet.audio import score_recording
from linnet.cli.arguments import add_transpose, add_voice, load_voice
from linnet.inputs import load_mel

if TYPE_CHECKING:
    from linnet.cli.arguments import Parsers


def add(parsers: Parsers) -> None:
    parser = parsers.add_parser("score", help="likelihood of a recording, teacher-forced")
    add_voice(parser)
    parser.add_argument("input", metavar="IN.wav", help="a recording, of any sample rate")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--mel", metavar="MEL.npy", help="its features; default: computed from it")
    add_transpose(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    voice = load_voice(options)
    mel = None
    if options.mel:
        mel = load_mel(options.mel)
        try:
            mel = oriented(mel, voice.n_mels, options.transpose)
        except ValueError as error:
            raise ValueError(f"{options.mel}: {error}") from None
    nats = score_recording(voice, options.input, mel)
    if options.json:
        bits = nats / math.log(2)
        print(json.dumps({"nats_per_sample": nats, "bits_per_sample": bits}))
        return
    print(f"{nats:.4f} nats per sample ({nats / math.log(2):.4f} bits)")
