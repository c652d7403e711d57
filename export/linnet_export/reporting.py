"""The report about a voice that the exporter wrote."""

from __future__ import annotations

from dataclasses import dataclass

from linnet.format.voice_file import VoiceFile
from linnet.table import table
from linnet_export.writing.storage import Layer

FAR = 1.25  # times chance: a network may err, but not much more than one that knows nothing


@dataclass(frozen=True)
class Cost:
    """What pruning and rounding cost on a recording, in nats per sample."""

    before: float  # with the checkpoint's own weights, in float32
    after: float
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
            "bytes",
            "bytes/weight",
            "rounding",
        )
        rows = [
            (
                layer.name,
                f"{layer.rows} x {layer.cols}",
                f"{layer.nonzeros:,}",
                f"{layer.density:.1%}",
                layer.block,
                f"{layer.bytes:,}",
                f"{layer.bytes_per_weight:.2f}",
                f"{layer.rounding_error:.1e}",
            )
            for layer in self.layers
        ]
        lines = [table([head, *rows], left=(0, 1, 4))]
        lines.append(
            f"{self.path}: {self.architecture}, {self.file_bytes:,} bytes, "
            f"{self.bytes_per_weight:.2f} per stored weight, "
            f"look-ahead {self.lookahead} frames ({1000 * self.latency:.0f} ms)"
        )
        if self.cost is not None:
            lines.append(str(self.cost))
        return "\n".join(lines)


def report(
    voice: VoiceFile, layers: list[Layer], path: str, file_bytes: int, cost: Cost | None
) -> Report:
    """The report of a voice that was written."""
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
    )
