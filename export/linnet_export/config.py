"""Reads a checkpoint's config and checks what it says about the voice."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from linnet.features import complete
from linnet.format.operations import MOST_ITERATIONS
from linnet_export.readers.checkpoint import checked_config
from linnet_export.readers.errors import blamed_on

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


# What every config of a network must say, and what one whose samples are an excitation must.
_REQUIRED = {"features": ("sample_rate", "hop_length", "n_mels"), "signal": ("bits",)}
_OF_EXCITATION = ("mu", "range", "least_gain")


def missing_keys(config: Mapping[str, Any]) -> list[str]:
    """What the config lacks, as `table.key`."""
    found = []
    for table, keys in _REQUIRED.items():
        have = _mapping(config, table)
        if table == "signal" and have.get("companding") == "excitation":
            keys += _OF_EXCITATION
        found += [f"{table}.{key}" for key in keys if key not in have]
    return found


def _mapping(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = config.get(key, {})
    if not isinstance(value, Mapping):
        raise ValueError(f"config {key!r} is no table")
    return value


def read_number(table: Mapping[str, Any], where: str, key: str, default: float) -> float:
    """A number of the config's table `where`. Raises ValueError naming the key."""
    value = table.get(key, default)
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"config {where}.{key} must be a number, not {value!r}")
    return number


def read_integer(table: Mapping[str, Any], where: str, key: str, low: int, high: int) -> int:
    """An integer of the config's table `where` ("": the config itself). Raises ValueError naming
    the key."""
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        place = f"{where}.{key}" if where else key
        raise ValueError(f"config {place} must be an integer in {low} .. {high}, not {value!r}")
    return value


@dataclass(frozen=True)
class Signal:
    """Samples as tokens: v = token scale - 1 is the companded, pre-emphasised value, or the
    companded excitation that leads to it."""

    bits: int
    companding: str  # "linear", "mu-law" or "excitation"
    mu: float
    pre_emphasis: float
    grid: str  # "pcm" or "full-scale"
    range: float = 1.0  # of an excitation: the greatest, in gains
    least_gain: float = 1.0  # of an excitation

    @property
    def scale(self) -> float:
        """The step from one token's value to the next."""
        return 1 / (1 << self.bits - 1) if self.grid == "pcm" else 2 / ((1 << self.bits) - 1)

    @property
    def silence(self) -> int:
        """The token that stands before the first sample."""
        return 1 << self.bits - 1

    def values(self) -> npt.NDArray[Any]:
        """The amplitude (2^bits,) of every token, expanded."""
        v = np.arange(1 << self.bits) * self.scale - 1.0
        if self.companding == "linear":
            return v
        return np.asarray(np.sign(v) * np.expm1(np.abs(v) * np.log1p(self.mu)) / self.mu)

    def metadata(self) -> dict[str, Any]:
        """The `signal` of the file."""
        signal: dict[str, Any] = {
            "bits": self.bits,
            "companding": self.companding,
            "mu": self.mu,
            "pre_emphasis": self.pre_emphasis,
        }
        if self.companding == "excitation":
            signal |= {"range": self.range, "least_gain": self.least_gain}
        if self.companding == "linear" and self.grid == "full-scale":
            signal["grid"] = self.grid
        return signal


@dataclass(frozen=True)
class Config:
    """A checkpoint's config."""

    architecture: str
    sample_rate: int  # Hz
    hop_length: int  # samples per frame
    n_features: int  # floats per frame
    features: dict[str, Any]
    signal: Signal
    training: dict[str, Any]
    temperature: float  # by which logits are divided, in the weights
    matching: int  # iterations that bring samples to the features
    network: dict[str, Any]  # what the config says of the network, where its tensors say it too


def read_signal(config: Mapping[str, Any]) -> Signal:
    """The table `signal`. Raises ValueError naming the key."""
    table = _mapping(config, "signal")
    companding = table.get("companding", "linear")
    if companding not in ("linear", "mu-law", "excitation"):
        raise ValueError(
            "config signal.companding must be 'linear', 'mu-law' or 'excitation', "
            f"not {companding!r}"
        )
    bits = read_integer(table, "signal", "bits", 1, 16)
    mu = read_number(table, "signal", "mu", 255 if companding == "mu-law" else 0)
    if companding != "linear" and not 0 < mu < 1e9:
        raise ValueError(f"config signal.mu must be positive, not {mu}")
    pre_emphasis = read_pre_emphasis(table)
    grid = table.get("grid", "full-scale" if companding == "mu-law" else "pcm")
    if grid not in ("pcm", "full-scale") or (companding == "mu-law" and grid != "full-scale"):
        raise ValueError(f"config signal.grid {grid!r} does not go with {companding}")
    if companding != "excitation":
        return Signal(bits, companding, mu, pre_emphasis, grid)
    largest, least = (read_number(table, "signal", key, 0) for key in ("range", "least_gain"))
    if not 0 < largest < 1e9:
        raise ValueError(f"config signal.range must be positive, not {largest}")
    if not 1e-30 < least <= 1:
        raise ValueError(f"config signal.least_gain must be within (0, 1], not {least}")
    return Signal(bits, companding, mu, pre_emphasis, grid, largest, least)


def read_pre_emphasis(signal: Mapping[str, Any]) -> float:
    """The `pre_emphasis` of the table `signal`, 0 without one. Raises ValueError naming the key."""
    pre_emphasis = read_number(signal, "signal", "pre_emphasis", 0.0)
    if not -1 < pre_emphasis < 1:
        raise ValueError(f"config signal.pre_emphasis must be within (-1, 1), not {pre_emphasis}")
    return pre_emphasis


def read_temperature(config: Mapping[str, Any]) -> float:
    """The config's `temperature`, 1 without one. Raises ValueError naming the key."""
    temperature = config.get("temperature", 1.0)
    if isinstance(temperature, bool) or not isinstance(temperature, int | float):
        raise ValueError(f"config temperature must be a number, not {temperature!r}")
    if not 0.01 <= temperature <= 100:
        raise ValueError(f"config temperature must be in 0.01 .. 100, not {temperature}")
    return float(temperature)


def read_matching(config: Mapping[str, Any]) -> int:
    """The config's `matching`, 0 without one. Raises ValueError naming the key."""
    return read_integer({"matching": config.get("matching", 0)}, "", "matching", 0, MOST_ITERATIONS)


def read_rounds(config: Mapping[str, Any]) -> int:
    """The config's `matching_rounds`, 1 without it. Raises ValueError naming the key."""
    rounds = {"matching_rounds": config.get("matching_rounds", 1)}
    return read_integer(rounds, "", "matching_rounds", 1, MOST_ITERATIONS)


def read_types(config: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """The config's `dtype`, "float16" without one, and its table `keep` of layers and their types.

    Raises ValueError naming the key.
    """
    keep = dict(_mapping(config, "keep")) if "keep" in config else {}
    dtype = config.get("dtype", "float16")
    for key, value in {"dtype": dtype, **{f"keep.{name}": t for name, t in keep.items()}}.items():
        if not isinstance(value, str):
            raise ValueError(f"config {key} must be the name of a type, not {value!r}")
    return dtype, keep


def read_config(config: Mapping[str, Any]) -> Config:
    """Check a checkpoint's config. Raises ValueError naming the key, or all that are missing."""
    if absent := missing_keys(config):
        raise ValueError(f"the config lacks {', '.join(absent)}")
    features = dict(_mapping(config, "features"))
    padding = config.get("conditioning_padding", "valid")
    if padding != "valid":
        raise ValueError(f"config conditioning_padding {padding!r}: only 'valid' is known")
    training = config.get("training", {})
    checked = Config(
        str(config.get("architecture")),
        read_integer(features, "features", "sample_rate", 1, 384000),
        read_integer(features, "features", "hop_length", 1, 65536),
        read_integer(features, "features", "n_mels", 1, 65536),
        features,
        read_signal(config),
        dict(training) if isinstance(training, Mapping) else {"description": training},
        read_temperature(config),
        read_matching(config),
        dict(_mapping(config, "network")) if "network" in config else {},
    )
    check_features(features)
    return checked


def check_features(features: Mapping[str, Any]) -> None:
    """Refuse a definition of log-mel features that `Voice.features` could not compute."""
    kind = features.get("kind", "log-mel")
    if not isinstance(kind, str):
        raise ValueError(f"config features.kind must be a text, not {kind!r}")
    if kind != "log-mel":
        return
    try:
        full = complete(features)
        for key in ("n_fft", "win_length"):
            read_integer(full, "features", key, 1, 1 << 20)
        for key in ("fmin", "fmax", "floor", "power", "offset", "scale", "pre_emphasis"):
            read_number(full, "features", key, 0)
        for key in ("clip_min", "clip_max"):
            if full[key] is not None:
                read_number(full, "features", key, 0)
        low, high = full["fmin"], full["fmax"]
        if not 0 <= low < high <= full["sample_rate"] / 2:
            raise ValueError(
                f"fmin {low} and fmax {high} are no range below half of {full['sample_rate']} Hz"
            )
    except TypeError as error:
        raise ValueError(f"config features: not a number: {error}") from None
    except ValueError as error:
        raise ValueError(f"config features: {error}") from None


def merge(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The config with the overrides' keys put over it, table by table."""
    merged = dict(config)
    for key, value in overrides.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = merge(old, value)
        merged[key] = value
    return merged


def load_table(path: str | Path) -> dict[str, Any]:
    """A TOML or JSON file as a dict. Raises ValueError naming the file where it is neither."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        table = json.loads(text) if Path(path).suffix == ".json" else tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"{path}: nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if not isinstance(table, dict):
        raise ValueError(f"{path}: not a table")
    with blamed_on(path):
        return checked_config(table)
