"""The training loop: truncated backpropagation with carried state, pruning, resumable anywhere.

A run folder holds checkpoint.pt (everything needed to continue), model.pt (averaged weights and
config, what the exporter reads), log.csv and curves.png.
"""

from __future__ import annotations

import contextlib
import datetime
import math
import os
import signal as signals
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from linnet.features import complete
from linnet.pruning import block_size
from linnet_training.config import Config, Network
from linnet_training.loops.held_out import stored
from linnet_training.loops.log import Log
from linnet_training.loops.weights import read_weights
from linnet_training.networks import block_scan
from linnet_training.networks.block_scan import STREAMS, Blocks
from linnet_training.pruner import Pruner
from linnet_training.quantiser import Quantiser, round_operands

RECURRENT = "gru.weight_hh_l0"


def save(value: dict[str, Any], path: Path) -> None:
    """Writes the whole file or leaves the old one."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        torch.save(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


class Trainer(ABC):
    """One run: `Trainer(config, corpus, folder).run()`; continues from the folder's checkpoint.

    A subclass brings the network, what it is told and its losses.
    """

    parts: tuple[str, ...]  # of the loss
    inputs: int  # of the GRU beside the conditioning
    blocks: Blocks | None  # of the recurrent matrix
    model: Any
    average: Any  # of the model's weights: what is saved
    segments: Any

    def __init__(self, config: Config, corpus: Any, folder: Path) -> None:
        t = config.training
        torch.set_num_threads(t.threads)
        torch.manual_seed(t.seed)
        if complete(corpus.index["features"]) != config.features:
            raise ValueError("the data was prepared with other features: prepare it again")
        self.config, self.corpus, self.folder = config, corpus, folder
        self.device = torch.device(t.device)
        self.step, self.seconds, self.skipped = 0, 0.0, 0
        self.interrupted = False
        self.notes: dict[str, Any] = {}
        self.kept, self.blocks = -1, None
        self.checkpoint = folder / "checkpoint.pt"
        self.build()
        self.average.load_state_dict(self.model.state_dict())
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        self.averaged = [p for p in self.average.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(self.trained, lr=t.learning_rate)
        p = config.pruning
        self.pruner = Pruner(
            self.model,
            {rule.name: rule.sparsity for rule in p.rules},
            {rule.name: rule.block for rule in p.rules},
            start=p.start,
            steps=p.end - p.start,
            every=p.interval,
            granularity=p.granularity,
            keep_diagonal=p.keep_diagonal,
        )
        self.quantiser = self.find_quantiser()
        if self.checkpoint.exists():
            self.load()
        elif t.start:
            self.pruner.mask_zeros()

    def begin(self) -> bool:
        """Puts the weights that the config names into the model, if it does: whether. Raises
        ValueError where they do not fit."""
        start = self.config.training.start
        if not start or self.checkpoint.exists():
            return False
        try:
            self.model.load_state_dict(read_weights(Path(start)))
        except RuntimeError as error:
            raise ValueError(f"{start} does not fit the config's network: {error}") from None
        self.notes["start"] = start
        return True

    @abstractmethod
    def build(self) -> None:
        """Sets model, begun as `begin` says, average, segments and what segments carry over."""

    @abstractmethod
    def losses(self) -> list[Tensor]:
        """The mean nats per sample of one segment of every stream, part by part."""

    @abstractmethod
    def forget(self) -> None:
        """Starts from a zero state, after a gradient that was not finite."""

    @abstractmethod
    def held_out(
        self, utterances: int | None, frames: int, done: Callable[[int], object] = int
    ) -> tuple[float, ...]:
        """Mean nats of the averaged weights over the first frames of the first utterances; `done`
        is told how many more of them are scored."""

    @abstractmethod
    def carried(self) -> dict[str, Tensor]:
        """What segments carry over, the hidden state as `h`."""

    @abstractmethod
    def restore(self, carried: dict[str, Tensor]) -> None:
        """The inverse of `carried`."""

    @abstractmethod
    def signal(self) -> dict[str, Any]:
        """The signal's definition for the exporter."""

    def described(self) -> dict[str, Any]:
        """What else the exporter is told of the network."""
        return {}

    def find_quantiser(self) -> Quantiser | None:
        """What rounds the weights, where the config asks for it. Raises ValueError for a type that
        is not trained for."""
        t = self.config.training
        if t.quantise not in ("", "int8"):
            raise ValueError(f"[training] quantise is {t.quantise!r}, neither 'int8' nor ''")
        if not t.quantise:
            return None
        for network in (self.model, self.average):
            round_operands(network)
        return Quantiser(self.model, self.config.model.architecture, self.inputs)

    def find_blocks(self, sequences: int) -> Blocks | None:
        """The blocks of the recurrent matrix, where so many sequences are computed with them."""
        rules = [rule for rule in self.config.pruning.rules if fnmatchcase(RECURRENT, rule.name)]
        sizes = [size for rule in rules for size in block_size(rule.block)]
        fits = not any(size % 4 for size in (*sizes, self.config.model.hidden_size))
        fits = fits and sequences % STREAMS == 0 and self.device.type == "cpu"
        if not (block_scan.AVAILABLE and fits):
            return None
        if not rules:
            self.blocks = self.blocks or Blocks(torch.ones_like(self.model.gru.weight_hh_l0))
            return self.blocks
        mask = self.pruner.masks[RECURRENT]
        kept = int(mask.sum())
        if kept != self.kept or self.blocks is None:
            self.kept, self.blocks = kept, Blocks(mask != 0)
        return self.blocks

    @property
    def progress(self) -> float:
        """The fraction of the training that is done: of its steps if given, else of its time."""
        t = self.config.training
        return self.step / t.steps if t.steps else self.seconds / (t.hours * 3600)

    def learning_rate(self) -> float:
        t = self.config.training
        warm = min(1.0, (self.step + 1) / max(t.warmup_steps, 1))
        part = min(max((self.progress - t.hold) / (1 - t.hold), 0.0), 1.0)
        cosine = 0.5 * (1 + math.cos(math.pi * part))
        return warm * (t.final_learning_rate + (t.learning_rate - t.final_learning_rate) * cosine)

    def update(self) -> list[float]:
        """One segment of every stream; returns its nats per sample, part by part."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        self.optimizer.zero_grad(set_to_none=True)
        rounded = self.quantiser.rounded(self.model) if self.quantiser else contextlib.nullcontext()
        with rounded:
            losses = self.losses()
            torch.stack(losses).sum().backward()
        norm = torch.nn.utils.clip_grad_norm_(self.trained, self.config.training.clip)
        if torch.isfinite(norm):
            self.optimizer.step()
        else:
            self.skipped += 1
            self.forget()
        self.pruner.step(self.progress)
        self.step += 1
        # The average follows faster while it is young, or it would remember the random start.
        decay = min(self.config.training.average, self.step / (self.step + 10))
        with torch.no_grad():
            for a, p in zip(self.averaged, self.trained, strict=True):
                a.lerp_(p, 1 - decay)
        return [float(loss.detach()) for loss in losses]

    def evaluate(
        self,
        utterances: int | None = 8,
        frames: int = 160,
        done: Callable[[int], object] = int,
    ) -> tuple[float, ...]:
        """Held-out nats of the averaged weights, rounded as a voice stores them; by default 8
        utterances' first 2 seconds."""
        self.pruner.apply(dict(self.average.named_parameters()))
        return self.held_out(utterances, frames, done)

    def stored(self) -> Any:
        """A copy of the averaged network with the weights that its voice has."""
        rounded = stored(self.average)
        if self.quantiser:
            self.quantiser.round_weights(rounded, self.average)
        return rounded

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "pruner": self.pruner.state_dict(),
            "segments": self.segments.state_dict(),
            **self.carried(),
            "step": self.step,
            "seconds": self.seconds,
            "notes": self.notes,
            "settings": self.settings(),
            "rng": torch.get_rng_state(),
            **({"cuda_rng": torch.cuda.get_rng_state()} if self.device.type == "cuda" else {}),
        }

    def settings(self) -> dict[str, Any]:
        """What a run cannot change when it goes on; pre_emphasis is the signal's."""
        c = self.config
        model, t = asdict(c.model), c.training
        for key in ("temperature", "matching", "matching_rounds"):  # of the voice, not the network
            model.pop(key)
        return {**model, **c.features, **self.signal(), "batch": t.batch, "frames": t.frames}

    def load(self) -> None:
        state = torch.load(self.checkpoint, weights_only=True, map_location="cpu")
        before, now = state.get("settings", {}), self.settings()
        before = {**complete({}), **asdict(Network()), **before}  # with what was not known then
        changed = [f"{k} {before.get(k)} -> {v}" for k, v in now.items() if before.get(k) != v]
        if changed:
            raise ValueError(
                f"{self.checkpoint} was trained otherwise ({', '.join(changed)}): continue with "
                "its config or train into another folder"
            )
        for name in ("model", "average", "optimizer", "pruner", "segments"):
            getattr(self, name).load_state_dict(state[name])
        self.restore(state)
        self.step, self.seconds, self.notes = state["step"], state["seconds"], state["notes"]
        torch.set_rng_state(state["rng"])
        if self.device.type == "cuda" and "cuda_rng" in state:
            torch.cuda.set_rng_state(state["cuda_rng"])

    def exported(self) -> dict[str, Any]:
        """What model.pt holds: plain tensors and plain python values."""
        c, t = self.config, self.config.training
        self.pruner.apply(dict(self.average.named_parameters()))
        return {
            "state_dict": {k: v.detach().cpu() for k, v in self.average.state_dict().items()},
            "config": {
                "name": c.name,
                "architecture": c.model.architecture,
                "hidden_size": c.model.hidden_size,
                **self.described(),
                "features": c.features,
                "signal": self.signal(),
                "conditioning_padding": "valid",
                "temperature": c.model.temperature,
                "matching": c.model.matching,
                **({"dtype": t.quantise} if t.quantise else {}),
                "training": {
                    "data": c.data.description,
                    "seconds_of_speech": self.corpus.index["seconds"],
                    "feature_range": self.corpus.index.get("feature_range"),
                    "steps": self.step,
                    "samples": self.step * t.batch * t.frames * self.corpus.hop,
                    "batch": t.batch,
                    "segment": t.frames * self.corpus.hop,
                    "hours": round(self.seconds / 3600, 3),
                    "progress": round(min(self.progress, 1.0), 4),
                    "sparsity": {rule.name: rule.sparsity for rule in c.pruning.rules},
                    **self.notes,
                    "torch": str(torch.__version__),
                    "seed": t.seed,
                    "date": datetime.date.today().isoformat(),
                },
            },
        }

    def write(self) -> None:
        save(self.state(), self.checkpoint)
        save(self.exported(), self.folder / "model.pt")

    def row(self, train: NDArray[np.float64], held_out: tuple[float, ...]) -> list[Any]:
        """A row of log.csv: train (parts,) nats per sample, held_out alike."""
        t, hidden = self.config.training, self.carried()["h"]
        return [
            self.step,
            self.step * t.batch * t.frames * self.corpus.hop,
            f"{self.seconds:.1f}",
            *(f"{x:.4f}" for x in train),
            *([f"{x:.4f}" for x in held_out] or [""] * len(self.parts)),
            f"{self.pruner.sparsity():.4f}",
            f"{self.learning_rate():.2e}",
            f"{float((hidden.abs() > 0.99).float().mean()):.3f}",
        ]

    def run(self, quiet: bool = False) -> None:
        """Trains until the schedule's end, or until SIGTERM or Ctrl-C; a new run then resumes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        log = Log(self.folder / "log.csv", self.parts, self.step)
        losses: list[list[float]] = []
        with stopped_by_signals() as stopped:
            with self._bar(quiet) as bar:
                self._train(log, bar, losses, stopped)
            if self.progress >= 1:
                row = self._noted(self._evaluate_at_last(quiet))
                log.write(self.row(np.sum(losses, axis=0) / max(len(losses), 1), row))
            self.write()
            log.draw()
            self.interrupted = bool(stopped)

    def _train(self, log: Log, bar: Any, losses: list[list[float]], stopped: list[int]) -> None:
        """Until the schedule's end or a signal; leaves the losses that are not in the log yet."""
        t = self.config.training
        last = saved = logged = evaluated = time.monotonic()
        while self.progress < 1 and not stopped:
            self._note_before_pruning()
            losses.append(self.update())
            row: tuple[float, ...] = ()
            now = time.monotonic()
            if t.evaluate_seconds and now - evaluated > t.evaluate_seconds:
                row = self._noted(self.evaluate())
                evaluated = now = time.monotonic()
            if row or now - logged > t.log_seconds:
                self._report(log, bar, np.mean(losses, axis=0), row)
                losses.clear()
                logged = now
            if now - saved > t.checkpoint_seconds:
                self.write()
                saved = now = time.monotonic()
            self.seconds += now - last
            last = now
            bar.n = self.step if t.steps else round(self.seconds)
            bar.update(0)
        if self.progress >= 1:
            bar.n = bar.total
            bar.refresh()

    def _evaluate_at_last(self, quiet: bool) -> tuple[float, ...]:
        """All held-out utterances, whole or as far as the config says."""
        held_out = self.corpus.held_out
        frames = self.config.training.final_frames or max(u.features.shape[1] for u in held_out)
        total = len(held_out)
        with tqdm(total=total, desc="final evaluation", disable=quiet, unit=" utterances") as bar:
            return self.evaluate(None, frames, bar.update)

    def _bar(self, quiet: bool) -> Any:
        t = self.config.training
        total, done = (t.steps, self.step) if t.steps else (t.hours * 3600, self.seconds)
        return tqdm(
            total=round(total), initial=round(done), desc=self.config.name, disable=quiet,
            unit="step" if t.steps else "s", miniters=0, mininterval=1 if os.isatty(2) else 30,
        )  # fmt: skip

    def _note_before_pruning(self) -> None:
        p, noted = self.config.pruning, "held_out_nats_before_pruning" in self.notes
        due = self.progress >= p.start and p.rules and self.config.training.evaluate_seconds
        if due and not noted:
            self.notes["held_out_nats_before_pruning"] = list(self.evaluate())

    def _noted(self, held_out: tuple[float, ...]) -> tuple[float, ...]:
        self.notes["held_out_nats"] = list(held_out)
        return held_out

    def _report(
        self, log: Log, bar: Any, train: NDArray[np.float64], held_out: tuple[float, ...]
    ) -> None:
        log.write(self.row(train, held_out))
        if held_out:
            log.draw()
        nats = "+".join(f"{x:.3f}" for x in train)
        bar.set_postfix_str(f"step {self.step} nats {nats} sparse {self.pruner.sparsity():.2f}")


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[list[int]]:
    """Gives a list that SIGTERM and Ctrl-C are noted in, in place of what they did before."""
    stopped: list[int] = []
    handlers = {
        number: signals.signal(number, lambda number, frame: stopped.append(number))
        for number in (signals.SIGTERM, signals.SIGINT)
    }
    try:
        yield stopped
    finally:
        for number, handler in handlers.items():
            signals.signal(number, handler)
