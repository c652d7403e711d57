"""Reading checkpoints: one function for every kind of file, chosen by its content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linnet_export.writing.storage import Weights


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and what the file says about the network (empty where it says nothing).

    bfloat16: names of the tensors that the file holds in that type, which numpy has not.
    """

    tensors: dict[str, Weights]
    config: dict[str, Any]
    bfloat16: frozenset[str] = frozenset()


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a PyTorch, safetensors, npz or ONNX checkpoint.

    Raises ValueError where the file is none of these or holds what it should not, OSError from the
    system.
    """
    from linnet_export.readers import npz, pytorch, pytorch_legacy, safetensors_file
    from linnet_export.readers import onnx_file as onnx_checkpoint

    path = Path(path)
    with path.open("rb") as file:
        start = file.read(16)
    if start[:4] == b"PK\x03\x04":
        return npz.read(path) if npz.is_npz(path) else pytorch.read(path)
    if start[8:9] == b"{" and path.suffix == ".safetensors":
        return safetensors_file.read(path)
    if path.suffix == ".onnx":
        return onnx_checkpoint.read(path)
    if start.startswith(pytorch_legacy.MAGIC):
        return pytorch.read(path)
    if start[:1] == b"\x80":
        raise ValueError(
            f"{path}: a bare pickle; arbitrary pickles are refused. Save it with torch.save"
        )
    raise ValueError(
        f"{path}: not a checkpoint that linnet reads: PyTorch (.pt, .pth), .safetensors, .npz, "
        ".onnx, or model.bin of geneing/WaveRNN-Pytorch"
    )


def parse_config(text: str, where: str) -> dict[str, Any]:
    """A config stored as JSON. Raises ValueError saying where it stood."""
    try:
        config = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{where}: the config is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise ValueError(f"{where}: the config is not a JSON object")
    return config


# Where checkpoints that hold more than a state dict have it.
_STATE_KEYS = ("state_dict", "model_state", "model")


def split_state_dict(
    loaded: Mapping[Any, Any], where: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(tensors, config) of {"state_dict": ..., "config": ...} or of a bare state dict."""
    config: Any = {}
    state: Any = loaded
    for key in _STATE_KEYS:
        if isinstance(loaded.get(key), Mapping):
            state, config = loaded[key], loaded.get("config", {})
            break
    if not isinstance(config, Mapping):
        raise ValueError(f"{where}: its config is no dict")
    if not all(isinstance(name, str) for name in state):
        raise ValueError(f"{where}: a state dict has names for keys")
    return dict(state), dict(config)
