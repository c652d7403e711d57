"""Family "workload-wavernn": the 1024-unit matrices of google/lyra's sparse_matmul test data.

Real pruned matrices of the paper's mobile shape, but no voice: they come without a conditioning
network, and the order of their gates and inputs is documented nowhere. The program is the dual
softmax's sample program without conditioning, for kernels, file and speed. Assumed: gates stand in
the order update, reset, candidate, each over all units; QRhat is (3H, 2) for (c, f); What is (3,
H/2) for the current coarse byte.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from linnet.format.voice_file import VoiceFile
from linnet_export.building.builder import Builder
from linnet_export.building.tensors import Tensors, Weights
from linnet_export.config import Signal, read_temperature
from linnet_export.families.family import Family, Tables
from linnet_export.families.wavernn import CLASSES, DualSoftmax, to_halves
from linnet_export.readers.checkpoint import Checkpoint
from linnet_export.writing.storage import Storage

SAMPLE_RATE, HOP_LENGTH = 24000, 300  # not in the file; the paper's sample rate, and 12.5 ms
LAYERS = ("wavernn_gru", "coarseproj", "coarselogit", "fineproj", "finelogit")
NAMES = rf"({'|'.join(LAYERS)})\.(weight|bias|mask)|QRhat|What"
ASSUMED_ORDER = (0, 1, 2)


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether these are the workload's tensors."""
    return {"wavernn_gru.weight", "QRhat", "What"} <= set(checkpoint.tensors)


def build(checkpoint: Checkpoint, config: Tables, name: str, storage: Storage) -> VoiceFile:
    """The workload. Raises ValueError naming a tensor that is missing or has another shape."""
    tensors, temperature = checkpoint.tensors, read_temperature(config)
    source = Tensors({key: value for key, value in tensors.items() if not key.endswith(".mask")})
    source.require(
        "QRhat", "What", *(f"{layer}.{kind}" for layer in LAYERS for kind in ("weight", "bias"))
    )
    source.finish()
    hidden = source.get("wavernn_gru.weight", None, None).shape[1]
    recurrent = source.get("wavernn_gru.weight", 3 * hidden, hidden)
    byte_inputs = source.get("QRhat", 6 * hidden).reshape(3 * hidden, 2)
    coarse_input = np.zeros((3, 2, hidden // 2), np.float32)
    coarse_input[:, 1] = source.get("What", 3 * hidden // 2).reshape(3, -1)
    inputs = to_halves(
        np.concatenate([byte_inputs, coarse_input.reshape(-1, 1)], axis=1), ASSUMED_ORDER
    )

    def layer(role: str, rows: int | None, cols: int) -> tuple[str, Weights, Weights]:
        weight = source.get(f"{role}.weight", rows, cols)
        return role, weight, source.get(f"{role}.bias", weight.shape[0])

    builder = Builder(SAMPLE_RATE, HOP_LENGTH, 1, storage)
    program = DualSoftmax(builder, hidden, temperature)
    bias = source.get("wavernn_gru.bias", 3 * hidden)
    sums = program.begin(to_halves(recurrent, ASSUMED_ORDER), to_halves(bias, ASSUMED_ORDER))
    half = 3 * hidden // 2
    for i, byte in enumerate(("coarse", "fine")):
        first = layer(f"{byte}proj", None, hidden // 2)
        second = layer(f"{byte}logit", CLASSES, first[1].shape[0])
        program.byte(byte, sums, inputs[i * half : (i + 1) * half, : 2 + i], None, [first, second])
    signal = Signal(16, "linear", 0.0, 0.0, "pcm")
    builder.output(signal, program.coarse, program.fine)
    metadata: dict[str, Any] = {
        "name": name,
        "architecture": "workload-wavernn",
        "features": {
            "kind": "external",
            "n_mels": 1,
            "description": "ignored: a workload, no voice",
        },
        "signal": signal.metadata(),
        "layers": storage.metadata(),
        "training": {
            "source": "google/lyra v0.0.2, sparse_matmul test data (Apache-2.0)",
            "assumed": "gate order update, reset, candidate; inputs QRhat (c, f) and What (new c)",
        },
    }
    return builder.voice(metadata)


FAMILY = Family("workload-wavernn", build, NAMES, recognises=recognises)
