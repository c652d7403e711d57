"""LPCNet with its trained weights, a peer to compare with: Debian's package libcodec2-1.0 has them.

Nothing here needs it: `linnet-train evaluate --lpcnet LIBRARY` loads it where it is installed. It
resynthesises a recording from its own features (Valin and Skoglund 2019, "LPCNet: Improving Neural
Speech Synthesis Through Linear Prediction"), which say the pitch of the recording.
"""

from __future__ import annotations

import ctypes
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
    """The functions of a library. Raises OSError for one that cannot be loaded, ValueError naming
    it for one without LPCNet. Its random numbers go on from call to call, and are the same in every
    process."""

    RATE = 16000

    def __init__(self, path: Path) -> None:
        self.library = ctypes.CDLL(str(path))
        try:
            for name in ("lpcnet_create", "lpcnet_dump_create"):
                getattr(self.library, name).restype = ctypes.c_void_p
            for name in ("lpcnet_dump", "lpcnet_synthesize", "lpcnet_destroy"):
                getattr(self.library, name).restype = None
            self.library.lpcnet_dump_destroy.restype = None
        except AttributeError:
            raise ValueError(f"{path} has no LPCNet; Debian's libcodec2-1.0 has one") from None

    def resynthesise(self, pcm: Pcm) -> Pcm:
        """A recording (n,) at RATE -> what LPCNet makes of it (n,), less the delay of DELAYS that
        gives the best STOI."""
        from pystoi import stoi

        late = self._synthesised(np.pad(pcm, (0, max(DELAYS) + FRAME)))
        shifted = [late[delay : delay + len(pcm)] for delay in DELAYS]
        scores = [stoi(pcm / 32768.0, other / 32768.0, self.RATE) for other in shifted]
        return shifted[int(np.argmax(scores))]

    def _synthesised(self, pcm: Pcm) -> Pcm:
        frames = pcm[: len(pcm) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float32)
        made = np.zeros(frames.shape, np.int16)
        features = np.zeros(ALL_FEATURES, np.float32)
        analysis = ctypes.c_void_p(self.library.lpcnet_dump_create())
        network = ctypes.c_void_p(self.library.lpcnet_create())
        for frame, out in zip(frames, made, strict=True):
            self.library.lpcnet_dump(analysis, _address(frame), _address(features))
            features[ENVELOPE : 2 * ENVELOPE] = 0
            self.library.lpcnet_synthesize(network, _address(out), _address(features), FRAME, 0)
        self.library.lpcnet_destroy(network)
        self.library.lpcnet_dump_destroy(analysis)
        return made.reshape(-1)


def _address(array: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
