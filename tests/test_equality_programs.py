"""Every kernel set runs any valid program as the reference does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from random_programs import random_program

pytest.importorskip("numba", reason="the reference needs Numba")

from linnet import _core, kernels  # noqa: E402
from linnet.format.operations import COMPANDINGS, Draw, Logistics, Output  # noqa: E402
from linnet.reference.engine import ReferenceVoice  # noqa: E402

N_FRAMES = 5


@settings(deadline=None, max_examples=60)  # Numba compiles within the first example
@given(
    seed=st.integers(0, 2**32 - 1),
    key=st.integers(0, 2**64 - 1),
    stream=st.integers(0, 2**32 - 1),
    temperature=st.sampled_from([1.0, 0.5, 0.0]),
)
def test_programs(seed: int, key: int, stream: int, temperature: float) -> None:
    data = random_program(seed)
    voice = ReferenceVoice(data)
    n = N_FRAMES * voice.header.hop_length
    rng = np.random.default_rng(seed)
    frames = rng.normal(0, 1, (N_FRAMES, voice.header.n_features)).astype(np.float32)
    samples = voice.synthesize(frames.T, key, stream, temperature)
    assert len(samples) == n

    drawn = (Draw, Logistics)
    classes = [op.classes for op in voice.file.sample_program if isinstance(op, drawn)]
    output = voice.file.sample_program[-1]
    if isinstance(output, Output) and COMPANDINGS[output.companding] == "excitation":
        classes = [65536]  # a recording is scored
    nats = None
    if classes:
        tokens = rng.integers(0, classes[0], n).astype(np.uint16)
        if len(classes) == 2:
            tokens = tokens * np.uint16(256) + rng.integers(0, classes[1], n).astype(np.uint16)
        nats = voice.score(frames.T, tokens).sum()

    model = _core.Model.from_buffer(data)
    for name in kernels():
        running = _core.Stream(model, key, stream, temperature, name)
        assert running.kernels == name
        made = np.zeros(n, np.int16)
        assert running.synthesize(frames, made) == n
        np.testing.assert_array_equal(made, samples)
        if nats is None:
            continue
        # As in test_equality_voices; relatively 1e-12 for n float64 sums of greater logits.
        scored = _core.Stream(model, kernels=name).score(frames, tokens)
        assert scored == pytest.approx(nats, rel=1e-12, abs=1e-9, nan_ok=True)
