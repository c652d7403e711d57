"""The networks that the exporter knows, and finding the right one for a checkpoint's tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from linnet.format.voice_file import VoiceFile
from linnet_export.building.tensors import Tensors, UnknownTensors
from linnet_export.config import read_config
from linnet_export.families import fatchord, fatchord_names, lpc, softmax, wavernn
from linnet_export.families.hparams import PRESETS, expand
from linnet_export.matching import matched
from linnet_export.writing.storage import Storage, Weights


class Family(NamedTuple):
    """A front end: `names` matches its tensors' names, which `canonical` makes of a relative's."""

    build: Callable[..., VoiceFile]
    names: str
    canonical: Callable[[Mapping[str, Any]], dict[str, Any]] = dict

    def sort(self, names: Iterable[str]) -> tuple[list[str], list[str]]:
        """(known, unknown) of a checkpoint's names; those that a voice never needs are neither."""
        theirs = {name: name for name in names}
        try:
            theirs = self.canonical(theirs)
        except ValueError:
            pass  # an incomplete relative: its names are unknown
        known = [name for ours, name in theirs.items() if re.fullmatch(self.names, ours)]
        return known, [name for name in theirs.values() if name not in known]


FAMILIES = {
    "wavernn-dual-softmax": Family(wavernn.build, wavernn.NAMES),
    "wavernn-softmax": Family(softmax.build, softmax.NAMES),
    "lpc-wavernn": Family(lpc.build, lpc.NAMES),
    "fatchord-wavernn": Family(fatchord.build, fatchord.NAMES, fatchord_names.canonical),
}
ARCHITECTURES = tuple(FAMILIES)


def nearest(names: Iterable[str]) -> str:
    """The architecture that knows most of the tensors' names."""
    return max(FAMILIES, key=lambda architecture: len(FAMILIES[architecture].sort(names)[0]))


def build_voice(
    tensors: Mapping[str, Weights], config: Mapping[str, Any], storage: Storage, name: str
) -> VoiceFile:
    """A checkpoint's voice; `storage` collects the report.

    Raises ValueError for an unknown architecture, and for tensors or a config that do not fit it.
    """
    config = expand(config, len(fatchord_names.canonical(tensors).get("fc3.bias", ())))
    architecture = config.get("architecture")
    if architecture not in FAMILIES:
        likely = nearest(tensors)
        hint = f" (give its preset: {', '.join(PRESETS)})" if likely == "fatchord-wavernn" else ""
        raise ValueError(
            f"architecture {architecture!r} is none of {', '.join(ARCHITECTURES)}; "
            f"by the names of its tensors the nearest is {likely}{hint}"
        )
    family = FAMILIES[architecture]
    checked = read_config(config)
    metadata: dict[str, Any] = {
        "name": name,
        "architecture": architecture,
        "features": {"kind": "log-mel", **checked.features},
        "signal": checked.signal.metadata(),
        "training": checked.training,
    }
    try:
        voice = family.build(Tensors(family.canonical(tensors)), checked, storage, metadata)
    except UnknownTensors as error:
        raise ValueError(
            f"not a {architecture} checkpoint: {error}; "
            f"the nearest known architecture is {nearest(tensors)}"
        ) from None
    metadata["layers"] = storage.metadata()
    return matched(voice, checked.matching)
