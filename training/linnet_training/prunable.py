"""Which weights of a network are pruned, and how each reads as a matrix of gates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from torch import Tensor, nn

T = TypeVar("T")

# Gates in the order in which torch stacks them in the rows of weight_ih and weight_hh.
_GATES = (
    ((nn.GRU, nn.GRUCell), "rzn"),
    ((nn.LSTM, nn.LSTMCell), "ifgo"),
    ((nn.RNN, nn.RNNCell), "h"),
)
_PLAIN = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Matrix:
    """One pruned parameter; `labels` has a letter per gate, in the order of the rows."""

    parameter: Tensor
    block: str
    sparsity: tuple[float, ...]  # of each gate
    labels: str
    keep_diagonal: bool

    @property
    def gates(self) -> int:
        return len(self.sparsity)

    def as_matrix(self, weight: Tensor) -> Tensor:
        """(rows, columns); of a convolution (out, taps x in), the order in which it is exported."""
        return weight if weight.dim() == 2 else weight.movedim(1, -1).flatten(1)

    def from_matrix(self, matrix: Tensor) -> Tensor:
        """The inverse of `as_matrix`."""
        shape = self.parameter.shape
        if len(shape) == 2:
            return matrix
        return matrix.view(shape[0], *shape[2:], shape[1]).movedim(-1, 1)


def _weights(module: nn.Module) -> dict[int, str]:
    """The ids of a module's prunable weights, with the letters of their gates."""
    found: dict[int, str] = {}
    for layer in module.modules():
        gates = next((letters for kinds, letters in _GATES if isinstance(layer, kinds)), "")
        for name, parameter in layer.named_parameters(recurse=False):
            if gates and parameter.dim() == 2:
                gated = name.startswith(("weight_ih", "weight_hh"))
                found[id(parameter)] = gates if gated else "-"
            elif isinstance(layer, _PLAIN) and name == "weight":
                found[id(parameter)] = "-"
    return found


def _named(network: Any) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All parameters by name, and the names of what can be pruned, with their gates."""
    if isinstance(network, nn.Module):
        # A tensor that two modules share has one name here and one mask.
        named, weights = dict(network.named_parameters()), _weights(network)
        return named, {n: weights[id(p)] for n, p in named.items() if id(p) in weights}
    if isinstance(network, Mapping):
        named = dict(network)
    elif isinstance(network, Tensor):
        raise ValueError("pass a module or several parameters, not one tensor")
    else:
        items = list(network)
        pairs = all(isinstance(item, tuple) for item in items)
        named = dict(items) if pairs else {str(i): p for i, p in enumerate(items)}
    wrong = sorted(str(n) for n, p in named.items() if not isinstance(p, Tensor))
    if wrong:
        raise ValueError(f"these are no tensors: {wrong}")
    return named, {name: "-" for name, p in named.items() if p.dim() >= 2}


def _unless_told(network: Any, named: dict[str, Tensor], usual: dict[str, str]) -> list[str]:
    """Of a module the recurrent layers' weights; of parameters all that can be pruned."""
    if not usual:
        raise ValueError(f"nothing to prune among {sorted(named)}")
    if not isinstance(network, nn.Module):
        return list(usual)
    kinds = tuple(kind for kinds, _ in _GATES for kind in kinds)
    layers = [module for module in network.modules() if isinstance(module, kinds)]
    recurrent = {id(p) for layer in layers for p in layer.parameters(recurse=False)}
    chosen = [name for name in usual if id(named[name]) in recurrent]
    if not chosen:
        sizes = ", ".join(f"{name} {tuple(named[name].shape)}" for name in usual)
        raise ValueError(
            "one sparsity for a module prunes its recurrent layers, and it has none: name the "
            f"weights, {{'NAME': sparsity}}, among {sizes}"
        )
    return chosen


def _first_match(name: str, patterns: Mapping[str, T]) -> T | None:
    return next((v for p, v in patterns.items() if p == name or fnmatchcase(name, p)), None)


def _all_used(what: str, patterns: Iterable[str], names: Iterable[str]) -> None:
    known = sorted(names)
    unused = [p for p in patterns if not any(p == n or fnmatchcase(n, p) for n in known)]
    if unused:
        raise ValueError(f"{what}: nothing is called {unused}; there are {known}")


def matrices(
    network: Any,
    sparsity: float | Mapping[str, float | tuple[float, ...]],
    block: str | Mapping[str, str],
    keep_diagonal: bool | Iterable[str],
    gates: Mapping[str, int],
) -> dict[str, Matrix]:
    """The pruned weights by name; the arguments are those of `Pruner`."""
    named, usual = _named(network)
    if isinstance(sparsity, Mapping):
        _all_used("sparsity", sparsity, named)
        chosen = {n: s for n in named if (s := _first_match(n, sparsity)) is not None}
    else:
        chosen = dict.fromkeys(_unless_told(network, named, usual), sparsity)
    if isinstance(block, Mapping):
        _all_used("block", block, chosen)
    diagonal = () if isinstance(keep_diagonal, bool) else tuple(keep_diagonal)
    _all_used("keep_diagonal", diagonal, chosen)
    _all_used("gates", gates, chosen)
    result: dict[str, Matrix] = {}
    for name, share in chosen.items():
        parameter = named[name]
        if parameter.dim() < 2:
            raise ValueError(f"{name}: shape {tuple(parameter.shape)} is no matrix")
        if not parameter.is_floating_point():
            raise ValueError(f"{name}: {parameter.dtype} cannot be pruned by magnitude")
        shape = _first_match(name, block) if isinstance(block, Mapping) else block
        if shape is None:
            raise ValueError(f"{name}: no block is given for it")
        count = _first_match(name, gates)
        labels = usual.get(name, "-") if count is None else "0123456789"[:count]
        if count is not None and not 1 <= count <= 10:
            raise ValueError(f"{name}: gates must be 1 to 10, not {count}")
        each = tuple(share) if isinstance(share, (tuple, list)) else (share,) * len(labels)
        if len(each) != len(labels):
            raise ValueError(f"{name}: {len(each)} sparsities for {len(labels)} gates")
        wrong = [s for s in each if not 0 <= s < 1]
        if wrong:
            raise ValueError(f"{name}: sparsity {wrong[0]} is not in [0, 1)")
        square = parameter.dim() == 2 and parameter.shape[0] == len(labels) * parameter.shape[1]
        recurrent = ".weight_hh" in f".{name}" and square
        kept = recurrent if keep_diagonal is True else any(fnmatchcase(name, p) for p in diagonal)
        result[name] = Matrix(parameter, shape, each, labels, kept)
    if keep_diagonal is True and chosen and not any(m.keep_diagonal for m in result.values()):
        raise ValueError("keep_diagonal: no recurrent weight among those that are pruned")
    return result
