"""From a config to a trainer on its prepared data."""

from __future__ import annotations

from pathlib import Path

from linnet_training.config import Config
from linnet_training.loops.trainer import Trainer

REACH = 3  # frames before and after that the conditioning sees


def start(config: Config, folder: Path) -> Trainer:
    """The trainer of the architecture that the config names. Raises ValueError for others,
    FileNotFoundError where the data is not prepared."""
    prepared, name = Path(config.data.prepared), config.model.architecture
    if not (prepared / "prepared.json").exists():
        raise FileNotFoundError(f"{prepared}: no prepared data; run `linnet-train prepare` first")
    if name == "lpc-wavernn":
        from linnet_training.data.lpc import LpcCorpus
        from linnet_training.loops.lpc import LpcTrainer

        return LpcTrainer(config, LpcCorpus(prepared, config.signal.pre_emphasis, REACH), folder)
    if name == "wavernn-dual-softmax":
        from linnet_training.data.corpus import Corpus
        from linnet_training.loops.wavernn import WaveRNNTrainer

        return WaveRNNTrainer(config, Corpus(prepared, config.signal_dict(), REACH), folder)
    if name == "wavernn-subscale":
        from linnet_training.data.corpus import Corpus
        from linnet_training.loops.subscale import SubscaleTrainer

        return SubscaleTrainer(config, Corpus(prepared, config.signal_dict(), REACH), folder)
    if name == "source-filter":
        from linnet_training.data.pitch import PitchCorpus
        from linnet_training.loops.source_filter import SourceFilterTrainer

        return SourceFilterTrainer(config, PitchCorpus(prepared), folder)
    raise ValueError(
        f"architecture {name!r} is none of wavernn-dual-softmax, wavernn-subscale, lpc-wavernn, "
        "source-filter"
    )
