"""The bits of the sound are those of every earlier version.

A new hash here means that every voice sounds different from before, if only by a bit: a decision
that export/FORMAT.md must explain, never an accident. Other weights in tests/voices.py are the only
other cause.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import linnet
from varied_voices import varied_voices

GOLDEN = {
    "dual-4x4-fp16": "c8157f05ef48dccd6c3bb343cc79f8d43d57b349c7965078c15e708ad82bd585",
    "scalar-1x4-fp32": "37b23930c062142832ba8935ac6c08702f1d8abd44b2ed55712032eec4a5826a",
    "embedding-1x16-fp16": "2d562ceab87587206b0fe2b53cb605deb69b1f7ab0007b3b546af811b7f86241",
}


@pytest.mark.parametrize("kernels", linnet.kernels())
@pytest.mark.parametrize("name", GOLDEN)
def test_samples_are_those_of_every_version(name: str, kernels: str) -> None:
    voice = linnet.load(varied_voices()[name], kernels=kernels)
    assert voice.kernels == kernels
    mel = np.random.default_rng(0).normal(0, 1, (voice.n_mels, 12)).astype(np.float32)
    samples = voice.synthesize(mel).astype("<i2").tobytes()
    assert hashlib.sha256(samples).hexdigest() == GOLDEN[name]
