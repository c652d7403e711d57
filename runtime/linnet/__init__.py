"""Sparse WaveRNN vocoders on one CPU core, in real time.

    voice = linnet.load("voice.linnet")
    pcm = voice.synthesize(voice.features(audio, sample_rate))

The same file, features and seed give the same bits on every CPU and every kernel set.
"""

from linnet import _core
from linnet.errors import FormatError
from linnet.matrix import SparseMatrix
from linnet.voice import Voice, load

__version__ = _core.version()
__all__ = ["FormatError", "SparseMatrix", "Voice", "__version__", "kernels", "load"]


def kernels() -> list[str]:
    """Names of the kernel sets that this CPU can run, best first."""
    return _core.kernels()
