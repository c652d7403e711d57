"""The engine for many machines: Ray Data, with an actor per core."""

from __future__ import annotations

import importlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

from linnet.bulk.utterances import Utterance
from linnet.bulk.vocoder import Vocoder

BLOCKS_PER_ACTOR = 32  # enough to even out the work, few enough for Ray's bookkeeping


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
        ray.init(address=address, log_to_driver=False)
    try:
        actors = jobs or int(ray.cluster_resources().get("CPU", 1))
        rows = [{"name": utterance.name, "path": utterance.path} for utterance in utterances]
        blocks = min(-(-len(rows) // batch), BLOCKS_PER_ACTOR * actors)
        voice, *others = arguments
        results = data.from_items(rows, override_num_blocks=blocks).map_batches(
            Vocoder,
            fn_constructor_args=(Path(voice).read_bytes(), *others),
            batch_size=batch,
            batch_format="numpy",
            compute=data.ActorPoolStrategy(size=min(actors, blocks)),
            num_cpus=1,
            max_restarts=-1,
            max_task_retries=3,
        )
        yield from results.iter_batches(batch_size=None, batch_format="numpy")
    finally:
        if started:
            ray.shutdown()
