"""Damaged checkpoints of every kind end in a typed error, or in a voice that speaks.

`make fuzz` does many more.
"""

from __future__ import annotations

import pytest

from mutated_checkpoints import SEEDS, run

IMPORTS = 40
NEEDS = {"pt": "torch", "onnx": "onnx"}


@pytest.mark.parametrize("kind", SEEDS)
def test_damage_is_a_typed_error_or_a_voice_that_speaks(kind: str) -> None:
    package = NEEDS.get(kind.partition("-")[0])
    if package and kind != "pt-made":
        pytest.importorskip(package)
    n = IMPORTS // 10 if kind == "lyra" else IMPORTS
    outcomes = run(kind, n)
    assert sum(outcomes.values()) == n and outcomes["refused"] > n / 3
