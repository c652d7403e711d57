"""LPCNet with its trained weights, a peer to compare with: Debian's package libcodec2-1.0 has them.

Nothing here needs it: `linnet-train evaluate --lpcnet LIBRARY` loads it where it is installed. It
resynthesises a recording from its own features (Valin and Skoglund 2019, "LPCNet: Improving Neural
Speech Synthesis Through Linear Prediction"), which say the pitch of the recording.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pcm = NDArray[np.int16]

FRAME = 160
ALL_FEATURES = 55  # that lpcnet_dump gives of a frame
ENVELOPE, USED = 18, 38  # of these, lpcnet_synthesize takes 18, 18 zeros, pitch and its gain
DELAYS = range(320, 521, 20)  # samples by which it may be late


class LPCNet:
    """A library that has it. Raises OSError where it cannot be loaded, ValueError naming it where
    it has no LPCNet."""

    RATE = 16000

    def __init__(self, path: Path) -> None:
        self.path = path
        _load(path)

    def resynthesise(self, pcm: Pcm) -> Pcm:
        """A recording (n,) at RATE -> what LPCNet makes of it (n,), less the delay of DELAYS that
        gives the best STOI. The same each time: a process of its own begins with the same random
        numbers, and with memory that glibc zeroes, of which the library reads some before it has
        written there."""
        from pystoi import stoi

        whole = np.pad(pcm, (0, max(DELAYS) + FRAME))
        child = [sys.executable, "-m", "linnet_training.measures.lpcnet", str(self.path)]
        environment = {**os.environ, "MALLOC_PERTURB_": "255"}
        made = subprocess.run(
            child, input=whole.tobytes(), stdout=subprocess.PIPE, env=environment, check=True
        )
        late = np.frombuffer(made.stdout, np.int16)
        shifted = [late[delay : delay + len(pcm)] for delay in DELAYS]
        scores = [stoi(pcm / 32768.0, other / 32768.0, self.RATE) for other in shifted]
        return shifted[int(np.argmax(scores))]


def _load(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    try:
        for name in ("lpcnet_create", "lpcnet_dump_create"):
            getattr(library, name).restype = ctypes.c_void_p
        for name in ("lpcnet_dump", "lpcnet_synthesize"):
            getattr(library, name).restype = None
    except AttributeError:
        raise ValueError(f"{path} has no LPCNet; Debian's libcodec2-1.0 has one") from None
    return library


def _synthesised(library: ctypes.CDLL, pcm: Pcm) -> Pcm:
    """Whole frames of a recording (n,) -> as many, late."""
    frames = pcm[: len(pcm) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float32)
    made = np.zeros(frames.shape, np.int16)
    features = np.zeros(ALL_FEATURES, np.float32)
    analysis = ctypes.c_void_p(library.lpcnet_dump_create())
    network = ctypes.c_void_p(library.lpcnet_create())
    for frame, out in zip(frames, made, strict=True):
        library.lpcnet_dump(analysis, _address(frame), _address(features))
        features[ENVELOPE : 2 * ENVELOPE] = 0
        library.lpcnet_synthesize(network, _address(out), _address(features), FRAME, 0)
    return made.reshape(-1)


def _address(array: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


if __name__ == "__main__":
    recording = np.frombuffer(sys.stdin.buffer.read(), np.int16)
    sys.stdout.buffer.write(_synthesised(_load(Path(sys.argv[1])), recording).tobytes())
