"""The report about a voice that the exporter wrote."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

import linnet
from linnet.audio import score_recording
from linnet.format.voice_file import VoiceFile
from linnet.table import table
from linnet_export.quantising import Effect
from linnet_export.writing.storage import Layer
from linnet_export.writing.writer import to_bytes

PathLike = str | os.PathLike[str]

FAR = 1.25  # times chance: a network may err, but not much more than one that knows nothing


@dataclass(frozen=True)
class Cost:
    """What pruning and rounding cost on a recording, in nats per sample."""

    before: float  # with the checkpoint's own weights, in float32
    after: float
    layers: Mapping[str, float]  # what each layer costs where all others are not rounded
    chance: float  # of a voice that finds all samples equally likely

    def __str__(self) -> str:
        text = (
            f"{self.after:.4f} nats per sample; {self.before:.4f} with the checkpoint's own "
            f"weights ({self.after - self.before:+.4f})"
        )
        if self.before > FAR * self.chance:
            text += (
                f"\nWARNING: far beyond chance ({self.chance:.2f} nats) even with its own weights: "
                "the network was not trained on such features or samples. Look at the config's "
                "features (offset, scale, clip_min, clip_max) and signal (companding, pre_emphasis)"
            )
        elif self.after > FAR * self.chance:
            text += f"\nWARNING: far beyond chance ({self.chance:.2f} nats): no voice any more"
        return text


@dataclass(frozen=True)
class Report:
    """What was written; str() is a table of the layers."""

    name: str
    architecture: str
    path: str
    file_bytes: int
    layers: tuple[Layer, ...]
    lookahead: int  # frames
    latency: float  # seconds of audio that must follow before a sample can be made
    cost: Cost | None  # where a recording was given to be scored
    effects: Mapping[str, Effect]  # of int8 layers, where one was given to calibrate

    @property
    def bytes_per_weight(self) -> float:
        """Bytes of the whole file per stored weight of its matrices."""
        return self.file_bytes / max(1, sum(layer.stored_weights for layer in self.layers))

    def __str__(self) -> str:
        head = (
            "layer",
            "shape",
            "nonzeros",
            "density",
            "block",
            "type",
            "bytes",
            "bytes/weight",
            "rounding",
        )
        more, cells = self._more()
        rows = [
            (
                layer.name,
                f"{layer.rows} x {layer.cols}",
                f"{layer.nonzeros:,}",
                f"{layer.density:.1%}",
                layer.block,
                layer.dtype,
                f"{layer.bytes:,}",
                f"{layer.bytes_per_weight:.2f}",
                f"{layer.rounding_error:.1e}",
                *cells(layer.name),
            )
            for layer in self.layers
        ]
        lines = [table([(*head, *more), *rows], left=(0, 1, 4, 5))]
        lines.append(
            f"{self.path}: {self.architecture}, {self.file_bytes:,} bytes, "
            f"{self.bytes_per_weight:.2f} per stored weight, "
            f"look-ahead {self.lookahead} frames ({1000 * self.latency:.0f} ms)"
        )
        if self.cost is not None:
            lines.append(str(self.cost))
        return "\n".join(lines)

    def _more(self) -> tuple[list[str], Callable[[str], list[str]]]:
        """What recordings add to the table: heads, and the cells of a layer."""
        effects, costs = self.effects, {} if self.cost is None else self.cost.layers
        heads = ["operand", "error", "of operand"] if effects else []
        heads += ["nats"] if self.cost is not None else []

        def cells(name: str) -> list[str]:
            found = []
            if effects:
                e = effects.get(name)
                found = (
                    [f"{e.largest:.3g}", _error(e.of_weights), _error(e.of_operand)]
                    if e
                    else [""] * 3
                )
            if self.cost is not None:
                found.append(f"{costs[name]:+.4f}" if name in costs else "")
            return found

        return heads, cells


def _error(share: float) -> str:
    return f"{100 * share:.2f}%"


def cost_of(
    voice: VoiceFile, exact: VoiceFile, recording: PathLike, mel: npt.ArrayLike | None
) -> Cost:
    """Scores a wav file with both, and with each layer of `voice` alone among those of `exact`.

    mel: its features (n_mels, n_frames), None to compute them. Raises ValueError as `Voice.score`.
    """

    def score(file: VoiceFile) -> float:
        return score_recording(linnet.load(to_bytes(file)), recording, mel)

    before, layers = score(exact), {}
    for number, (stored, whole) in enumerate(zip(voice.tensors, exact.tensors, strict=True)):
        if not np.array_equal(stored.dense, whole.dense) or stored.dtype == "int8":
            tensors = list(exact.tensors)
            tensors[number] = stored
            layers[stored.name] = score(replace(exact, tensors=tuple(tensors))) - before
    chance = int(voice.metadata["signal"]["bits"]) * math.log(2)
    return Cost(before, score(voice), layers, chance)


def report(
    voice: VoiceFile,
    layers: list[Layer],
    path: str,
    file_bytes: int,
    cost: Cost | None,
    effects: Mapping[str, Effect],
) -> Report:
    """The report of a voice that was written; effects: of int8 layers on a recording."""
    header, lookahead = voice.header, voice.lookahead
    return Report(
        voice.metadata["name"],
        voice.metadata["architecture"],
        path,
        file_bytes,
        tuple(layers),
        lookahead,
        lookahead * header.hop_length / header.sample_rate,
        cost,
        effects,
    )
