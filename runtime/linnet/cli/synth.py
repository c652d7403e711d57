"""linnet synth: features, or the features of recordings, to sound files."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from linnet.audio import ENDINGS, RAW, WAV, encode, sound_format
from linnet.cli.arguments import (
    add_features,
    add_transpose,
    add_voice,
    load_voice,
    require_folder_of,
    seed,
    temperature,
)
from linnet.files import STANDARD, require_apart, write_bytes
from linnet.inputs import load_features

if TYPE_CHECKING:
    from linnet.cli.arguments import Parsers


def add(parsers: Parsers) -> None:
    parser = parsers.add_parser("synth", help="vocode a recording or a mel spectrogram")
    add_voice(parser)
    parser.add_argument(
        "inputs",
        metavar="IN",
        nargs="+",
        help="recordings, or features (.npy, .npz, .pt); - is standard input",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        help=f"a file ({', '.join(ENDINGS)}), or - for standard output; of several, their folder",
    )
    parser.add_argument(
        "--raw", action="store_true", help="16-bit samples alone, little-endian, without a header"
    )
    add_transpose(parser)
    parser.add_argument("--seed", type=seed, default=0, help="0 .. 2^64 - 1 (default 0)")
    parser.add_argument("--temperature", type=temperature, default=1.0, help="default 1")
    add_features(parser)
    parser.add_argument("--progress", action="store_true", help="show progress on stderr")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    outputs = output_paths(options.inputs, options.output, options.raw)
    require_apart(outputs, [options.voice, *options.inputs])
    endings = [sound_format(path, options.raw) for path in outputs]
    voice = load_voice(options)
    source, transpose = options.mel_from, options.transpose
    mels = [load_features(voice, path, source, transpose) for path in options.inputs]
    how = (options.temperature, options.progress, options.strict)
    if len(mels) == 1:
        utterances = [voice.synthesize(mels[0], options.seed, *how)]
    else:
        utterances = voice.synthesize_batch(mels, [options.seed] * len(mels), *how)
    for path, ending, samples in zip(outputs, endings, utterances, strict=True):
        write_bytes(path, encode(samples, voice.sample_rate, ending))
        seconds = f"{samples.size / voice.sample_rate:.2f} s at {voice.sample_rate} Hz"
        print(f"{path}: {seconds}", file=sys.stderr if path == STANDARD else sys.stdout)


def output_paths(inputs: list[str], output: str, raw: bool = False) -> list[str]:
    """Where the samples of each input go: `output`, or files named after the inputs within it."""
    if len(inputs) == 1 and not os.path.isdir(output):
        if output != STANDARD:
            require_folder_of(output)
        return [output]
    require_folder_of(os.path.join(output, "a file"))
    names = ["stdin" if path == STANDARD else Path(path).stem for path in inputs]
    paths = [str(Path(output, name + (RAW if raw else WAV))) for name in names]
    for number, path in enumerate(paths):
        if path in paths[:number]:
            other = inputs[paths.index(path)]
            raise ValueError(f"{other} and {inputs[number]} would both become {path}")
    return paths
