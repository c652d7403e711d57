"""The one list of families. Describing, exporting, matching and training ask it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from linnet.format.voice_file import VoiceFile
from linnet_export.building.tensors import UnknownTensors, Weights
from linnet_export.config import missing_keys
from linnet_export.families import (
    fatchord,
    geneing,
    lpc,
    lyra,
    softmax,
    source_filter,
    subscale,
    wavernn,
    workload,
)
from linnet_export.families.family import Family
from linnet_export.readers.checkpoint import Checkpoint
from linnet_export.writing.storage import Storage

FAMILIES: tuple[Family, ...] = (
    wavernn.FAMILY,
    subscale.FAMILY,
    softmax.FAMILY,
    lpc.FAMILY,
    source_filter.FAMILY,
    fatchord.FAMILY,
    workload.FAMILY,
    geneing.FAMILY,
    lyra.FAMILY,
)
CONFIGURED = tuple(family for family in FAMILIES if family.recognises is None)


def of_voice(voice: VoiceFile) -> Family | None:
    """The family that a voice's metadata names."""
    architecture = voice.metadata.get("architecture")
    return next((family for family in FAMILIES if family.name == architecture), None)


def likely(checkpoint: Checkpoint, among: tuple[Family, ...] = FAMILIES) -> Family | None:
    """The family that knows most of the tensors' names; None where none knows any."""
    best = max(among, key=lambda family: len(family.sort(checkpoint)[0]))
    return best if best.sort(checkpoint)[0] else None


def n_known(checkpoint: Checkpoint) -> int:
    """How many of the tensors' names the likeliest family knows."""
    return max(len(family.sort(checkpoint)[0]) for family in FAMILIES)


def _by_names(checkpoint: Checkpoint) -> str:
    family = likely(checkpoint, CONFIGURED)
    if family is None:
        return "by the names of its tensors it is of no family that linnet knows"
    return f"by the names of its tensors the nearest is {family.name}{family.hint}"


def find(checkpoint: Checkpoint, config: Mapping[str, Any]) -> tuple[Family, dict[str, Any]]:
    """A checkpoint's family, and its config without presets.

    Raises ValueError where neither the content nor the config says the family.
    """
    for family in FAMILIES:
        if family.recognises is not None and family.recognises(checkpoint):
            return family, dict(config)
    whole = dict(config)
    for family in CONFIGURED:
        whole = family.expand(whole, checkpoint.tensors)
    architecture = whole.get("architecture")
    for family in CONFIGURED:
        if family.name == architecture:
            return family, whole
    if architecture is None:
        problem = f"the config lacks {', '.join(['architecture', *missing_keys(whole)])}"
    else:
        names = ", ".join(family.name for family in CONFIGURED)
        problem = f"config architecture {architecture!r} is none of {names}"
    raise ValueError(f"{problem}; {_by_names(checkpoint)}")


def build(
    checkpoint: Checkpoint, config: Mapping[str, Any], name: str, storage: Storage
) -> VoiceFile:
    """A checkpoint's voice; `storage` collects the report.

    Raises ValueError for an unknown architecture, and for tensors or a config that do not fit it.
    """
    family, whole = find(checkpoint, config)
    storage.spared = family.spared
    try:
        return family.build(checkpoint, whole, name, storage)
    except UnknownTensors as error:
        if family not in CONFIGURED:
            raise
        raise ValueError(
            f"not a {family.name} checkpoint: {error}; {_by_names(checkpoint)}"
        ) from None


def checkpoint_of(voice: VoiceFile) -> dict[str, Weights]:
    """The tensors that a voice was built from, as it stores them.

    Raises ValueError for a family whose voices do not keep them.
    """
    family = of_voice(voice)
    if family is None or family.checkpoint is None:
        able = " or ".join(family.name for family in FAMILIES if family.checkpoint)
        architecture = voice.metadata.get("architecture")
        raise ValueError(f"only an {able} gives its checkpoint back, not {architecture!r}")
    return family.checkpoint(voice)
