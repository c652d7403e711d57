"""Weights to begin a training with: those of another run, or of an exported voice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from linnet.format import VoiceFile, is_voice, read
from linnet_training.excitation import INPUTS

ROOT = 1 / 8  # of the roots that the network is told of (excitation.compress)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict in a run's model.pt, or that an lpc-wavernn's `.linnet` file was exported from
    (rounded as it stores it). Raises ValueError for another voice, OSError, FormatError."""
    if is_voice(path):
        return _of_voice(read(path), path)
    state: dict[str, Tensor] = torch.load(path, weights_only=True, map_location="cpu")["state_dict"]
    return state


def _of_voice(voice: VoiceFile, path: Path) -> dict[str, Tensor]:
    """The inverse of linnet_export.lpc."""
    architecture = voice.metadata.get("architecture")
    if architecture != "lpc-wavernn":
        raise ValueError(
            f"{path}: training begins with an lpc-wavernn or a model.pt, no {architecture}"
        )
    found = {tensor.name: np.array(tensor.dense) for tensor in voice.tensors}
    state: dict[str, NDArray[np.float32]] = {}
    for part in ("envelope.layers", "conditioning"):
        channels, i = voice.header.n_features, 0
        while (name := f"{part}.{i}") in found:
            rows, columns = found[name].shape  # frame of the window, then channel
            kernel = found[name].reshape(rows, columns // channels, channels)
            state[f"{name}.weight"] = kernel.transpose(0, 2, 1)
            state[f"{name}.bias"] = found[f"{name}.bias"]
            channels, i = rows, i + 1
    for name in ("envelope.reflection", "envelope.gain", "O1", "O2"):
        # The exporter has divided the logits.
        scale = np.float32(voice.metadata.get("temperature", 1.0) if name == "O2" else 1.0)
        state[f"{name}.weight"] = found[name] * scale
        state[f"{name}.bias"] = found[f"{name}.bias"] * scale
    told = found["gru.input"] / np.array([ROOT, ROOT, 1.0], np.float32)
    inputs = np.concatenate([told[:, [INPUTS - 1, 0, 1]], found["gru.conditioning"]], axis=1)
    state["gru.weight_ih_l0"] = _reset_first(inputs)
    state["gru.bias_ih_l0"] = _reset_first(found["gru.conditioning.bias"])
    state["gru.weight_hh_l0"] = _reset_first(found["gru.recurrent"])
    state["gru.bias_hh_l0"] = _reset_first(found["gru.recurrent.bias"])
    return {
        name: torch.from_numpy(
            np.ascontiguousarray(values.reshape(-1) if name.endswith("bias") else values)
        )
        for name, values in state.items()
    }


def _reset_first(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows (3H, ...) in the file's order of gates, update, reset, candidate -> in torch's."""
    gates = weights.reshape(3, -1, *weights.shape[1:])[[1, 0, 2]]
    return gates.reshape(weights.shape)
