"""linnet score: how likely a voice finds a recording."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from linnet.audio import score_recording
from linnet.cli.arguments import add_transpose, add_voice, load_mel, load_voice, turned

if TYPE_CHECKING:
    from linnet.cli.arguments import Parsers


def add(parsers: Parsers) -> None:
    parser = parsers.add_parser("score", help="likelihood of a recording, teacher-forced")
    add_voice(parser)
    parser.add_argument("input", metavar="IN.wav", help="mono, at the voice's sample rate")
    parser.add_argument("--mel", metavar="MEL.npy", help="its features; default: computed from it")
    add_transpose(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    voice = load_voice(options)
    mel = None
    if options.mel:
        mel = turned(load_mel(options.mel), options.mel, voice.n_mels, options.transpose)
    nats = score_recording(voice, options.input, mel)
    print(f"{nats:.4f} nats per sample ({nats / math.log(2):.4f} bits)")
