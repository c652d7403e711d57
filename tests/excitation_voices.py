"""Small random voices that model the excitation of a linear prediction."""

from __future__ import annotations

from typing import Any

import numpy as np

from linnet.features import complete
from linnet_export.exporting import build_voice
from linnet_export.readers.checkpoint import Checkpoint
from linnet_export.writing.storage import Storage
from linnet_export.writing.writer import to_bytes

SIGNAL = {
    "bits": 8,
    "companding": "excitation",
    "mu": 511,
    "range": 32.0,
    "least_gain": 1e-5,
    "pre_emphasis": 0.85,
}


def excitation_checkpoint(
    hidden: int = 16, order: int = 6, seed: int = 0
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and config of a network for 10 features per frame and 20 samples per frame."""
    random = np.random.default_rng(seed)
    tensors: dict[str, np.ndarray] = {}

    def add(name: str, *shape: int, scale: float = 1.0) -> None:
        size = scale / np.sqrt(np.prod(shape[1:]))
        tensors[f"{name}.weight"] = random.normal(0, size, shape).astype(np.float32)
        tensors[f"{name}.bias"] = random.normal(0, 0.1, shape[0]).astype(np.float32)

    for name, channels in (("envelope.layers", 8), ("conditioning", 12)):
        for i, inputs in enumerate((10, channels)):
            add(f"{name}.{i}", channels, inputs, 3)
    add("envelope.reflection", order, 8)
    add("envelope.gain", 1, 8)
    tensors["envelope.gain.bias"] -= 4
    add("O1", 8, hidden)
    add("O2", 256, 8, scale=3)
    for part, cols in (("ih", 3 + 12), ("hh", hidden)):
        add("gru", 3 * hidden, cols)
        tensors[f"gru.weight_{part}_l0"] = tensors.pop("gru.weight")
        tensors[f"gru.bias_{part}_l0"] = tensors.pop("gru.bias")
    config = {
        "architecture": "lpc-wavernn",
        "features": complete({"n_mels": 10, "hop_length": 20, "n_fft": 64, "win_length": 64}),
        "signal": SIGNAL,
    }
    return tensors, config


def excitation_voice(dtype: str = "float16", seed: int = 0, hidden: int = 16) -> bytes:
    """The bytes of such a voice."""
    tensors, config = excitation_checkpoint(hidden, seed=seed)
    return to_bytes(
        build_voice(Checkpoint(tensors), config, "excitation", Storage(dtype, "4x4", 0.5))
    )
