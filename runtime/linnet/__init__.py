"""Sparse WaveRNN vocoders on one CPU core, in real time.

    voice = linnet.load("slt")  # comes with linnet; or the path of a .linnet file
    pcm = voice.synthesize(voice.features(audio, sample_rate))

The same file, features and seed give the same bits on every CPU and every kernel set.
"""

from linnet import _core, features
from linnet.bundled import voices
from linnet.errors import FeatureWarning, FormatError
from linnet.matrix import SparseMatrix
from linnet.stream import VoiceStream
from linnet.voice import Voice, load

__version__ = _core.version()
__all__ = [
    "FeatureWarning",
    "FormatError",
    "SparseMatrix",
    "Voice",
    "VoiceStream",
    "__version__",
    "features",
    "kernels",
    "load",
    "voices",
]


def kernels() -> list[str]:
    """Names of the kernel sets that this CPU can run, best first."""
    return _core.kernels()
