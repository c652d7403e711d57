"""Which of the dicts in a PyTorch checkpoint holds its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from linnet_export.readers.pickles import StoredTensor

ITSELF = "."  # the key of the file's own dict
_DEEPEST = 6  # keys of a place
State = dict[str, StoredTensor]


def choose(loaded: Mapping[str, Any], key: str | None) -> State:
    """The tensors of a checkpoint by name; what stands between them and is none is left out.

    key: where they stand, keys with dots between them; behind the last may follow what their names
    begin with. None: the only dict that holds matrices.
    Raises ValueError, which lists what could be chosen.
    """
    found = _places(loaded)
    if key is not None:
        state = tensors_of(loaded) if key == ITSELF else _under(loaded, key)
        if not state:
            raise ValueError(f"no tensors under the key {key!r}; it has {_listed(found)}")
        return state
    likely = {
        place: state for place, state in found.items() if any(map(_is_matrix, state.values()))
    }
    likely = likely or found
    if not likely:
        raise ValueError("it holds no dict of tensors")
    if len(likely) > 1:
        raise ValueError(f"it holds several dicts of tensors: choose by --key: {_listed(likely)}")
    return next(iter(likely.values()))


def tensors_of(table: Mapping[str, Any]) -> State:
    return {name: value for name, value in table.items() if isinstance(value, StoredTensor)}


def _is_matrix(tensor: StoredTensor) -> bool:
    return len(tensor.shape) > 1


def _places(loaded: Mapping[str, Any]) -> dict[str, State]:
    """Every dict that holds tensors, by its keys; what has no texts for keys, such as the states of
    an optimizer, is none."""
    found: dict[str, State] = {}
    seen: set[int] = set()
    waiting: list[tuple[tuple[str, ...], Mapping[str, Any]]] = [((), loaded)]
    while waiting:
        keys, table = waiting.pop(0)
        if id(table) in seen or len(keys) > _DEEPEST:
            continue
        seen.add(id(table))
        if state := tensors_of(table):
            found[".".join(keys) or ITSELF] = state
        waiting += [((*keys, k), v) for k, v in table.items() if isinstance(v, Mapping)]
    return found


def _under(table: Mapping[str, Any], key: str) -> State:
    for name, inner in table.items():
        if name == key and isinstance(inner, Mapping):
            return tensors_of(inner)
        if key.startswith(f"{name}.") and isinstance(inner, Mapping):
            if state := _under(inner, key[len(name) + 1 :]):
                return state
    return under(tensors_of(table), key)


def under(tensors: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Those whose names begin with the key and a dot, without it."""
    start = f"{key}."
    return {n[len(start) :]: tensor for n, tensor in tensors.items() if n.startswith(start)}


def _listed(found: Mapping[str, State]) -> str:
    return ", ".join(f"{place} ({len(state)} tensors)" for place, state in found.items())
