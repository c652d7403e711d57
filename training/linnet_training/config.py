"""The TOML file that describes a voice: data, signal, network, pruning, training."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from linnet.features import complete

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Data:
    wavs: str
    prepared: str
    description: str = ""
    held_out: float = 0.03  # fraction of the utterances
    pad_seconds: float = 0.1  # digital silence added at both ends
    trim_db: float = 0.0  # ends so far below the loudest frame are cut off first; 0: none
    held_out_speakers: tuple[str, ...] = ()  # subfolders of wavs that are not trained on at all
    per_speaker: int = 0  # only the first so many files of each subfolder; 0: all
    seconds: float = 0.0  # only the beginning of each file; 0: all of it
    peak: float = 0.0  # every file is brought to this peak, of full scale; 0: it stays


@dataclass(frozen=True)
class Signal:
    bits: int = 16
    companding: str = "mu-law"
    mu: int = 255
    pre_emphasis: float = 0.85


@dataclass(frozen=True)
class Network:
    architecture: str = "wavernn-dual-softmax"  # or wavernn-subscale, lpc-wavernn, source-filter
    hidden_size: int = 384
    channels: int = 96
    head_size: int = 128
    sub_tensors: int = 4  # of a wavernn-subscale: every so manyth sample makes one
    future: int = 16  # places of the earlier sub-tensors that it sees, behind its own
    past: int = 8  # and before
    look_units: int = 64  # of the layer that sees them
    order: int = 16  # of the filter, in an lpc-wavernn
    envelope_steps: int = 6000  # updates of the envelope before those of the network
    temperature: float = 1.0  # of the voice's draws: the exporter divides the logits by it
    matching: int = 0  # iterations that bring the voice's samples to the features
    matching_rounds: int = 1  # of these iterations, at each hop
    ahead: int = 3  # frames behind a frame that a source-filter's network sees
    phases: tuple[float, ...] = ()  # turns of its harmonics, every 62.5 Hz from 0 on


@dataclass(frozen=True)
class Rule:
    """Prunes the weight `name` (or all that match a pattern such as "O?.weight")."""

    name: str
    block: str
    sparsity: float


@dataclass(frozen=True)
class Pruning:
    start: float = 0.12  # both as a fraction of the training
    end: float = 0.65
    interval: int = 100  # updates between two growths of the masks
    granularity: str = "per_gate"  # or per_matrix, global
    keep_diagonal: bool = False
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Training:
    start: str = ""  # weights to begin with: a run's model.pt, or an lpc-wavernn's .linnet
    hours: float = 2.0  # of training time, added up over resumes; the schedule follows it
    steps: int = 0  # if not 0, the schedule follows the updates instead
    batch: int = 16
    frames: int = 2  # per segment, hop_length samples each
    learning_rate: float = 5e-4
    final_learning_rate: float = 1e-5
    warmup_steps: int = 300
    hold: float = 0.4  # fraction of the training at the full rate; then a half cosine
    clip: float = 1.0  # norm of the gradient
    average: float = 0.999  # of the exponential moving average of the weights, which is saved
    input_noise: float = 0.0  # tokens: how far off the sample before is told, to learn to recover
    forget: float = 0.0  # share of segments that start from a zero state, as an utterance does
    quantise: str = ""  # "int8": train with weights rounded as an int8 voice stores them
    seed: int = 0
    threads: int = 1  # two are 1.5 times faster on two idle cores, but crawl beside other programs
    device: str = "cpu"
    checkpoint_seconds: float = 45.0
    log_seconds: float = 20.0
    evaluate_seconds: float = 300.0  # 0: only at the end
    final_frames: int = 0  # of every held-out utterance in the last score; 0: all


@dataclass(frozen=True)
class Config:
    name: str
    data: Data
    signal: Signal = field(default_factory=Signal)
    model: Network = field(default_factory=Network)
    pruning: Pruning = field(default_factory=Pruning)
    training: Training = field(default_factory=Training)
    features: dict[str, Any] = field(default_factory=lambda: complete({}))

    def signal_dict(self) -> dict[str, Any]:
        return asdict(self.signal)


def _section(kind: type[Any], values: dict[str, Any], where: str) -> Any:
    known = {f.name for f in fields(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"{where}: unknown keys {unknown}; known: {sorted(known)}")
    return kind(**values)


def from_dict(values: dict[str, Any], where: str = "config") -> Config:
    """ValueError names the section and key that is unknown; missing keys take their defaults."""
    values = dict(values)
    sections: dict[str, Any] = {}
    for name, kind in (
        ("data", Data),
        ("signal", Signal),
        ("model", Network),
        ("pruning", Pruning),
        ("training", Training),
    ):
        section = dict(values.pop(name, {}))
        if name == "pruning":
            rules = section.pop("rules", [])
            section["rules"] = tuple(_section(Rule, r, f"{where} [pruning.rules]") for r in rules)
        if name == "data":
            section["held_out_speakers"] = tuple(section.get("held_out_speakers", ()))
        if name == "model":
            section["phases"] = tuple(float(x) for x in section.get("phases", ()))
        sections[name] = _section(kind, section, f"{where} [{name}]")
    sections["features"] = complete(values.pop("features", {}))
    result: Config = _section(Config, {**values, **sections}, where)
    return result


def load(path: Path) -> Config:
    """A config's TOML file, or a study's, whose section [study] is for `measures.study` alone."""
    with path.open("rb") as file:
        values = tomllib.load(file)
    values.pop("study", None)
    return from_dict(values, str(path))
