"""The networks that the exporter knows, and finding the right one for a checkpoint's tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from linnet.format import VoiceFile
from linnet_export import softmax, wavernn
from linnet_export.config import read_config
from linnet_export.storage import Storage, Weights
from linnet_export.tensors import Tensors, UnknownTensors

# Architecture -> front end, and its tensors' names, to find the nearest where they do not fit.
_CANONICAL: dict[str, tuple[Callable[..., VoiceFile], str]] = {
    "wavernn-dual-softmax": (wavernn.build, wavernn.NAMES),
    "wavernn-softmax": (softmax.build, softmax.NAMES),
}
ARCHITECTURES = tuple(_CANONICAL)
NAMES = {architecture: names for architecture, (_, names) in _CANONICAL.items()}


def nearest(names: list[str]) -> str:
    """The architecture that knows most of the tensors' names."""
    return max(
        _CANONICAL, key=lambda a: sum(bool(re.fullmatch(_CANONICAL[a][1], name)) for name in names)
    )


def build_voice(
    tensors: Mapping[str, Weights], config: Mapping[str, Any], storage: Storage, name: str
) -> VoiceFile:
    """A checkpoint's voice; `storage` collects the report.

    Raises ValueError for an unknown architecture, and for tensors or a config that do not fit it.
    """
    architecture = config.get("architecture")
    if architecture not in _CANONICAL:
        raise ValueError(
            f"architecture {architecture!r} is none of {', '.join(ARCHITECTURES)}; "
            f"by the names of its tensors the nearest is {nearest(list(tensors))}"
        )
    checked = read_config(config)
    metadata: dict[str, Any] = {
        "name": name,
        "architecture": architecture,
        "features": {"kind": "log-mel", **checked.features},
        "signal": checked.signal.metadata(),
        "training": checked.training,
    }
    try:
        voice = _CANONICAL[architecture][0](Tensors(tensors), checked, storage, metadata)
    except UnknownTensors as error:
        raise ValueError(
            f"not a {architecture} checkpoint: {error}; "
            f"the nearest known architecture is {nearest(list(tensors))}"
        ) from None
    metadata["layers"] = storage.metadata()
    return voice
