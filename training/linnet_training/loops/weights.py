"""Weights to begin a training with: those of another run, or of an exported voice."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from linnet.format.reading import is_voice, read
from linnet_export.families.known import checkpoint_of


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict in a run's model.pt, or that an lpc-wavernn's `.linnet` file was exported from
    (rounded as it stores it). Raises ValueError for another file or voice, OSError,
    FormatError."""
    if is_voice(path):
        return {name: torch.from_numpy(w) for name, w in checkpoint_of(read(path)).items()}
    saved = torch.load(path, weights_only=True, map_location="cpu")
    if not isinstance(saved, dict) or "state_dict" not in saved:
        raise ValueError(f"{path} is neither a run's model.pt nor a .linnet file")
    state: dict[str, Tensor] = saved["state_dict"]
    return state
