"""A names map to edit, for a network whose tensors have names of their own.

Modules are told by the tensors that they have, and take the roles of their kind in the order in
which the file has them: a guess, which the map says.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from linnet_export.exporting import prepared
from linnet_export.families.family import CONVOLUTION, LINEAR, RECURRENT, TABLE, Family
from linnet_export.families.known import CONFIGURED
from linnet_export.readers.checkpoint import Checkpoint
from linnet_export.readers.errors import blamed_on
from linnet_export.readers.reading import read_checkpoint

Module = tuple[str, list[str]]  # what the names of its tensors begin with; these names


def suggest_names(
    checkpoint_path: str | os.PathLike[str],
    architecture: str | None = None,
    key: str | None = None,
    max_unpacked: int | None = None,
) -> str:
    """A names map in TOML: our modules on the left, the checkpoint's on the right.

    architecture: the family that it is for; None for the one that the checkpoint's config names,
        or whose modules fit best.
    key, max_unpacked: as `read_checkpoint` takes them.
    Raises CheckpointError for a file that is no checkpoint, or whose tensors are called as its
    family calls them; OSError from the system.
    """
    path = Path(checkpoint_path)
    checkpoint = read_checkpoint(path, key, max_unpacked)
    with blamed_on(path):
        checkpoint = prepared(checkpoint, {})
        if checkpoint.layers is not None:
            raise ValueError("its tensors have no names that a map could change")
        return _map(checkpoint, _family(checkpoint, architecture))


def _modules(checkpoint: Checkpoint) -> dict[str, list[Module]]:
    """The modules of every kind, in the file's order."""
    groups: dict[str, list[str]] = {}
    for name in checkpoint.tensors:
        groups.setdefault(name.rpartition(".")[0], []).append(name)
    found: dict[str, list[Module]] = {kind: [] for kind in (RECURRENT, CONVOLUTION, LINEAR, TABLE)}
    for module, names in groups.items():
        if kind := _kind(checkpoint, module, names):
            found[kind].append((module, names))
    return found


def _kind(checkpoint: Checkpoint, module: str, names: list[str]) -> str | None:
    roles = {name.rpartition(".")[2] for name in names}
    if {"weight_ih_l0", "weight_hh_l0"} <= roles:
        return RECURRENT
    if "weight" not in roles or not roles <= {"weight", "bias"}:
        return None
    weight = checkpoint.tensors[f"{module}.weight" if module else "weight"]
    if weight.ndim == 3:
        return CONVOLUTION
    if weight.ndim == 2:
        is_table = "bias" not in roles and weight.shape[0] > weight.shape[1]
        return TABLE if is_table else LINEAR
    return None


def _family(checkpoint: Checkpoint, architecture: str | None) -> Family:
    architecture = architecture or checkpoint.config.get("architecture")
    able = [family for family in CONFIGURED if family.roles]
    if architecture is not None:
        for family in able:
            if family.name == architecture:
                return family
        raise ValueError(
            f"names are suggested for {', '.join(f.name for f in able)}, not {architecture!r}"
        )
    modules = _modules(checkpoint)
    return min(able, key=lambda family: sum(1 for _ in _unfit(family, modules)))


def _unfit(family: Family, modules: dict[str, list[Module]]) -> Iterator[str]:
    """Roles without a module, and modules without a role."""
    for kind, theirs in modules.items():
        ours = family.roles.get(kind, ())
        if any(map(_is_open, ours)):
            continue
        yield from (kind for _ in range(abs(len(ours) - len(theirs))))


def _is_open(role: str) -> bool:
    """Whether it stands for any number of modules."""
    return "{i" in role


def _numbered(roles: tuple[str, ...], n: int) -> list[str]:
    """The roles that n modules of a kind may have: open ones share what the others leave."""
    n_open = sum(map(_is_open, roles))
    each = max(0, n - len(roles) + n_open) // n_open if n_open else 0
    return [
        role.replace("{i}", str(i)).replace("{i+1}", str(i + 1))
        for role in roles
        for i in range(each if _is_open(role) else 1)
    ]


def _map(checkpoint: Checkpoint, family: Family) -> str:
    modules = _modules(checkpoint)
    mapped: set[str] = set()
    lines = [
        f"# A guess at the names of {family.name}'s tensors, from their shapes and their order:",
        "# our modules on the left, the checkpoint's on the right. Check every line.",
    ]
    for kind, ours in family.roles.items():
        theirs = modules[kind]
        roles = _numbered(ours, len(theirs))
        for role, (module, names) in zip(roles, theirs, strict=False):
            shapes = ", ".join(_shape(checkpoint, name) for name in names)
            theirs_name = f"{module}.*" if module else "*"
            lines.append(f"{json.dumps(role + '.*')} = {json.dumps(theirs_name)}  # {shapes}")
            mapped.update(names)
        for role in roles[len(theirs) :]:
            lines.append(f"# {json.dumps(role + '.*')} = ?  # a {kind}; the checkpoint has no more")
    if left := [name for name in checkpoint.tensors if name not in mapped]:
        lines += [
            "# Tensors without a role; uncomment those that a voice does not need:",
            "ignore = [",
        ]
        lines += [f"#    {json.dumps(name)},  # {_shape(checkpoint, name)}" for name in left]
        lines.append("]")
    return "\n".join(lines) + "\n"


def _shape(checkpoint: Checkpoint, name: str) -> str:
    return " x ".join(map(str, checkpoint.tensors[name].shape)) or "a number"
