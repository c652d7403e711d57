"""A voice as standard ONNX models with dense weights: one frame, and one step of the samples.

The step network computes what is drawn from. Its inputs:

    previous_token, or previous_coarse and previous_fine   int64 (batch,), drawn in the step before;
        -1 before the first
    coarse            int64 (batch,): where the fine byte's logits need the coarse one of this step
    previous_values   (batch, bands): in place of tokens where a mixture of logistics is drawn from;
        zeros at first
    state.{k}         (batch, n): output state.{k}.next of the step before; zeros at first
    frame.{name}      (batch, n): what the frame network computed for the frame; where that has rows
        (batch, rows, n), the row of the step, each of which serves `steps_per_row` steps
    previous_sample   (batch, 1): s of the step before (export/FORMAT.md, "output of an
        excitation"), in networks that predict samples; 0 at first
    window            (batch, n): in networks of a sub-tensor, what it sees of the earlier ones, and
        which it is (export/FORMAT.md, "subscale"); tokens and states are then those of the
        sub-tensor, and a step is one of its places
    output            (batch, n): what the engine's output left after the step before, in networks
        that hear it

and its outputs: token_logits, or coarse_logits and fine_logits, (batch, classes), or
mixture_logits, mixture_means and mixture_scales, (batch, bands x mixtures); state.{k}.next.

The frame network has features (batch, n_features) and state.{k} as inputs, frame.{name} and
state.{k}.next as outputs. It runs `priming` times on silence, then on every frame; the samples of
frame t follow when frame t + lookahead has run. States are zeros at first, silence is zeros, unless
`initial` and `silence` give them. These numbers, and how tokens become samples (`signal`), are JSON
in the models' metadata under "linnet".
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from linnet.errors import install
from linnet.files import require_apart, write_atomic
from linnet.format.operations import (
    SCALE_ACTIVATIONS,
    History,
    Operand,
    Operation,
    Upsample,
)
from linnet.format.reading import read
from linnet.format.voice_file import VoiceFile
from linnet_export.onnx.arena import Arena, Piece, Place, Writes
from linnet_export.onnx.graph import Graph, Value
from linnet_export.onnx.operations import Drawn, Translator

FEATURES = "features"
_STATE = -1


@dataclass(frozen=True)
class Networks:
    """onnx.ModelProto of a step and of a frame (None without a frame program).

    places: of the step network's floats, by name; and of the draws' results, as {label}_value.
    """

    step: Any
    frame: Any | None
    places: dict[str, Place]


def export_onnx(voice: str | os.PathLike[str], out_path: str | os.PathLike[str]) -> list[Path]:
    """Write a voice's step network to out_path, OUT.onnx, and its frame network to OUT-frame.onnx.

    Returns what was written. Raises ValueError (of which FormatError is one) for a file that is no
    voice or has no ONNX form, OSError from the system.
    """
    found = networks(read(voice))
    path = Path(out_path)
    models = [(path, found.step)]
    if found.frame is not None:
        models.append((path.with_name(f"{path.stem}-frame{path.suffix}"), found.frame))
    for where, _ in models:
        require_apart([where], [voice])
    for where, model in models:
        write_atomic(where, model.SerializeToString())
    return [where for where, _ in models]


def networks(file: VoiceFile) -> Networks:
    """Translate a voice. Raises ValueError for programs that have no ONNX form."""
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise ImportError(f"writing ONNX needs onnx: {install('export')}") from error
    frame_program = tuple(_without_strides(op) for op in file.frame_program)
    frame = _Frame("frame", file, frame_program)
    step = _Step("step", file, file.sample_program)
    frame.step, step.frame = step, frame
    features = Operand(file.header.features_at)
    frame.write(features, frame.graph.floats_in(FEATURES, file.header.n_features))
    frame.translate()
    step.translate()
    places = {**step.states, **step.imported, **step.drawn.places()}
    if file.subscale is not None:
        places["window"] = Place(file.subscale.out, file.subscale.window)
    properties = {"linnet": json.dumps(_properties(file, frame.states, step.drawn))}
    return Networks(
        step.graph.model(properties, "One step: see linnet_export.onnx.networks."),
        frame.graph.model(properties, "One frame: see linnet_export.onnx.networks.")
        if file.frame_program
        else None,
        places,
    )


class _Program(ABC):
    """One program on its way to a graph."""

    def __init__(self, name: str, file: VoiceFile, program: tuple[Operation, ...]) -> None:
        self.file, self.program = file, program
        self.graph = Graph(name)
        self.drawn = Drawn(self.graph, file.sample_program)
        self.writes = Writes(file.header.arena_size, file.header.rows)
        draft = Graph(name)
        Translator(file, draft, self.writes, Drawn(draft, file.sample_program)).run(program)
        self.arena = Arena(self.graph, self.initial)
        self.states: dict[str, Place] = {}

    def write(self, operand: Operand, value: Value) -> None:
        """Put there what no operation writes."""
        self.writes.write(operand, value)
        self.arena.write(operand, value)

    def translate(self) -> None:
        Translator(self.file, self.graph, self.arena, self.drawn).run(self.program)
        for name, place in self.states.items():
            self.graph.output(f"{name}.next", self.arena.read(*place))

    def state(self, start: int, stop: int) -> Value:
        """What these floats held at the end of the run before."""
        name = f"state.{len(self.states)}"
        self.states[name] = Place(Operand(start), stop - start)
        return self.graph.floats_in(name, stop - start)

    @abstractmethod
    def initial(self, stride: int, start: int, stop: int) -> list[Piece]:
        """What these floats hold before the program writes them."""


class _Frame(_Program):
    step: _Step

    def initial(self, stride: int, start: int, stop: int) -> list[Piece]:
        if self.step.writes.by(stride, start, stop).any():
            raise ValueError(
                f"the frame program reads float {start}, which the samples write: "
                "such programs have no ONNX form"
            )
        pieces = []
        for a, b, written in _runs(self.writes.by(stride, start, stop), start):
            value = self.state(a, b) if written else self.graph.zeros(b - a, FEATURES)
            pieces.append(Piece(a, b, value, 0))
        return pieces


class _Step(_Program):
    frame: _Frame

    def __init__(self, name: str, file: VoiceFile, program: tuple[Operation, ...]) -> None:
        super().__init__(name, file, program)
        self.imported: dict[str, Place] = {}

    def initial(self, stride: int, start: int, stop: int) -> list[Piece]:
        if self.frame.writes.by_rows(stride, start, stop):
            return [self._rows(stride, start, stop)]
        own, theirs = (p.writes.by(stride, start, stop) for p in (self, self.frame))
        if np.any(own & (theirs | bool(stride))):
            raise ValueError(
                f"float {start} of the arena outlives its step and its frame: "
                "such programs have no ONNX form"
            )
        pieces = []
        for a, b, who in _runs(own + 2 * theirs, start):
            if who == 2:
                pieces += [self._import(p, stride) for p in self.frame.arena.pieces(stride, a, b)]
            elif who == 1:
                pieces += self._kept(a, b)
            else:
                value = self.graph.zeros(b - a, self.drawn.any_previous())
                pieces.append(Piece(a, b, value, 0))
        return pieces

    def _kept(self, start: int, stop: int) -> list[Piece]:
        """What the step before left: what was drawn and what its output wrote comes from the
        caller, everything else is state."""
        known = self._known()
        kinds = np.full(stop - start, _STATE)
        for number, (place, _) in enumerate(known):
            first = place.operand.offset - start
            kinds[max(first, 0) : max(first + place.size, 0)] = number
        pieces = []
        for a, b, kind in _runs(kinds, start):
            if kind == _STATE:
                pieces.append(Piece(a, b, self.state(a, b), 0))
                continue
            place, value = known[kind]
            if (self.writes.times[a:b] > 1).any():
                raise ValueError("what was drawn is overwritten: it has no ONNX form")
            pieces.append(Piece(a, b, value(), a - place.operand.offset))
        return pieces

    def _known(self) -> list[tuple[Place, Callable[[], Value]]]:
        drawn = self.drawn
        known: list[tuple[Place, Callable[[], Value]]] = [
            (Place(draw.out, 1), partial(drawn.previous_value, slot))
            for slot, draw in drawn.draws.items()
        ]
        if drawn.mixture is not None:
            place = Place(drawn.mixture.out, drawn.mixture.bands)
            known.append((place, partial(drawn.values, "previous_")))
        known += [
            (place, partial(self._heard, name, place))
            for name, place in self.writes.by_output.items()
        ]
        return known

    def _heard(self, name: str, place: Place) -> Value:
        self.imported[name] = place
        return self.graph.floats_in(name, place.size)

    def _rows(self, stride: int, start: int, stop: int) -> Piece:
        """Rows that the frame program wrote one by one."""
        if self.writes.by(stride, start, stop).any():
            raise ValueError(f"float {start} of the arena is written by both programs")
        size = stop - start
        rows = [
            self.frame.arena.read(Operand(start + stride * row), size)
            for row in range(self.file.header.rows)
        ]
        value = self.frame.graph.stack(rows)
        return self._import(Piece(start, stop, value, 0), stride)

    def _import(self, piece: Piece, stride: int) -> Piece:
        """A piece of what the frame network computed, as an input."""
        value = piece.value
        name = value.name if value.name == FEATURES else f"frame.{value.name}"
        if name not in self.imported:
            self.imported[name] = Place(Operand(piece.start - piece.first, stride), value.size)
            if value.name != FEATURES:
                self.frame.graph.output(name, value)
        return piece._replace(value=self.graph.floats_in(name, value.size))


def _runs(kinds: npt.NDArray[Any], start: int) -> Iterator[tuple[int, int, int]]:
    """(from, to, kind) of the stretches of one kind, in floats of the arena."""
    edges = [0, *(np.flatnonzero(np.diff(kinds)) + 1).tolist(), len(kinds)]
    for a, b in zip(edges, edges[1:], strict=False):
        yield start + a, start + b, int(kinds[a])


def _without_strides(op: Operation) -> Operation:
    """Operands of the frame program mean their offset; only rows of `upsample` keep a stride."""
    changes: dict[str, Any] = {
        f.name: Operand(value.offset)
        for f in fields(op)
        if isinstance(value := getattr(op, f.name), Operand)
        and not (isinstance(op, Upsample) and f.name == "out")
    }
    return replace(op, **changes)


def _properties(file: VoiceFile, states: dict[str, Place], drawn: Drawn) -> dict[str, Any]:
    """What a caller must know besides the graphs."""
    header = file.header
    properties: dict[str, Any] = {
        "name": file.metadata.get("name", ""),
        "architecture": file.metadata.get("architecture", ""),
        "sample_rate": header.sample_rate,
        "hop_length": header.hop_length,
        "samples_per_step": header.samples_per_step,
        "steps_per_row": header.steps_per_row,
        "n_features": header.n_features,
        "lookahead": header.lookahead,
        "priming": header.priming,
        "signal": file.metadata.get("signal", {}),
        "classes": {drawn.labels[slot]: draw.classes for slot, draw in drawn.draws.items()},
    }
    if drawn.mixture is not None:
        mixture = drawn.mixture
        properties["mixture"] = {
            "bands": mixture.bands,
            "mixtures": mixture.mixtures,
            "spread": SCALE_ACTIVATIONS[mixture.scale_activation],
            "least_scale": mixture.least_scale,
        }
    if file.subscale is not None:
        keys = ("sub_tensors", "future", "past")
        properties["subscale"] = {key: getattr(file.subscale, key) for key in keys}
        properties["lookahead"] -= file.ahead  # that is the caller's
    if header.silence is not None:
        properties["silence"] = file.tensors[header.silence].dense.tolist()
    arena = np.zeros(header.arena_size, np.float32)
    for op in file.frame_program:
        if isinstance(op, History) and op.initial is not None:
            window = file.tensors[op.initial].dense
            arena[op.out.offset :][: len(window)] = window
    first = {name: arena[at.offset :][:size] for name, (at, size) in states.items()}
    properties["initial"] = {name: a.tolist() for name, a in first.items() if a.any()}
    return properties
