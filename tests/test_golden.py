"""The bits of the sound are those of every earlier version.

A new hash here means that every voice sounds different from before, if only by a bit: a decision
that export/FORMAT.md must explain, never an accident. Other weights in tests/voices.py are the only
other cause.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pytest

import linnet
from linnet import _hooks
from varied_voices import varied_voices

GOLDEN = {
    "dual-4x4-fp16": "c8157f05ef48dccd6c3bb343cc79f8d43d57b349c7965078c15e708ad82bd585",
    "scalar-1x4-fp32": "37b23930c062142832ba8935ac6c08702f1d8abd44b2ed55712032eec4a5826a",
    "embedding-1x16-fp16": "2d562ceab87587206b0fe2b53cb605deb69b1f7ab0007b3b546af811b7f86241",
    "logistics-4x4-fp32": "37f51cb8701ec92d4bac3c47922f994ae16c22260689022ab4ea707baf9cb5c5",
    "bands-4x4-fp16": "d30a78bfb69c66831742382c913cdb7064c246c2240e3fd9ad31e765f7e5181f",
    "dual-4x4-int8": "7ab8b020a5fb7d67590e452235b7d9b90b030d3c41832d63156f09848ab3b296",
    "source-filter-4x4-fp16": "27b553f4c626f3dc22181332ada2b6778bcf260271551fd345d553467ef8a4da",
    "subscale-4x4-fp16": "72feab77c30191cbaa9e20267295bb088f8f5d74bce8147edb53cff54c3b5f90",
    "matched-subscale": "e9bb6f2b3a664848df1ee98609f52effaf0284d386437759b897dd3f9807a808",
    "matched-once": "78a5ce7566c017466adceb042c94f4cd7c9d1db6f753a942561da3af1146858a",
}

LAST_BITS = {
    "dense": "6fa2fc615c16b15c",
    "4x4": "e0d3cd83409ee232",
    "16x1": "16f83147c71b5e2f",
    "1x16": "951883dae80dec14",
    "1x4": "b9dfec79d9b08ad3",
    "gates": "98d981283e9a4b29",
    "exponentials": "37823beab2295762",
}


@pytest.mark.parametrize("kernels", linnet.kernels())
@pytest.mark.parametrize("name", GOLDEN)
def test_samples_are_those_of_every_version(name: str, kernels: str) -> None:
    voice = linnet.load(varied_voices()[name], kernels=kernels)
    assert voice.kernels == kernels
    mel = np.random.default_rng(0).normal(0, 1, (voice.n_mels, 12)).astype(np.float32)
    samples = voice.synthesize(mel).astype("<i2").tobytes()
    assert hashlib.sha256(samples).hexdigest() == GOLDEN[name]


def fixed(*shape: int) -> npt.NDArray[np.float32]:
    """Numbers in [-1, 1) that no library's functions have touched."""
    number = np.arange(np.prod(shape), dtype=np.uint32) * np.uint32(2654435769)
    return ((number >> 8).astype(np.float32) * np.float32(2.0**-23) - 1).reshape(shape)


@pytest.mark.parametrize("kernels", linnet.kernels())
def test_the_last_bits_are_those_of_every_version(kernels: str) -> None:
    """Few last bits of a sum ever change a drawn class: here they count."""
    weights = fixed(96, 160)
    results = {
        block: linnet.SparseMatrix(weights, block, kernels=kernels) @ fixed(160)
        for block in ("dense", "4x4", "16x1", "1x16", "1x4")
    }
    results["gates"] = _hooks.gates(kernels, 4 * fixed(3, 50), 2 * fixed(3, 50), fixed(50))
    results["exponentials"] = np.concatenate(_hooks.exponentials(kernels, 9 * fixed(250), 0.8)[1:])
    for name, result in results.items():
        assert hashlib.sha256(result.astype("<f4").tobytes()).hexdigest()[:16] == LAST_BITS[name]
