"""Training of small WaveRNN vocoders: data preparation, model, block pruning, evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from linnet.errors import install

if TYPE_CHECKING:
    from linnet_training.pruner import Pruner as Pruner

__all__ = ["Pruner"]


def __getattr__(name: str) -> Any:
    # Not at once: making the speech of `python -m linnet_training.speech` needs no torch.
    if name != "Pruner":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from linnet_training.pruner import Pruner
    except ModuleNotFoundError as error:
        raise ImportError(f"Pruner needs {error.name}: {install('train')}") from None
    return Pruner
