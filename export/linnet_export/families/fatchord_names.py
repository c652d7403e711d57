"""Names of fatchord/WaveRNN's tensors for those of its relatives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from linnet_export.names import rename

T = TypeVar("T")

_COUNTERS = re.compile(r"step|.*\.num_batches_tracked")
_RESNET, _SEQUENCE = "upsample.resnet", "upsample.resnet.melresnet_model"
_TORCHAUDIO = {
    "I.*": "fc.*",
    "upsample.up_layers.*": "upsample.upsample_layers.*",
    f"{_RESNET}.conv_in.*": f"{_SEQUENCE}.0.*",
    f"{_RESNET}.batch_norm.*": f"{_SEQUENCE}.1.*",
    f"{_RESNET}.layers.{{i}}.conv1.*": f"{_SEQUENCE}.{{i+3}}.resblock_model.0.*",
    f"{_RESNET}.layers.{{i}}.batch_norm1.*": f"{_SEQUENCE}.{{i+3}}.resblock_model.1.*",
    f"{_RESNET}.layers.{{i}}.conv2.*": f"{_SEQUENCE}.{{i+3}}.resblock_model.3.*",
    f"{_RESNET}.layers.{{i}}.batch_norm2.*": f"{_SEQUENCE}.{{i+3}}.resblock_model.4.*",
}


def canonical(tensors: Mapping[str, T]) -> dict[str, T]:
    """The tensors under the original's names: torchaudio's are translated, counters of training
    steps are left out.

    Raises ValueError listing what torchaudio's network has and the checkpoint lacks.
    """
    found = {name: tensor for name, tensor in tensors.items() if not _COUNTERS.fullmatch(name)}
    blocks = {name.split(".")[3] for name in found if ".resblock_model." in name}
    if blocks and "fc.weight" in found:
        # Three layers stand before the blocks in torchaudio's sequence, one behind them.
        last = {f"{_RESNET}.conv_out.*": f"{_SEQUENCE}.{len(blocks) + 3}.*"}
        found = rename(found, {**last, **_TORCHAUDIO})
    return found
