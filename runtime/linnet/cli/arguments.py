"""Arguments that several subcommands have, and checks of their values for argparse."""

from __future__ import annotations

import argparse
import errno
import os
from typing import TYPE_CHECKING, Any

import linnet
from linnet.arguments import checked_seed, checked_temperature, checked_threads
from linnet.features import PRESETS
from linnet.format.dtypes import type_name

if TYPE_CHECKING:
    Parsers = argparse._SubParsersAction[argparse.ArgumentParser]


VOICE = "a .linnet file, or a name that `linnet voices` lists"


def add_voice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("voice", metavar="VOICE", help=VOICE)
    add_kernels(parser)
    add_threads(parser)


def add_kernels(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--kernels", choices=linnet.kernels(), help="kernel set (default: the best of this CPU)"
    )


def add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threads", type=threads, default=1, help="that make each sample together (default 1)"
    )


def load_voice(options: argparse.Namespace) -> linnet.Voice:
    return linnet.load(options.voice, options.threads, options.kernels)


def add_transpose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--transpose",
        action="store_true",
        help="features are (frames, bands); needed only where both sides are as long",
    )


def add_features(parser: argparse.ArgumentParser) -> None:
    """Which features the inputs are, and what is done with those that can hardly be the voice's."""
    parser.add_argument(
        "--mel-from",
        metavar="NAME",
        choices=PRESETS,
        help=f"features in files are another project's: {', '.join(PRESETS)}",
    )
    parser.add_argument(
        "--strict", action="store_true", help="refuse features that can hardly be this voice's"
    )


def require_folder_of(path: str) -> None:
    """Before long work: the folder that is to hold its result must exist."""
    if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def _checked(check: Any, text: str) -> Any:
    try:
        return check(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def seed(text: str) -> int:
    return int(_checked(lambda t: checked_seed(int(t)), text))


def threads(text: str) -> int:
    return int(_checked(lambda t: checked_threads(int(t)), text))


def temperature(text: str) -> float:
    return float(_checked(checked_temperature, text))


def positive(text: str) -> int:
    def check(t: str) -> int:
        if int(t) < 1:
            raise ValueError(f"must be at least 1, not {t}")
        return int(t)

    return int(_checked(check, text))


def seconds(text: str) -> float:
    def check(t: str) -> float:
        if not 0 <= float(t) < float("inf"):
            raise ValueError(f"must be 0 or more, not {t}")
        return float(t)

    return float(_checked(check, text))


def n_bytes(text: str) -> int:
    """A size such as 300M or 2G, in powers of 1024."""
    factor = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:].upper())
    try:
        value = float(text[:-1]) * factor if factor else int(text)
        if not 0 < value < 1 << 62:
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no size, such as 300M or 2G") from None
    return int(value)


def sparsity(text: str) -> float:
    def check(t: str) -> float:
        if not 0 <= float(t) < 1:
            raise ValueError(f"must lie in [0, 1), not {t}")
        return float(t)

    return float(_checked(check, text))


def storage_type(text: str) -> str:
    return str(_checked(type_name, text))


def kept(text: str) -> tuple[str, str]:
    """A layer and its type."""

    def check(t: str) -> tuple[str, str]:
        name, separator, dtype = t.partition("=")
        if not (name and separator):
            raise ValueError(f"must be LAYER=TYPE, not {t!r}")
        return name, type_name(dtype)

    name, dtype = _checked(check, text)
    return str(name), str(dtype)
