"""What all names of a checkpoint begin with, because the network was a part of something."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from linnet_export.building.tensors import Weights
from linnet_export.readers.checkpoint import Checkpoint

_WRAPPERS = ("module",)  # of torch.nn.DataParallel
_DEEPEST = 8  # modules in one another


def without_prefix(
    checkpoint: Checkpoint, names: Mapping[str, Any], known: Callable[[Checkpoint], int]
) -> Checkpoint:
    """The checkpoint without what its names begin with, as DataParallel, Lightning and others put
    it there.

    It is taken off where all matrices have it, and more names are known without it; not where the
    names map has entries about it. names: that map; known: how many names a family knows.
    """
    best, shorter, taken = checkpoint, checkpoint, ""
    for _ in range(_DEEPEST):
        if not (prefix := _common(shorter)):
            break
        taken += f"{prefix}."
        if _mentioned(names, taken) or _mentioned(names, f"{prefix}."):
            break
        n_left = len(shorter.tensors) - _counters(shorter, f"{prefix}.")
        shorter = _stripped(shorter, f"{prefix}.")
        if len(shorter.tensors) < n_left:
            break  # two would have one name
        if prefix in _WRAPPERS or known(shorter) > known(best):
            best = shorter
    return best


def _common(checkpoint: Checkpoint) -> str:
    """The first part of the names of all tensors but single numbers, such as counters."""
    if checkpoint.layers is not None:
        return ""
    names = [name for name, tensor in checkpoint.tensors.items() if tensor.size != 1]
    first = {name.partition(".")[0] if "." in name else "" for name in names}
    return first.pop() if len(first) == 1 else ""


def _counters(checkpoint: Checkpoint, prefix: str) -> int:
    return sum(_is_counter(n, tensor, prefix) for n, tensor in checkpoint.tensors.items())


def _mentioned(names: Mapping[str, Any], prefix: str) -> bool:
    theirs = [value for key, value in names.items() if key != "ignore"]
    theirs += names.get("ignore", []) if isinstance(names.get("ignore"), list) else []
    return any(str(name).startswith(prefix) for name in theirs)


def _stripped(checkpoint: Checkpoint, prefix: str) -> Checkpoint:
    kept = [n for n, tensor in checkpoint.tensors.items() if not _is_counter(n, tensor, prefix)]
    return replace(
        checkpoint,
        tensors={name.removeprefix(prefix): checkpoint.tensors[name] for name in kept},
        bfloat16=frozenset(name.removeprefix(prefix) for name in checkpoint.bfloat16),
    )


def _is_counter(name: str, tensor: Weights, prefix: str) -> bool:
    """Whether a tensor is the wrapper's own, such as `n_averaged` of torch's averaged models."""
    return not name.startswith(prefix) and tensor.dtype.kind in "iu"
