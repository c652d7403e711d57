"""Networks of equally many stored weights, dense and small or sparse and large, trained alike.

Every pruned matrix of a network of H units keeps exactly as many weights as the same matrix of the
dense network of D units has: the recurrent matrix (3 H x H) a share (D / H)^2, the input matrix
(3 H x 64) and the first layers of the heads (128 x H / 2) a share D / H. The second layers of the
heads and the conditioning convolutions do not depend on H and stay dense in all of them. So all
weights are counted, the masked ones alone excepted; biases are not.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linnet_training import config as configuration
from linnet_training.config import Config, Rule
from linnet_training.data.corpus import Corpus
from linnet_training.loops.wavernn import WaveRNNTrainer
from linnet_training.measures.study_report import DENSE, draw, table

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RECURRENT = "gru.weight_hh_l0"


@dataclass(frozen=True)
class Run:
    """One training of the study."""

    block: str
    hidden_size: int
    seed: int
    config: Config

    @property
    def name(self) -> str:
        return f"{self.block}-{self.hidden_size}-seed{self.seed}"


@dataclass(frozen=True)
class Study:
    """A base config and its `runs`: a block (or "dense") and units each, every seed in turn."""

    config: Config
    dense: int
    seeds: tuple[int, ...]
    runs: tuple[str, ...]

    def __iter__(self) -> Iterator[Run]:
        for run in self.runs:
            block, size = self._parse(run)
            for seed in self.seeds:
                yield Run(block, size, seed, self._config(block, size, seed))

    def _parse(self, run: str) -> tuple[str, int]:
        block, _, size = run.partition(" ")
        if not size.isdecimal():
            raise ValueError(f"a run reads like '4x4 384' or 'dense 96', not {run!r}")
        if block != DENSE and int(size) <= self.dense:
            raise ValueError(f"{run!r}: a sparse network has more units than {self.dense}")
        return block, int(size)

    def _config(self, block: str, size: int, seed: int) -> Config:
        share = self.dense / size
        sparsity = {RECURRENT: 1 - share**2}
        sparsity |= {name: 1 - share for name in ("gru.weight_ih_l0", "O1.weight", "O3.weight")}
        rules = tuple(Rule(n, block, s) for n, s in sparsity.items()) if block != DENSE else ()
        c = self.config
        return dataclasses.replace(
            c,
            name=f"{c.name} {block} {size} seed {seed}",
            model=dataclasses.replace(c.model, hidden_size=size),
            pruning=dataclasses.replace(c.pruning, rules=rules),
            training=dataclasses.replace(c.training, seed=seed),
        )


def load(path: Path) -> Study:
    """A study's TOML file: a config with a section [study]."""
    with path.open("rb") as file:
        values = tomllib.load(file)
    section = values.pop("study", {})
    missing = {"dense", "seeds", "runs"} ^ set(section)
    if missing:
        raise ValueError(f"{path} [study]: needs dense, seeds and runs, differs in {missing}")
    return Study(
        configuration.from_dict(values, str(path)),
        int(section["dense"]),
        tuple(section["seeds"]),
        tuple(section["runs"]),
    )


def result(run: Run, trainer: WaveRNNTrainer) -> dict[str, Any]:
    """What one finished run is reported with; sparsities are shares of masked weights."""
    weights = {n: p for n, p in trainer.average.named_parameters() if p.dim() >= 2}
    masks = trainer.pruner.masks
    mask = masks.get(RECURRENT)
    coarse, fine = trainer.notes["held_out_nats"]
    t = run.config.training
    return {
        "run": run.name,
        "block": run.block,
        "hidden_size": run.hidden_size,
        "seed": run.seed,
        "recurrent_sparsity": round(0.0 if mask is None else 1 - float(mask.mean()), 4),
        "stored_weights": sum(
            int(masks[n].sum()) if n in masks else p.numel() for n, p in weights.items()
        ),
        "held_out_coarse": coarse,
        "held_out_fine": fine,
        "steps": trainer.step,
        "samples": trainer.step * t.batch * t.frames * trainer.corpus.hop,
        "seconds": round(trainer.seconds, 1),
    }


def conduct(
    study: Study, folder: Path, seeds: Collection[int] | None = None
) -> list[dict[str, Any]]:
    """Trains what is not finished below `folder`, in order; results.json and results.csv follow
    each run, table.md and pruning.png the last. Returns all results that are there.

    seeds: train only these, so that several processes, one per core, can share a study. A kill
    loses what came after the run's last checkpoint; the next call goes on from there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [r for r in study if not _result_path(folder, r).exists()]
    missing = [r for r in missing if seeds is None or r.seed in seeds]
    if missing:
        corpus = Corpus(Path(study.config.data.prepared), study.config.signal_dict(), reach=3)
    for run in missing:
        trainer = WaveRNNTrainer(run.config, corpus, folder / run.name)
        trainer.run()
        if trainer.progress < 1:
            break
        _result_path(folder, run).write_text(json.dumps(result(run, trainer), indent=1) + "\n")
        write(collect(study, folder), folder)
        if trainer.interrupted:  # in its last score
            break
    results = collect(study, folder)
    if results:
        write(results, folder)
        (folder / "table.md").write_text(table(results) + "\n")
        draw(results, folder / "pruning.png")
    return results


def _result_path(folder: Path, run: Run) -> Path:
    return folder / run.name / "result.json"


def collect(study: Study, folder: Path) -> list[dict[str, Any]]:
    """The results of the finished runs, in the study's order."""
    paths = [_result_path(folder, run) for run in study]
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def write(results: list[dict[str, Any]], folder: Path) -> None:
    """results.json and results.csv."""
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    with (folder / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, results[0].keys())
        writer.writeheader()
        writer.writerows(results)
