"""Small random voices, built by the exporter: input for tests of every other part."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from linnet.pruning import prune
from linnet_export.exporting import build_voice
from linnet_export.readers.checkpoint import Checkpoint
from linnet_export.writing.storage import Storage
from linnet_export.writing.writer import to_bytes

Tensors = dict[str, npt.NDArray[np.float32]]


SUBSCALE = "wavernn-subscale"


def is_dual(architecture: str) -> bool:
    """Whether samples are drawn as two bytes."""
    return architecture in ("wavernn-dual-softmax", SUBSCALE)


def tiny_config(architecture: str = "wavernn-dual-softmax", **changes: Any) -> dict[str, Any]:
    """The config of a small voice; changes: "signal" and "features" entries are merged, others
    replaced."""
    signal: dict[str, Any] = {"bits": 16, "companding": "mu-law", "mu": 255.0, "pre_emphasis": 0.85}
    if not is_dual(architecture):
        signal = {"bits": 8, "companding": "linear", "mu": 0.0, "pre_emphasis": 0.0}
    config: dict[str, Any] = {
        "architecture": architecture,
        "features": {
            "kind": "log-mel",
            "sample_rate": 16000,
            "n_fft": 64,
            "win_length": 64,
            "hop_length": 20,
            "n_mels": 10,
            "fmin": 0.0,
            "fmax": 8000.0,
            "mel_scale": "htk",
            "mel_norm": "slaney",
            "power": 1.0,
            "log": "ln",
            "floor": 1e-5,
            "offset": 5.0,
            "scale": 0.2,
            "clip_min": -4.0,
            "clip_max": 4.0,
            "center": True,
            "pad_mode": "constant",
        },
        "signal": signal,
        "conditioning_padding": "valid",
        "training": {"description": "random weights"},
    }
    if architecture == SUBSCALE:
        config["network"] = {"sub_tensors": 4, "future": 2, "past": 1}
    for key, value in changes.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    return config


def tiny_tensors(
    config: dict[str, Any],
    hidden: int = 32,
    block: str | None = "4x4",
    seed: int = 0,
    kernels: tuple[int, ...] = (3, 1, 3),
    channels: int = 6,
    embedding: int = 0,
    window: int = 0,
    sparsity: float = 0.75,
    head: int = 24,
    look: int = 12,
) -> Tensors:
    """Random weights under the canonical names; recurrent and head matrices pruned in `block`s
    (None: dense).

    embedding: its size, 0 for a scalar; window: frames of the upsampling, 0 for repetition; look:
    units that look at other sub-tensors.
    """
    random = np.random.default_rng(seed)
    tensors: Tensors = {}

    def layer(name: str, *shape: int, pruned: bool = False) -> None:
        fan_in = int(np.prod(shape[1:]))
        weight = random.standard_normal(shape) * (
            2.0 / np.sqrt(fan_in * ((1 - sparsity) if pruned and block else 1))
        )
        if pruned and block:
            weight = prune(weight, block, sparsity)
        tensors[name] = weight.astype(np.float32)

    def bias(name: str, size: int) -> None:
        tensors[name] = (random.standard_normal(size) * 0.1).astype(np.float32)

    n_mels, hop, bits = (
        config["features"]["n_mels"],
        config["features"]["hop_length"],
        config["signal"]["bits"],
    )
    dual = is_dual(config["architecture"])
    width = n_mels
    for i, k in enumerate(kernels):
        layer(f"conditioning.{i}.weight", channels, width, k)
        bias(f"conditioning.{i}.bias", channels)
        width = channels
    if window:
        layer("upsample.weight", hop, window)
    if embedding and not dual:
        layer("embedding.weight", 2**bits, embedding)
    inputs = 3 if dual else max(embedding, 1)
    layer("gru.weight_ih_l0", 3 * hidden, inputs + width)
    layer("gru.weight_hh_l0", 3 * hidden, hidden, pruned=True)
    if dual:
        tensors["gru.weight_ih_l0"].reshape(3, hidden, -1)[:, : hidden // 2, 2] = 0
    bias("gru.bias_ih_l0", 3 * hidden)
    bias("gru.bias_hh_l0", 3 * hidden)
    if config["architecture"] == SUBSCALE:
        b, future, past = (config["network"][key] for key in ("sub_tensors", "future", "past"))
        layer("look.weight", look, (b - 1) * (past + future + 1) + b, pruned=True)
        bias("look.bias", look)
        layer("look_gates.weight", 3 * hidden, look, pruned=True)
    names = ("O1", "O2", "O3", "O4") if dual else ("fc1", "fc2")
    for i, name in enumerate(names):
        rows = (256 if dual else 2**bits) if i % 2 else head
        layer(
            f"{name}.weight", rows, head if i % 2 else hidden // 2 if dual else hidden, pruned=True
        )
        bias(f"{name}.bias", rows)
    return tensors


def tiny_voice(
    hidden: int = 32,
    block: str | None = "4x4",
    dtype: str = "float16",
    seed: int = 0,
    architecture: str = "wavernn-dual-softmax",
    config: dict[str, Any] | None = None,
    **shape: Any,
) -> bytes:
    """The bytes of a small random voice; `config` and `shape` as in `tiny_config` and
    `tiny_tensors`."""
    config = tiny_config(architecture, **(config or {}))
    tensors = tiny_tensors(config, hidden, block, seed, **shape)
    return to_bytes(build_voice(Checkpoint(tensors), config, "tiny", Storage(dtype=dtype)))
