"""A family: one kind of network, and what the exporter asks about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from linnet.format.voice_file import VoiceFile
from linnet_export.building.tensors import Tensors, Weights
from linnet_export.config import Config, read_config
from linnet_export.readers.checkpoint import Checkpoint
from linnet_export.writing.storage import Storage

Tables = Mapping[str, Any]  # of a config

# Kinds of modules.
RECURRENT, CONVOLUTION, LINEAR, TABLE = "GRU", "convolution", "linear layer", "table"


def _as_it_is(config: Tables, tensors: Mapping[str, Weights]) -> dict[str, Any]:
    return dict(config)


@dataclass(frozen=True)
class Family:
    """One kind of network; `linnet_export.families.known` lists all of them.

    name: the architecture that a voice's metadata names.
    build: a checkpoint's voice, with the voice's name; storage collects the report. It raises
        ValueError naming the tensor or the config's key that does not fit.
    names: matches the names of its tensors, which `canonical` makes of a relative's; "" where
        names tell nothing.
    recognises: whether a checkpoint is of this family by its content; None where only the config's
        `architecture` says it.
    expand: a config in which presets are replaced by what they stand for.
    hint: what to give where the config names no architecture and this family is the nearest.
    checkpoint: the tensors that a voice was built from, as it stores them; None where that is lost.
    roles: for a names map to suggest, its modules by their kind, in the order of use; "{i}" or
        "{i+1}": any number of them.
    unmatched: why samples of this family cannot be matched to their features, if so.
    spared: layers, by name or pattern, that stay fp16 in an int8 voice.
    exact: layers, by name, that are fp32 in every voice.
    """

    name: str
    build: Callable[[Checkpoint, Tables, str, Storage], VoiceFile]
    names: str = ""
    canonical: Callable[[Mapping[str, Any]], dict[str, Any]] = dict
    recognises: Callable[[Checkpoint], bool] | None = None
    expand: Callable[[Tables, Mapping[str, Weights]], dict[str, Any]] = _as_it_is
    hint: str = ""
    checkpoint: Callable[[VoiceFile], dict[str, Weights]] | None = None
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unmatched: str = ""
    spared: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()

    def sort(self, checkpoint: Checkpoint) -> tuple[list[str], list[str]]:
        """(known, unknown) of a checkpoint's names; those that a voice never needs are neither."""
        theirs = {name: name for name in checkpoint.tensors}
        if checkpoint.layers is not None:  # the kind of file says the family
            mine = self.recognises is not None and self.recognises(checkpoint)
            return (list(theirs), []) if mine else ([], list(theirs))
        try:
            theirs = self.canonical(theirs)
        except ValueError:
            pass  # an incomplete relative: its names are unknown
        known = {name: None for ours, name in theirs.items() if re.fullmatch(self.names, ours)}
        return list(known), [name for name in theirs.values() if name not in known]


Build = Callable[[Tensors, Config, Storage, dict[str, Any]], VoiceFile]


def configured(name: str, build: Build, names: str, **more: Any) -> Family:
    """A family whose checkpoints are tensors under known names, and need a config."""

    def whole(checkpoint: Checkpoint, config: Tables, voice: str, storage: Storage) -> VoiceFile:
        checked = read_config(config)
        metadata: dict[str, Any] = {
            "name": voice,
            "architecture": name,
            "features": {"kind": "log-mel", **checked.features},
            "signal": checked.signal.metadata(),
            "training": checked.training,
        }
        tensors = Tensors(family.canonical(checkpoint.tensors))
        built = build(tensors, checked, storage, metadata)
        metadata["layers"] = storage.metadata()
        return built

    family = Family(name, whole, names, **more)
    return family


def refuse_keys(config: Tables, known: frozenset[str], message: str) -> None:
    """Raise ValueError, with the message before them, where a config has other keys."""
    if unknown := set(config) - known:
        raise ValueError(f"{message} {', '.join(sorted(unknown))}")
