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


SUBSCALE = (
    TOML.split("[study]")[0].replace("[model]", "[model]\nhidden_size = 8\npast = 2")
    + '[study]\nplain = 16\nseeds = [3]\nruns = ["plain", "2 1", "8 4"]'
)


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    generator, definition = np.random.default_rng(0), complete({})
    for name in ("a", "b", "c"):
        pcm = (generator.standard_normal(2000) * 3000).astype(np.int16)
        np.savez(prepared / f"{name}.npz", pcm=pcm, features=log_mel(pcm, 16000, definition))
    index = {"features": definition, "train": ["a"], "held_out": ["b"], "seconds": 0.2}
    index["unseen"] = ["c"]
    (prepared / "prepared.json").write_text(json.dumps(index))
    return prepared


def loaded(text: str, prepared: Path) -> studies.Study:
    path = prepared / "study.toml"
    path.write_text(text.format(prepared=str(prepared)))
    return studies.load(path)


@pytest.fixture
def study(prepared: Path) -> studies.Study:
    return loaded(TOML, prepared)


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
    monkeypatch.setattr(studies, "start", None)
    assert studies.conduct(study, tmp_path / "runs") == results


def test_subscale_networks_have_the_weights_of_the_plain_one(
    prepared: Path, tmp_path: Path
) -> None:
    study = loaded(SUBSCALE, prepared)
    results = studies.conduct(study, tmp_path / "runs")
    assert [r["run"] for r in results] == ["plain-seed3", "2-1-seed3", "8-4-seed3"]
    plain = results[0]["stored_weights"]
    for result in results[1:]:
        unit = (result["sub_tensors"] - 1) * (result["future"] + 3) + result["sub_tensors"] + 3 * 8
        assert plain - unit < result["stored_weights"] <= plain
    assert "| plain |  | " in (tmp_path / "runs" / "table.md").read_text()
    assert (tmp_path / "runs" / "subscale.png").stat().st_size > 0
    with pytest.raises(ValueError, match="'4 x 16'"):
        study.run("4 x 16", 0)


def test_networks_that_cost_more_take_fewer_updates(prepared: Path, tmp_path: Path) -> None:
    text = SUBSCALE.replace("plain = 16", "plain = 16\nseconds = 1.0")
    study, folder = loaded(text, prepared), tmp_path / "runs"
    folder.mkdir()
    costs = {"plain": 0.5, "2-1": 0.25, "8-4": 1.0}
    (folder / "costs.json").write_text(json.dumps(costs))
    assert [r["steps"] for r in studies.conduct(study, folder)] == [2, 4, 1]
    (folder / "costs.json").unlink()
    measured = studies.measured_costs(study, folder)
    assert measured == studies.measured_costs(study, folder)  # kept
    assert set(measured) == set(costs) and min(measured.values()) > 0


def test_a_study_says_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(TOML.format(prepared="").replace("seeds = [0, 1]", ""))
    with pytest.raises(ValueError, match="seeds"):
        studies.load(path)
    path.write_text(TOML.format(prepared="").replace("4x4 32", "4x4 8"))
    with pytest.raises(ValueError, match="4x4 8.*more units than 16"):
        list(studies.load(path))
