"""The `.linnet` file (export/FORMAT.md): tensors, operations, and reading them."""

from linnet.format.reading import is_voice, read
from linnet.format.tensor import Tensor
from linnet.format.voice_file import Header, VoiceFile

__all__ = ["Header", "Tensor", "VoiceFile", "is_voice", "read"]
