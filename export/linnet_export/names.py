"""Tensors under other names: a map from our names to the checkpoint's.

A name may hold `{i}` for a number, which theirs may shift as `{i+3}`, and one `*` for any text:

    "gru.weight_hh_l0" = "rnn.weight_hh_l0"
    "conditioning.{i}.weight" = "encoder.{i+1}.conv.weight"
    "*" = "module.*"
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

_PLACE = re.compile(r"\*|\{i(?:\+(\d+))?\}")
T = TypeVar("T")


class _Pattern:
    """One entry of a map."""

    def __init__(self, ours: str, theirs: str) -> None:
        self.ours, self.theirs = ours, theirs
        places = [match[0] for match in _PLACE.finditer(theirs)]
        self.is_exact = not places
        kinds = [place[0] for place in places]
        if kinds.count("*") > 1 or ours.count("*") > 1:
            raise ValueError(f"the names map's {ours!r} = {theirs!r} holds more than one '*'")
        if ("*" in kinds) != ("*" in ours) or ("{" in kinds) != ("{i}" in ours):
            raise ValueError(
                f"the names map's {ours!r} = {theirs!r} must hold the same of '*' and '{{i}}' on "
                "both sides"
            )
        self.shifts = [int(m[1] or 0) for m in _PLACE.finditer(theirs) if m[0] != "*"]
        texts = [re.escape(text) for text in _PLACE.sub("\0", theirs).split("\0")]
        groups = [r"(?P<star>.*)" if kind == "*" else r"(\d+)" for kind in kinds]
        self.regex = re.compile("".join(a + b for a, b in zip(texts, [*groups, ""], strict=True)))

    def translate(self, name: str) -> str | None:
        """Our name of a tensor of theirs; None where the entry is not about it."""
        match = self.regex.fullmatch(name)
        if not match:
            return None
        star = match.groupdict().get("star")
        numbers = [group for i, group in enumerate(match.groups(), 1) if not self._is_star(i)]
        shifted = {int(n) - shift for n, shift in zip(numbers, self.shifts, strict=True)}
        if len(shifted) > 1 or min(shifted, default=0) < 0:
            return None
        ours = self.ours if not shifted else self.ours.replace("{i}", str(shifted.pop()))
        return ours if star is None else ours.replace("*", star)

    def _is_star(self, group: int) -> bool:
        return self.regex.groupindex.get("star") == group


def rename(tensors: Mapping[str, T], names: Mapping[str, Any]) -> dict[str, T]:
    """Tensors under our names; those that the map does not mention keep theirs.

    names: ours -> theirs; the entry of a tensor's very name comes before patterns, these in their
    order. "ignore": a list of theirs that are not needed, in which '*' is any text.
    Raises ValueError for an entry that finds nothing, and for two tensors under one name.
    """
    ignored = names.get("ignore", [])
    if not isinstance(ignored, list):
        raise ValueError('the names map\'s "ignore" is no list')
    entries = [_Pattern(ours, str(theirs)) for ours, theirs in names.items() if ours != "ignore"]
    entries += [_Pattern(str(theirs), str(theirs)) for theirs in ignored]
    n_roles = len(entries) - len(ignored)
    order = sorted(range(len(entries)), key=lambda i: (not entries[i].is_exact, i < n_roles, i))
    used, renamed = set(), {}
    for name, tensor in tensors.items():
        ours: str | None = name
        for i in order:
            translated = entries[i].translate(name)
            if translated is not None:
                used.add(i)
                ours = translated if i < n_roles else None
                break
        if ours in renamed:
            raise ValueError(f"the names map gives {ours} twice, the second time for {name}")
        if ours is not None:
            renamed[ours] = tensor
    absent = sorted(entries[i].theirs for i in set(range(len(entries))) - used)
    if absent:
        raise ValueError(
            f"the names map asks for tensors that the checkpoint lacks: {', '.join(absent)}; "
            f"it has {', '.join(sorted(tensors))}"
        )
    return renamed
