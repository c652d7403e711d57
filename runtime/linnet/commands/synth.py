"""linnet synth: features, or the features of a recording, to a wav file."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from linnet.audio import read_wav, write_wav
from linnet.commands.arguments import (
    add_voice,
    load_mel,
    load_voice,
    require_folder_of,
    seed,
    temperature,
)

if TYPE_CHECKING:
    from linnet.commands.arguments import Parsers


def add(parsers: Parsers) -> None:
    parser = parsers.add_parser("synth", help="vocode a recording or a mel spectrogram")
    add_voice(parser)
    parser.add_argument("input", metavar="IN", help="a recording (.wav), or features (.npy)")
    parser.add_argument("-o", "--output", metavar="OUT.wav", required=True)
    parser.add_argument("--seed", type=seed, default=0, help="0 .. 2^64 - 1 (default 0)")
    parser.add_argument("--temperature", type=temperature, default=1.0, help="default 1")
    parser.add_argument("--progress", action="store_true", help="show progress on stderr")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    require_folder_of(options.output)
    voice = load_voice(options)
    if options.input.endswith(".npy"):
        mel = load_mel(options.input)
    else:
        mel = voice.features(*read_wav(options.input))
    samples = voice.synthesize(mel, options.seed, options.temperature, options.progress)
    write_wav(options.output, samples, voice.sample_rate)
    seconds = samples.size / voice.sample_rate
    print(f"{options.output}: {seconds:.2f} s at {voice.sample_rate} Hz")
