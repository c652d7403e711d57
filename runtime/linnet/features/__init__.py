"""Features: log-mel bands exactly as a voice stores their definition. numpy only."""

from linnet.features.bands import mel_basis, mel_centres
from linnet.features.convert import convert
from linnet.features.definition import DEFAULT, complete
from linnet.features.log_mel import log_mel
from linnet.features.presets import PRESETS

__all__ = ["DEFAULT", "PRESETS", "complete", "convert", "log_mel", "mel_basis", "mel_centres"]
