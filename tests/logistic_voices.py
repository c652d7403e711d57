"""Small random voices that draw from mixtures of logistics."""

from __future__ import annotations

import numpy as np

from linnet.format.blocks import ceil_div
from linnet_export.building.builder import Builder
from linnet_export.writing.storage import Storage
from linnet_export.writing.writer import to_bytes

# Coefficients of a half-band filter's two branches, |z| < 1.
FILTERS = np.array([[0.25, 0.75], [0.0625, 0.5]])
LOG_SCALE_MIN = -32.23619


def logistic_voice(
    levels: int, mixtures: int = 3, dtype: str = "float16", seed: int = 0, hidden: int = 16
) -> bytes:
    """The bytes of a voice of 10 features and 20 samples per frame, in 2^levels bands.

    One band: values on a grid of 2^16, exponential scales. Several: values in steps, softplus,
    rows that two steps share, a history and frames of silence that are not zero.
    """
    random = np.random.default_rng(seed)
    n, size = 1 << levels, mixtures << levels
    # Twenty samples: at most four bands, rows of up to four samples.
    steps_per_row = ceil_div(4, n) if levels else 1
    builder = Builder(
        16000,
        20,
        10,
        Storage(dtype, "4x4", 0.5),
        samples_per_step=n,
        steps_per_row=steps_per_row,
    )

    def weights(rows: int, cols: int) -> np.ndarray:
        return random.normal(0, 1.5 / np.sqrt(cols), (rows, cols))

    frame, initial = builder.features, None
    if levels:
        builder.silence(random.normal(size=10))
        builder.lookahead = 1
        initial = ("initial", random.normal(size=(2, 10)))
    window = builder.history(frame, 2, initial)
    condition = builder.linear("conditioning", weights(3 * hidden, 20), window, activation="tanh")
    positive = builder.buffer(3 * hidden)
    builder.add(condition, condition, positive, "relu")
    rows = builder.upsample("upsample", random.random((builder.n_rows, 1)), positive)

    state, drawn = builder.buffer(hidden), builder.buffer(n)
    builder.begin_samples()
    inputs = builder.linear("gru.input", weights(3 * hidden, n), drawn, add=rows)
    sums = builder.linear("gru.recurrent", weights(3 * hidden, hidden), state, prunable=True)
    builder.gates(sums, inputs, state)
    logits, means, scales = (
        builder.linear(name, scale * weights(size, hidden), state, bias=np.full(size, bias))
        for name, scale, bias in (("mix", 2, 0.0), ("means", 0.5, 0.0), ("scales", 1, -3.0))
    )
    if levels:
        builder.logistics(
            logits, means, scales, drawn, scale_activation="softplus", values_per_unit=32768.0
        )
        builder.bands(drawn, FILTERS)
    else:
        builder.logistics(logits, means, scales, drawn, least_scale=LOG_SCALE_MIN)
        builder.bands(drawn, pre_emphasis=0.5)
    metadata = {
        "name": "tiny",
        "architecture": "logistics",
        "features": {"kind": "external", "n_mels": 10, "description": "random"},
        "signal": {
            "bits": 16,
            "companding": "linear",
            "pre_emphasis": 0.0 if levels else 0.5,
            "grid": "pcm" if levels else "full-scale",
        },
    }
    return to_bytes(builder.voice(metadata))
