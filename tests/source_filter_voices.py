"""Small random voices of a source and a filter."""

from __future__ import annotations

from typing import Any

import numpy as np

from linnet.features import complete
from linnet_export.exporting import build_voice
from linnet_export.readers.checkpoint import Checkpoint
from linnet_export.writing.storage import Storage
from linnet_export.writing.writer import to_bytes

BINS = 20


def source_filter_checkpoint(
    channels: int = 8, seed: int = 0
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and config of a network for 10 features per frame and 20 samples per frame.

    Features of order 1 stand for sounds well within the range of samples.
    """
    random = np.random.default_rng(seed)
    tensors: dict[str, np.ndarray] = {"phases": random.normal(0, 0.2, 9).astype(np.float32)}
    for name, *shape in (
        ("convolutions.0", channels, 10, 3),
        ("convolutions.1", channels, channels, 3),
        ("hidden", channels, channels),
        ("pitch", BINS, channels),
        ("voicing", 1, channels),
    ):
        size = 2 / np.sqrt(np.prod(shape[1:]))
        tensors[f"{name}.weight"] = random.normal(0, size, shape).astype(np.float32)
        tensors[f"{name}.bias"] = random.normal(0, 0.1, shape[0]).astype(np.float32)
    config = {
        "architecture": "source-filter",
        "features": complete(
            {"n_mels": 10, "hop_length": 20, "n_fft": 64, "win_length": 64, "scale": 1.0}
            | {"offset": 3.0, "floor": 1e-3}
        ),
        "signal": {"bits": 16, "companding": "linear", "pre_emphasis": 0.85},
        "network": {"ahead": 1, "order": 6, "grid": 64, "spacing": 250.0},
    }
    return tensors, config


def source_filter_voice(dtype: str = "float16", seed: int = 0) -> bytes:
    """The bytes of such a voice."""
    tensors, config = source_filter_checkpoint(seed=seed)
    return to_bytes(
        build_voice(Checkpoint(tensors), config, "source-filter", Storage(dtype, "4x4", 0.5))
    )
