"""A checkpoint file in, a `.linnet` file and a report out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linnet.format import VoiceFile
from linnet_export import geneing, lyra, lyra_files, workload
from linnet_export.architectures import build_voice
from linnet_export.checkpoint import Checkpoint, read_checkpoint
from linnet_export.config import load_table
from linnet_export.geneing_file import looks_like_model, read_model
from linnet_export.storage import Layer, Storage
from linnet_export.writer import to_bytes, write_atomic

PathLike = str | os.PathLike[str]


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
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if i in (0, 1, 4) else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in [head, *rows]
        ]
        lines.append(
            f"{self.path}: {self.architecture}, {self.file_bytes:,} bytes, "
            f"{self.bytes_per_weight:.2f} per stored weight, "
            f"look-ahead {self.lookahead} frames ({1000 * self.latency:.0f} ms)"
        )
        return "\n".join(lines)


def export(
    checkpoint_path: PathLike,
    out_path: PathLike,
    *,
    block: str | None = None,
    sparsity: float | None = None,
    dtype: str = "float16",
    names: PathLike | Mapping[str, str] | None = None,
    config: PathLike | Mapping[str, Any] | None = None,
    name: str | None = None,
) -> Report:
    """Turn a checkpoint into a `.linnet` file, which appears whole or not at all.

    checkpoint_path: .pt or .pth of torch.save, .safetensors, .npz, .onnx, model.bin of
        geneing/WaveRNN-Pytorch, or the folder of Lyra v1's generator.
    block: block shape of the prunable layers ("4x4", "16x1", "1x16", "1x4", "dense"); None reads it
        from the zeros.
    sparsity: prune these layers by block magnitude to this share of zero blocks; needs a block.
    dtype: "float16", "bfloat16" or "float32".
    names: a TOML or JSON file (or a mapping) from our tensor names to the checkpoint's; its list
        "ignore" names tensors to leave out.
    config: a TOML or JSON file (or a mapping) whose keys supplement or override the checkpoint's.
    name: the voice's name; the config's or the file's otherwise.

    Raises ValueError for what does not fit, OSError from the system.
    """
    path = Path(checkpoint_path)
    storage = Storage(dtype, block, sparsity)
    overrides = _table(config)
    if path.is_dir():
        voice = _lyra(path, storage, overrides, name or path.name)
    elif looks_like_model(_start(path)):
        voice = _geneing(path, storage, overrides, name or path.stem)
    else:
        checkpoint = rename(read_checkpoint(path), _table(names))
        merged = merge(checkpoint.config, overrides)
        voice_name = str(name or merged.get("name") or path.stem)
        if workload.recognises(checkpoint.tensors):
            voice = workload.build(checkpoint.tensors, storage, voice_name)
        else:
            voice = build_voice(checkpoint.tensors, merged, storage, voice_name)
    data = to_bytes(voice)
    write_atomic(out_path, data)
    return _report(voice, storage, os.fspath(out_path), len(data))


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(20)


def _lyra(path: Path, storage: Storage, overrides: Mapping[str, Any], name: str) -> VoiceFile:
    metadata = lyra.metadata(name)
    metadata.update({key: value for key, value in overrides.items() if key == "training"})
    return lyra.build(lyra_files.read_folder(path), storage, metadata)


def _geneing(path: Path, storage: Storage, overrides: Mapping[str, Any], name: str) -> VoiceFile:
    model = read_model(path.read_bytes())
    metadata = geneing.metadata(model, name)
    metadata.update(
        {key: value for key, value in overrides.items() if key in ("features", "training")}
    )
    return geneing.build(model, storage, metadata)


def rename(checkpoint: Checkpoint, names: Mapping[str, Any]) -> Checkpoint:
    """Put tensors under our names; those that the map does not mention keep theirs.

    names: our role -> their tensor; "ignore" -> their tensors that are not needed.
    Raises ValueError listing names that the checkpoint lacks.
    """
    roles = {role: theirs for role, theirs in names.items() if role != "ignore"}
    ignored = names.get("ignore", [])
    if not isinstance(ignored, list):
        raise ValueError('the names map\'s "ignore" is no list')
    taken = {str(theirs) for theirs in [*roles.values(), *ignored]}
    absent = sorted(taken - set(checkpoint.tensors))
    if absent:
        raise ValueError(
            f"the names map asks for tensors that the checkpoint lacks: {', '.join(absent)}; "
            f"it has {', '.join(sorted(checkpoint.tensors))}"
        )
    tensors = {name: value for name, value in checkpoint.tensors.items() if name not in taken}
    tensors.update({role: checkpoint.tensors[theirs] for role, theirs in roles.items()})
    return Checkpoint(tensors, checkpoint.config)


def merge(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The config with the overrides' keys put over it, table by table."""
    merged = dict(config)
    for key, value in overrides.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = merge(old, value)
        merged[key] = value
    return merged


def _table(source: PathLike | Mapping[str, Any] | None) -> Mapping[str, Any]:
    if source is None:
        return {}
    return source if isinstance(source, Mapping) else load_table(os.fspath(source))


def _report(voice: VoiceFile, storage: Storage, path: str, file_bytes: int) -> Report:
    header = voice.header
    return Report(
        voice.metadata["name"],
        voice.metadata["architecture"],
        path,
        file_bytes,
        tuple(storage.layers),
        header.lookahead,
        header.lookahead * header.hop_length / header.sample_rate,
    )
