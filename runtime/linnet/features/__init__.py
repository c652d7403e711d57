"""Features: log-mel bands exactly as a voice stores their definition. numpy only."""

from linnet.features.bands import mel_basis, mel_centres
from linnet.features.definition import DEFAULT, complete
from linnet.features.log_mel import log_mel

__all__ = ["DEFAULT", "complete", "log_mel", "mel_basis", "mel_centres"]
