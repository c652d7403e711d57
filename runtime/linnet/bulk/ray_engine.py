"""The engine for many machines: Ray Data, with an actor per core."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Generator
from pathlib import Path
from typing import Any

from linnet.bulk.utterances import Utterance
from linnet.bulk.vocoder import Vocoder

BLOCKS_PER_ACTOR = 32  # enough to even out the work, few enough for Ray's bookkeeping


class _Vocoder(Vocoder):
    """Takes its voice from the object store: a list, since Ray resolves bare references itself."""

    def __init__(self, voice: list[Any], *others: Any) -> None:
        ray: Any = importlib.import_module("ray")
        super().__init__(ray.get(voice[0]), *others)


def run(
    utterances: list[Utterance],
    batch: int,
    jobs: int | None,
    arguments: tuple[Any, ...],
    address: str | None,
) -> Generator[dict[str, Any], None, None]:
    """The results of `Vocoder(*arguments)` for batches of utterances, from actors of a cluster.

    address: the cluster's, as of `ray.init`; None for one of this machine alone. jobs: actors, of
    one core each; None for all cores of the cluster. The bytes of the voice travel, so only the
    recordings and the output folder must be the same files on every machine. Ray starts an actor
    that died anew and gives it the same work again.
    """
    try:
        ray: Any = importlib.import_module("ray")
        data: Any = importlib.import_module("ray.data")
    except ImportError:
        raise ImportError("the engine ray needs Ray: pip install 'ray[data]'") from None
    started = not ray.is_initialized()
    if started:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    try:
        context = data.DataContext.get_current()
        context.enable_progress_bars = False  # the run has its own
        actors = jobs or int(ray.cluster_resources().get("CPU", 1))
        rows = [{"name": utterance.name, "path": utterance.path} for utterance in utterances]
        blocks = min(-(-len(rows) // batch), BLOCKS_PER_ACTOR * actors)
        path, *others = arguments
        voice = ray.put(Path(path).read_bytes())  # lives as long as an actor may start anew
        results = data.from_items(rows, override_num_blocks=blocks).map_batches(
            _Vocoder,
            fn_constructor_args=([voice], *others),
            batch_size=batch,
            batch_format="numpy",
            compute=data.ActorPoolStrategy(size=min(actors, blocks)),
            num_cpus=1,
        )
        yield from results.iter_batches(batch_size=None, batch_format="numpy")
    finally:
        if started:
            ray.shutdown()
