"""The pruning study: as many weights in every network, runs that are finished stay finished."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch (extra: train)")
pytest.importorskip("tqdm", reason="training needs tqdm (extra: train)")

from linnet.features import complete, log_mel  # noqa: E402
from linnet_training.measures import study as studies  # noqa: E402

TOML = """
name = "tiny"
[data]
wavs = ""
prepared = {prepared!r}
[model]
channels = 13
head_size = 16
[pruning]
start = 0.2
end = 0.8
interval = 1
[training]
steps = 6
batch = 2
frames = 1
evaluate_seconds = 0
final_frames = 4
[study]
dense = 16
seeds = [0, 1]
runs = ["dense 16", "4x4 32", "1x1 64"]
"""


@pytest.fixture
def study(tmp_path: Path) -> studies.Study:
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    generator, definition = np.random.default_rng(0), complete({})
    for name in ("a", "b"):
        pcm = (generator.standard_normal(2000) * 3000).astype(np.int16)
        np.savez(prepared / f"{name}.npz", pcm=pcm, features=log_mel(pcm, 16000, definition))
    index = {"features": definition, "train": ["a"], "held_out": ["b"], "seconds": 0.2}
    (prepared / "prepared.json").write_text(json.dumps(index))
    (tmp_path / "study.toml").write_text(TOML.format(prepared=str(prepared)))
    return studies.load(tmp_path / "study.toml")


def test_every_network_stores_as_many_weights_and_finished_runs_stay(
    study: studies.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    halves = [studies.conduct(study, tmp_path / "runs", [seed]) for seed in (1, 0)]
    assert {r["seed"] for r in halves[0]} == {1} and len(halves[0]) == 3
    results = halves[1]
    assert [r["run"] for r in results][:3] == ["dense-16-seed0", "dense-16-seed1", "4x4-32-seed0"]
    assert len({r["stored_weights"] for r in results}) == 1
    assert [r["recurrent_sparsity"] for r in results[::2]] == [0, 0.75, 0.9375]
    assert all(r["samples"] == 6 * 2 * 200 for r in results)
    table = (tmp_path / "runs" / "results.csv").read_text().splitlines()
    assert len(table) == 7 and table[0].startswith("run,block,hidden_size,seed")
    assert "| unstructured | 64 | 93.8% |" in (tmp_path / "runs" / "table.md").read_text()
    assert (tmp_path / "runs" / "pruning.png").stat().st_size > 0
    monkeypatch.setattr(studies, "WaveRNNTrainer", None)
    assert studies.conduct(study, tmp_path / "runs") == results


def test_a_study_says_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(TOML.format(prepared="").replace("seeds = [0, 1]", ""))
    with pytest.raises(ValueError, match="seeds"):
        studies.load(path)
    path.write_text(TOML.format(prepared="").replace("4x4 32", "4x4 8"))
    with pytest.raises(ValueError, match="4x4 8.*more units than 16"):
        list(studies.load(path))
