"""linnet synth: features, or the features of recordings, to wav files."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from linnet.arguments import checked_mel
from linnet.audio import read_wav, write_wav
from linnet.cli.arguments import (
    add_voice,
    load_mel,
    load_voice,
    require_folder_of,
    seed,
    temperature,
)
from linnet.features import PRESETS, convert

if TYPE_CHECKING:
    from linnet.cli.arguments import Parsers
    from linnet.voice import Voice


def add(parsers: Parsers) -> None:
    parser = parsers.add_parser("synth", help="vocode a recording or a mel spectrogram")
    add_voice(parser)
    parser.add_argument(
        "inputs", metavar="IN", nargs="+", help="recordings (.wav), or features (.npy)"
    )
    parser.add_argument(
        "-o", "--output", metavar="OUT", required=True, help="a wav file; of several, their folder"
    )
    parser.add_argument("--seed", type=seed, default=0, help="0 .. 2^64 - 1 (default 0)")
    parser.add_argument("--temperature", type=temperature, default=1.0, help="default 1")
    parser.add_argument(
        "--mel-from",
        metavar="NAME",
        choices=PRESETS,
        help=f"the features are another project's: {', '.join(PRESETS)}",
    )
    parser.add_argument(
        "--strict", action="store_true", help="refuse features that can hardly be this voice's"
    )
    parser.add_argument("--progress", action="store_true", help="show progress on stderr")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    outputs = output_paths(options.inputs, options.output)
    voice = load_voice(options)
    mels = [load_features(voice, path, options.mel_from) for path in options.inputs]
    how = (options.temperature, options.progress, options.strict)
    if len(mels) == 1:
        utterances = [voice.synthesize(mels[0], options.seed, *how)]
    else:
        utterances = voice.synthesize_batch(mels, [options.seed] * len(mels), *how)
    for path, samples in zip(outputs, utterances, strict=True):
        write_wav(path, samples, voice.sample_rate)
        print(f"{path}: {samples.size / voice.sample_rate:.2f} s at {voice.sample_rate} Hz")


def load_features(voice: Voice, path: str, source: str | None = None) -> npt.NDArray[Any]:
    """Features (n_mels, n_frames) from a .npy file, converted where they are another project's, or
    of a recording."""
    if not path.endswith(".npy"):
        return voice.features(*read_wav(path))
    mel = load_mel(path)
    try:
        if source is not None:
            return convert(mel, source, voice)
        checked_mel(mel, voice.n_mels)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return mel


def output_paths(inputs: list[str], output: str) -> list[str]:
    """Where the samples of each input go: `output`, or files named after the inputs within it."""
    if len(inputs) == 1 and not os.path.isdir(output):
        require_folder_of(output)
        return [output]
    require_folder_of(os.path.join(output, "a file"))
    paths = [str(Path(output, Path(path).stem + ".wav")) for path in inputs]
    for number, path in enumerate(paths):
        if path in paths[:number]:
            other = inputs[paths.index(path)]
            raise ValueError(f"{other} and {inputs[number]} would both become {path}")
        if any(
            os.path.exists(path) and os.path.samefile(path, i) for i in inputs if os.path.exists(i)
        ):
            raise ValueError(f"{path} is an input itself: choose another folder")
    return paths
