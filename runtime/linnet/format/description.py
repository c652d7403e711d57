"""Describes a voice's file in numbers, as `Voice.info` returns them."""

from __future__ import annotations

from typing import Any

from linnet.format.blocks import VECTOR
from linnet.format.operations import Gates, Linear
from linnet.format.tensor import Tensor
from linnet.format.voice_file import VoiceFile


def describe(file: VoiceFile) -> dict[str, Any]:
    """The dict that `Voice.info` documents, without the kernel set."""
    header, metadata = file.header, file.metadata
    recurrent = recurrent_matrix(file)
    subscale = file.subscale
    stored = sum(t.packed.stored_weights for t in file.tensors if t.layout != VECTOR)
    return {
        "name": metadata.get("name", ""),
        "architecture": metadata.get("architecture", ""),
        "sample_rate": header.sample_rate,
        "hop_length": header.hop_length,
        "samples_per_step": header.samples_per_step,
        "n_mels": header.n_features,
        "lookahead_frames": file.lookahead,
        "latency_ms": 1000 * file.lookahead * header.hop_length / header.sample_rate,
        "sub_tensors": subscale.sub_tensors if subscale else 1,
        "lead_samples": subscale.lead if subscale else 0,
        "matching": file.match.iterations if file.match else 0,
        "matching_rounds": max(file.match.rounds, 1) if file.match else 0,
        "hidden_size": recurrent.packed.cols if recurrent else 0,
        "sparsity": 1 - density(recurrent) if recurrent else 0.0,
        "block": recurrent.layout if recurrent else "",
        "dtype": recurrent.dtype if recurrent else "",
        "file_bytes": file.file_size,
        "stored_weights": stored,
        "bytes_per_weight": file.file_size / stored if stored else 0.0,
        "features": metadata.get("features", {}),
        "signal": metadata.get("signal", {}),
        "temperature": metadata.get("temperature", 1.0),
        "layers": [_layer(tensor, metadata) for tensor in file.tensors],
        "training": metadata.get("training", {}),
    }


def density(tensor: Tensor) -> float:
    """Stored weights over all weights."""
    return tensor.packed.stored_weights / (tensor.packed.rows * tensor.packed.cols)


def recurrent_matrix(file: VoiceFile) -> Tensor | None:
    """The largest matrix whose product the gates of the sample program take as recurrent sums."""
    found = []
    for gates in (op for op in file.sample_program if isinstance(op, Gates)):
        for linear in (op for op in file.sample_program if isinstance(op, Linear)):
            tensor = file.tensors[linear.weights]
            if 0 <= gates.recurrent.offset - linear.out.offset < tensor.packed.rows:
                found.append(tensor)
    return max(found, key=lambda tensor: tensor.packed.rows * tensor.packed.cols, default=None)


def _layer(tensor: Tensor, metadata: dict[str, Any]) -> dict[str, Any]:
    """What the file shows of a tensor, and what the exporter noted of it."""
    packed = tensor.packed
    noted = [
        layer
        for layer in metadata.get("layers", [])
        if isinstance(layer, dict) and layer.get("name") == tensor.name
    ]
    return {
        **(noted[0] if noted else {}),
        "name": tensor.name,
        "rows": packed.rows,
        "cols": packed.cols,
        "block": packed.layout,
        "dtype": packed.dtype,
        "stored_weights": packed.stored_weights,
        "density": density(tensor),
        "bytes": packed.nbytes,
    }
