"""Networks of equally many stored weights, trained alike: a study.

Of pruning: dense and small, or sparse and large. Every
pruned matrix of a network of H units keeps exactly as many weights as the same matrix of the
dense network of D units has: the recurrent matrix (3 H x H) a share (D / H)^2, the input matrix
(3 H x 64) and the first layers of the heads (128 x H / 2) a share D / H. The second layers of the
heads and the conditioning convolutions do not depend on H and stay dense in all of them. So all
weights are counted, the masked ones alone excepted; biases are not.

Of subscale dependencies: the plain network, and networks of B sub-tensors that see F places ahead.
These have the units that the config says, and as many units that look at other sub-tensors as make
the weights of all together those of the plain network, to less than one such unit. Scored are the
speakers that are not trained on, where the data has such.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from linnet_training import config as configuration
from linnet_training.config import Config, Rule
from linnet_training.loops.starting import start
from linnet_training.loops.trainer import RECURRENT, Trainer
from linnet_training.measures import study_report, subscale_report
from linnet_training.measures.study_report import DENSE
from linnet_training.networks.subscale import SubscaleWaveRNN
from linnet_training.networks.wavernn import WaveRNN

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


ROUNDS, UPDATES = 8, 2  # that a network's cost is measured with


@dataclass(frozen=True)
class Run:
    """One training of the study; noted: what its result says of the network."""

    network: str
    noted: dict[str, Any]
    seed: int
    config: Config

    @property
    def name(self) -> str:
        return f"{self.network}-seed{self.seed}"


@dataclass(frozen=True)
class Study(ABC):
    """A base config and its `runs`, every seed in turn.

    units: of the network whose weights all others have. seconds: of one core that every training
    takes; 0 where the config says how long.
    """

    report: ClassVar[Any]  # a module that makes a table and a picture of the results
    picture: ClassVar[str]
    config: Config
    units: int
    seeds: tuple[int, ...]
    runs: tuple[str, ...]
    seconds: float = 0.0

    def __iter__(self) -> Iterator[Run]:
        for run in self.runs:
            for seed in self.seeds:
                yield self.run(run, seed)

    @abstractmethod
    def run(self, run: str, seed: int) -> Run:
        """The training that one of `runs` names. Raises ValueError for a name that is none."""

    def changed(self, name: str, seed: int, pruning: dict[str, Any], **model: Any) -> Config:
        """The base config with another network."""
        c = self.config
        return dataclasses.replace(
            c,
            name=f"{c.name} {name} seed {seed}",
            model=dataclasses.replace(c.model, **model),
            pruning=dataclasses.replace(c.pruning, **pruning),
            training=dataclasses.replace(c.training, seed=seed),
        )


class PruningStudy(Study):
    """Its runs are a block (or "dense") and units each."""

    report: ClassVar[Any] = study_report
    picture: ClassVar[str] = "pruning.png"

    def run(self, run: str, seed: int) -> Run:
        block, _, size = run.partition(" ")
        if not size.isdecimal():
            raise ValueError(f"a run reads like '4x4 384' or 'dense 96', not {run!r}")
        units = int(size)
        if block != DENSE and units <= self.units:
            raise ValueError(f"{run!r}: a sparse network has more units than {self.units}")
        share = self.units / units
        sparsity = {RECURRENT: 1 - share**2}
        sparsity |= {name: 1 - share for name in ("gru.weight_ih_l0", "O1.weight", "O3.weight")}
        rules = tuple(Rule(n, block, s) for n, s in sparsity.items()) if block != DENSE else ()
        config = self.changed(f"{block} {units}", seed, {"rules": rules}, hidden_size=units)
        noted = {"block": block, "hidden_size": units}
        return Run(f"{block}-{units}", noted, seed, config)


class SubscaleStudy(Study):
    """Its runs are "plain", or sub-tensors and places ahead each."""

    report: ClassVar[Any] = subscale_report
    picture: ClassVar[str] = "subscale.png"

    def run(self, run: str, seed: int) -> Run:
        if run == "plain":
            noted = {"sub_tensors": 1, "future": 0, "look_units": 0}
            config = self.changed(run, seed, {}, hidden_size=self.units)
            return Run("plain", noted, seed, config)
        numbers = run.split(" ")
        if len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
            raise ValueError(f"a run reads like 'plain' or '4 16', not {run!r}")
        sub_tensors, future = map(int, numbers)
        noted = {"sub_tensors": sub_tensors, "future": future}
        noted["look_units"] = self.look_units(**noted)
        config = self.changed(run, seed, {}, architecture="wavernn-subscale", **noted)
        return Run(f"{sub_tensors}-{future}", noted, seed, config)

    def look_units(self, sub_tensors: int, future: int) -> int:
        """As many as make the weights those of the plain network. Raises ValueError where that has
        fewer weights than the others without any."""
        m, features = self.config.model, self.config.features
        shape = {"n_mels": features["n_mels"], "hop_length": features["hop_length"]}
        shape |= {"channels": m.channels, "head_size": m.head_size}
        look = {"sub_tensors": sub_tensors, "future": future, "past": m.past}
        first, second = (
            weights(SubscaleWaveRNN(m.hidden_size, look_units=units, **look, **shape))
            for units in (1, 2)
        )
        found = 1 + (weights(WaveRNN(self.units, **shape)) - first) // (second - first)
        if found < 1:
            raise ValueError(f"a plain network of {self.units} units leaves no weights to look")
        return found


def weights(network: Any) -> int:
    """How many a network has, biases not counted."""
    return sum(p.numel() for p in network.parameters() if p.dim() >= 2)


KINDS: dict[str, type[Study]] = {"dense": PruningStudy, "plain": SubscaleStudy}


def load(path: Path) -> Study:
    """A study's TOML file: a config with a section [study]."""
    with path.open("rb") as file:
        values = tomllib.load(file)
    section = values.pop("study", {})
    named = [key for key in KINDS if key in section]
    if len(named) != 1 or set(section) - {"seconds"} != {named[0], "seeds", "runs"}:
        raise ValueError(
            f"{path} [study]: needs seeds, runs and either of {' and '.join(KINDS)}, has "
            f"{', '.join(section) or 'nothing'}"
        )
    return KINDS[named[0]](
        configuration.from_dict(values, str(path)),
        int(section[named[0]]),
        tuple(section["seeds"]),
        tuple(section["runs"]),
        float(section.get("seconds", 0)),
    )


def result(run: Run, trainer: Trainer) -> dict[str, Any]:
    """What one finished run is reported with; sparsities are shares of masked weights."""
    matrices = {n: p for n, p in trainer.average.named_parameters() if p.dim() >= 2}
    masks = trainer.pruner.masks
    mask = masks.get(RECURRENT)
    coarse, fine = trainer.notes["held_out_nats"]
    t = run.config.training
    return {
        "run": run.name,
        **run.noted,
        "seed": run.seed,
        "recurrent_sparsity": round(0.0 if mask is None else 1 - float(mask.mean()), 4),
        "stored_weights": sum(
            int(masks[n].sum()) if n in masks else p.numel() for n, p in matrices.items()
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
    each run, table.md and the picture the last. Returns all results that are there.

    seeds: train only these, so that several processes, one per core, can share a study. A kill
    loses what came after the run's last checkpoint; the next call goes on from there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [r for r in study if not _result_path(folder, r).exists()]
    missing = [r for r in missing if seeds is None or r.seed in seeds]
    costs = measured_costs(study, folder) if study.seconds and missing else {}
    for run in missing:
        config = run.config
        if costs:
            steps = round(study.seconds / costs[run.network])
            config = dataclasses.replace(
                config, training=dataclasses.replace(config.training, steps=steps)
            )
        trainer = start(config, folder / run.name)
        trainer.corpus.held_out = trainer.corpus.unseen or trainer.corpus.held_out
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
        (folder / "table.md").write_text(study.report.table(results) + "\n")
        study.report.draw(results, folder / study.picture)
    return results


def measured_costs(study: Study, folder: Path) -> dict[str, float]:
    """Seconds of one core per update of every network, which costs.json keeps.

    Their updates are measured in turns, and the fastest count: what else runs on the machine slows
    down some of them more than others.
    """
    path = folder / "costs.json"
    if not path.exists():
        trainers = {run.network: start(run.config, folder / run.name) for run in study}
        taken: dict[str, list[float]] = {name: [] for name in trainers}
        for _ in range(ROUNDS):
            for name, trainer in trainers.items():
                trainer.update()  # caches hold the network's own memory afterwards
                before = time.process_time()
                for _ in range(UPDATES):
                    trainer.update()
                taken[name].append((time.process_time() - before) / UPDATES)
        path.write_text(json.dumps({n: min(t) for n, t in taken.items()}, indent=1))
    costs: dict[str, float] = json.loads(path.read_text())
    return costs


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
