"""A checkpoint as it was read, whatever kind of file it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time
from typing import Any

from linnet_export.building.tensors import Weights
from linnet_export.readers.pickles import Inert

_DEEPEST, _MOST = 32, 100_000  # tables of a config in one another; its values


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and what the file says about the network (empty where it says nothing).

    bfloat16: names of the tensors that the file holds in that type, which numpy has not.
    layers: what a kind of file holds that belongs to one family; None for tensors by name alone.
    obstacles: why the file makes no voice although its tensors can be listed.
    """

    tensors: Mapping[str, Weights]
    config: dict[str, Any] = field(default_factory=dict)
    bfloat16: frozenset[str] = frozenset()
    layers: Any = None
    obstacles: tuple[str, ...] = ()


def parse_config(text: str) -> dict[str, Any]:
    """A config stored as JSON. Raises ValueError."""
    try:
        config = json.loads(text)
    except RecursionError:
        raise ValueError("its config is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"its config is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise ValueError("its config is not a JSON object")
    return checked_config(config)


def checked_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config's tables, lists, numbers and texts, without whatever else it holds.

    Raises ValueError where they are too deep in one another, or too many.
    """
    left = _MOST

    def plain(value: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if depth > _DEEPEST:
            raise ValueError("its config is nested too deeply")
        if left < 0:
            raise ValueError(f"its config has more than {_MOST:,} values")
        if isinstance(value, Inert) and not value:
            return _ODD
        if isinstance(value, Mapping):
            inner = {key: plain(item, depth + 1) for key, item in value.items()}
            return {key: item for key, item in inner.items() if item is not _ODD}
        if isinstance(value, str | int | float | bool | None):
            return value
        if type(value) is list or (isinstance(value, tuple) and not hasattr(value, "_fields")):
            return [item for item in (plain(v, depth + 1) for v in value) if item is not _ODD]
        if isinstance(value, date | time):  # of TOML
            return value.isoformat()
        return _ODD

    result: dict[str, Any] = plain(config, 0)
    return result


_ODD = object()  # neither a table, a list, a number nor a text
