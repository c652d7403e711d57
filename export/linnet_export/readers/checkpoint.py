"""A checkpoint as it was read, whatever kind of file it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from linnet_export.building.tensors import Weights


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and what the file says about the network (empty where it says nothing).

    bfloat16: names of the tensors that the file holds in that type, which numpy has not.
    layers: what a kind of file holds that belongs to one family; None for tensors by name alone.
    """

    tensors: Mapping[str, Weights]
    config: dict[str, Any] = field(default_factory=dict)
    bfloat16: frozenset[str] = frozenset()
    layers: Any = None


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
