"""Brings samples to the features that they were made from (FORMAT.md, "match").

A network draws samples from a distribution that fits the features only on average, while the
features tell the bands of this very utterance. So every frame of the samples is corrected in
several iterations: each multiplies the bins of the frame's spectrum by gains, which bring its bands
to the features, and replaces the frame's piece of the signal. The magnitudes move to the features,
the phases stay those of the network. The pieces overlap and are added, as in Griffin and Lim 1984,
"Signal estimation from modified short-time Fourier transform", who have no phases to begin with.
The newest frames are corrected as they come, as in Zhu, Beauregard and Wyse 2007, "Real-time signal
estimation from modified short-time Fourier transform magnitude spectra".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from linnet.features import complete, mel_basis, mel_centres
from linnet.features.definition import log_unit
from linnet.format.blocks import pack
from linnet.format.choice import best_block
from linnet.format.operations import MOST_ITERATIONS, MOST_TRANSFORM, Match
from linnet.format.tensor import Tensor
from linnet.format.voice_file import VoiceFile
from linnet_export.families.known import of_voice

PREFIX = "matching."
# Of a correction, in logarithms: windows overlap, so that neighbours undo a part of it.
STRENGTH = 1.3
LIMIT = math.log(100)  # of a gain
# Of a piece, from its second iteration on, as in Perraudin, Balazs and Sondergaard 2013, "A fast
# Griffin-Lim algorithm".
MOMENTUM = 0.6


def matched(voice: VoiceFile, iterations: int, rounds: int = 1) -> VoiceFile:
    """The voice, with its samples matched: with every hop, so many frames get an iteration each, in
    so many rounds. 0 iterations take a match away.

    Raises ValueError where its features are none that samples can be brought to.
    """
    if not 0 <= iterations <= MOST_ITERATIONS:
        raise ValueError(f"matching takes 0 .. {MOST_ITERATIONS} iterations, not {iterations}")
    if not 1 <= rounds <= MOST_ITERATIONS:
        raise ValueError(f"matching takes 1 .. {MOST_ITERATIONS} rounds, not {rounds}")
    voice = without(voice)
    if iterations == 0:
        return voice
    family = of_voice(voice)
    if family is not None and family.unmatched:
        raise ValueError(family.unmatched)
    features = definition(voice.metadata.get("features", {}))
    parts = {PREFIX + name: values for name, values in _parts(features).items()}
    tensors = (*voice.tensors, *(_stored(name, values) for name, values in parts.items()))
    window, synthesis, twiddles, to_bands, to_bins = range(len(voice.tensors), len(tensors))
    unit = log_unit(features)
    match = Match(
        window,
        synthesis,
        twiddles,
        to_bands,
        to_bins,
        power=int(features["power"]),
        iterations=iterations,
        scale=unit / features["scale"],
        offset=-unit * features["offset"],
        floor=_floor(features, unit),
        strength=STRENGTH / features["power"],
        limit=LIMIT,
        momentum=MOMENTUM if iterations * rounds > 1 else 0.0,
        rounds=rounds if rounds > 1 else 0,
    )
    return replace(voice, tensors=tensors, match=match)


def _floor(features: Mapping[str, Any], unit: float) -> float:
    """The least size that a band shows in its feature: below, it cannot be told what it should be.

    unit: natural logarithm of a band per unit of the level that the feature is scaled from.
    """
    if features["clip_min"] is None:
        return float(features["floor"])
    level = features["clip_min"] / features["scale"] - features["offset"]
    return float(max(features["floor"], math.exp(unit * level)))


def without(voice: VoiceFile) -> VoiceFile:
    """The voice without its match and the tensors of that, which stand behind all others."""
    kept = tuple(tensor for tensor in voice.tensors if not tensor.name.startswith(PREFIX))
    if kept != voice.tensors[: len(kept)]:
        raise ValueError(f"tensors called {PREFIX}* are not a match's")
    return replace(voice, tensors=kept, match=None)


def definition(features: Mapping[str, Any]) -> dict[str, Any]:
    """The whole definition of features that samples can be brought to."""
    if features.get("kind", "log-mel") != "log-mel":
        raise ValueError("matching needs log-mel features, which this voice does not define")
    full = complete(features)
    n_fft, window, hop = full["n_fft"], full["win_length"], full["hop_length"]
    for wrong, what in (
        (full["center"] is not True, "frames that are centred on their samples"),
        (full["window"] != "periodic", "a periodic window"),
        (full["log"] == "none" or full["floor_by"] != "max", "logarithms above a floor"),
        (full["pre_emphasis"] != 0, "features without pre-emphasis"),
        (full["power"] not in (1, 2), "a power of 1 or 2"),
        (
            not 16 <= n_fft <= MOST_TRANSFORM or n_fft & (n_fft - 1),
            f"an n_fft of 16 .. {MOST_TRANSFORM} that is a power of two, not {n_fft}",
        ),
        (window % 2 or window > n_fft, f"an even win_length up to n_fft, not {window}"),
        (window < 2 * hop, f"a win_length of two hops ({2 * hop}) or more, not {window}"),
    ):
        if wrong:
            raise ValueError(f"matching needs {what}")
    return full


def _parts(features: Mapping[str, Any]) -> dict[str, npt.NDArray[np.float64]]:
    """The tensors of a match, in the order of its words."""
    n, size, hop = features["n_fft"], features["win_length"], features["hop_length"]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)  # Hann's, periodic
    # How much of a sample the squared windows of all frames together hold: periodic in the hop.
    held = np.zeros(hop)
    np.add.at(held, np.arange(size) % hop, window**2)
    angles = 2 * np.pi * np.arange(n // 2) / n
    bands = mel_basis(features).astype(np.float64)
    to_bins = _between(mel_centres(features) * n / features["sample_rate"], n // 2 + 1)
    to_bins[bands.sum(axis=0) == 0] = (
        0  # no band sees these bins: gains would only pump what is there
    )
    return {
        "window": window,
        "synthesis": window / held[np.arange(size) % hop],
        "turns": np.concatenate([np.cos(angles), np.sin(angles)]),
        "bands": bands,
        "spread": to_bins,
    }


def _between(centres: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.float64]:
    """The matrix (n, bands) that interpolates values at rising `centres` (bands,) to 0 .. n - 1."""
    places = np.arange(n)
    return np.stack([np.interp(places, centres, unit) for unit in np.eye(len(centres))], axis=1)


def _stored(name: str, values: npt.NDArray[np.float64]) -> Tensor:
    if values.ndim == 1:
        return Tensor(name, pack(values, "vector", "float32"))
    return Tensor(name, pack(values, best_block(values, "float16"), "float16"))
