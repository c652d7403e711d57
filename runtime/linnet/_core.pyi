"""linnet's C++ core. Not public: the package checks arguments before they come here.

Arrays are C-contiguous and of exactly the type named.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

_Float32 = npt.NDArray[np.float32]

def version() -> str: ...
def kernels() -> list[str]: ...

class Model:
    """A validated file. Raises linnet.FormatError, or OSError with errno and file name."""

    @staticmethod
    def open(path: bytes) -> Model: ...
    @staticmethod
    def from_buffer(buffer: Buffer) -> Model: ...
    @property
    def sample_rate(self) -> int: ...
    @property
    def hop_length(self) -> int: ...
    @property
    def n_features(self) -> int: ...
    @property
    def samples_per_step(self) -> int: ...
    @property
    def lookahead(self) -> int: ...
    @property
    def file_size(self) -> int: ...
    @property
    def metadata(self) -> bytes: ...

class Stream:
    """An utterance in progress. frames: (n_frames, n_features)."""

    def __init__(
        self,
        model: Model,
        seed: int = 0,
        stream: int = 0,
        temperature: float = 1.0,
        kernels: str | None = None,
        threads: int = 1,
    ) -> None: ...
    def push(self, frames: _Float32) -> int: ...
    def pull(self, samples: npt.NDArray[np.int16]) -> int: ...
    def finish(self) -> None: ...
    def synthesize(
        self,
        frames: _Float32,
        samples: npt.NDArray[np.int16],
        progress: Callable[[int], object] | None = None,
    ) -> int: ...
    def score(
        self,
        frames: _Float32,
        tokens: npt.NDArray[np.uint16],
        progress: Callable[[int], object] | None = None,
    ) -> float: ...
    def reset(self, seed: int = 0, stream: int = 0) -> None: ...
    @property
    def available(self) -> int: ...
    @property
    def kernels(self) -> str: ...

def synthesize_batch(
    model: Model,
    frames: list[_Float32],
    seeds: list[int],
    temperature: float = 1.0,
    kernels: str | None = None,
    progress: Callable[[int], object] | None = None,
) -> list[npt.NDArray[np.int16]]: ...

class Matrix:
    """A packed matrix (linnet.format.blocks.Packed) with its kernel."""

    def __init__(
        self,
        layout: int,
        dtype: int,
        rows: int,
        cols: int,
        values: bytes,
        columns: bytes = b"",
        quads: bytes = b"",
        kernels: str | None = None,
        threads: int = 1,
        input_range: float = 0,
    ) -> None: ...
    def matvec(self, x: _Float32, out: _Float32, bias: _Float32 | None = None) -> None: ...
    def matmul(self, x: _Float32, out: _Float32) -> None: ...
    def time(self, x: _Float32, repeats: int) -> float: ...
    @property
    def kernels(self) -> str: ...
