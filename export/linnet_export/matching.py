"""Passes that follow a voice's samples and bring their bands to the features (FORMAT.md, "match").

A network draws samples from a distribution that fits the features on average; the features say more
than that, namely what the bands were in just this utterance. Each pass takes the spectrum of what
was made, frame by frame, multiplies its bins by what its bands lack, and adds the frames up again:
the magnitudes move towards the features, the phases stay the network's. (Griffin and Lim 1984,
"Signal estimation from modified short-time Fourier transform", are the source of the adding up:
the least squares estimate. They had no phases to begin with.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from linnet.blocks import best_block, pack
from linnet.features import complete, mel_basis, mel_centres
from linnet.format import Tensor, VoiceFile
from linnet.operations import MOST_PASSES, MOST_TRANSFORM, Match

PREFIX = "matching."
# Of the correction, in logarithms: windows overlap, so that neighbours undo a part of it.
STRENGTH = 1.3
LIMIT = math.log(100)  # of a gain


def matched(voice: VoiceFile, passes: int) -> VoiceFile:
    """The voice with `passes` passes (0 .. 8) in the place of those it has.

    Raises ValueError where its features are none that samples can be brought to.
    """
    if not 0 <= passes <= MOST_PASSES:
        raise ValueError(f"matching takes 0 .. {MOST_PASSES} passes, not {passes}")
    voice = without(voice)
    if passes == 0:
        return voice
    features = definition(voice.metadata.get("features", {}))
    parts = {PREFIX + name: values for name, values in _parts(features).items()}
    tensors = (*voice.tensors, *(_stored(name, values) for name, values in parts.items()))
    logarithm = {"log10": math.log(10), "ln": 1.0, "db": math.log(10) * features["power"] / 20}
    window, synthesis, turns, bands, spread = range(len(voice.tensors), len(tensors))
    unit = logarithm[features["log"]]
    match = Match(
        window,
        synthesis,
        turns,
        bands,
        spread,
        power=int(features["power"]),
        scale=unit / features["scale"],
        offset=-unit * features["offset"],
        floor=features["floor"],
        strength=STRENGTH / features["power"],
        limit=LIMIT,
    )
    return replace(voice, tensors=tensors, passes=(match,) * passes)


def without(voice: VoiceFile) -> VoiceFile:
    """The voice without passes and their tensors, which stand behind all others."""
    kept = tuple(tensor for tensor in voice.tensors if not tensor.name.startswith(PREFIX))
    if kept != voice.tensors[: len(kept)]:
        raise ValueError(f"tensors called {PREFIX}* are not a pass's")
    return replace(voice, tensors=kept, passes=())


def definition(features: Mapping[str, Any]) -> dict[str, Any]:
    """The whole definition of features that a pass can take spectra by."""
    if features.get("kind", "log-mel") != "log-mel":
        raise ValueError("matching needs log-mel features, which this voice does not define")
    full = complete(features)
    n_fft, window, hop = full["n_fft"], full["win_length"], full["hop_length"]
    for wrong, what in (
        (not full["center"], "frames that are centred on their samples"),
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
    """The tensors of a pass, in the order of its words."""
    n, size, hop = features["n_fft"], features["win_length"], features["hop_length"]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)  # Hann's, periodic
    # How much of a sample the squared windows of all frames together hold: periodic in the hop.
    held = np.zeros(hop)
    np.add.at(held, np.arange(size) % hop, window**2)
    angles = 2 * np.pi * np.arange(n // 2) / n
    bands = mel_basis(features).astype(np.float64)
    return {
        "window": window,
        "synthesis": window / (n * held[np.arange(size) % hop]),
        "turns": np.concatenate([np.cos(angles), np.sin(angles)]),
        "bands": bands,
        "spread": _between(mel_centres(features) * n / features["sample_rate"], n // 2 + 1),
    }


def _between(centres: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.float64]:
    """The matrix (n, bands) that interpolates values at rising `centres` (bands,) to 0 .. n - 1."""
    places = np.arange(n)
    return np.stack([np.interp(places, centres, unit) for unit in np.eye(len(centres))], axis=1)


def _stored(name: str, values: npt.NDArray[np.float64]) -> Tensor:
    if values.ndim == 1:
        return Tensor(name, pack(values, "vector", "float32"))
    return Tensor(name, pack(values, best_block(values, "float16"), "float16"))
