"""The report on llvm-mca finds the loops of the kernels that it names."""

from __future__ import annotations

import shutil

import pytest

import mca


@pytest.mark.skipif(shutil.which(mca.COMPILER) is None, reason="needs the cross compiler")
def test_every_kernel_of_the_report_has_its_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mca, "predict", lambda loop, cpu: float(mca.count("fmla|sdot|smmla", loop)))
    found = mca.predictions()
    for layout in ("dense", "4x4", "8x4", "16x1", "1x16", "1x4"):
        for dtype in ("fp16", "fp16 neon_little", "bf16", "fp32"):
            assert f"{layout} {dtype}" in found
    for layout in ("dense", "4x4", "8x4", "1x16"):
        assert {f"{layout} int8", f"{layout} int8 neon"} <= set(found)
    assert {f"{layout} int8 together" for layout in ("4x4", "8x4", "dense")} <= set(found)
    assert {"8x4 int8 together, neon_i8mm", "dense int8 together, neon_i8mm"} <= set(found)
    assert {"4x4 fp16 together", "8x4 fp16 together", "gates", "exponentials"} <= set(found)
    # A multiply-add of four lanes for each four weights: the loop is the one of the product.
    assert found["4x4 fp16"]["neoverse-n1"] == found["8x4 fp16"]["neoverse-n1"] == 4.0
    # A dot product for each sixteen; smmla does two.
    assert found["4x4 int8"]["neoverse-n1"] == found["8x4 int8"]["neoverse-n1"] == 1.0
    assert found["4x4 int8 together"]["neoverse-n1"] == 1.0
    assert found["8x4 int8 together, neon_i8mm"]["neoverse-n2"] == 0.5
