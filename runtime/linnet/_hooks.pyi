"""The inside of linnet's C++ core, for tests and benchmarks. Not public.

Arrays are C-contiguous and of exactly the type named.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

_Float32 = npt.NDArray[np.float32]

def gates(
    kernels: str | None, recurrent: _Float32, input: _Float32, state: _Float32
) -> _Float32: ...
def exponentials(
    kernels: str | None, logits: _Float32, inverse_temperature: float
) -> tuple[float, _Float32, _Float32]: ...
def activate(
    kernels: str | None, activation: int, y: _Float32, add: _Float32 | None = None
) -> _Float32: ...
def upsample(kernels: str | None, weights: _Float32, input: _Float32) -> _Float32: ...
def harmonics(
    kernels: str | None,
    cosine: _Float32,
    sine: _Float32,
    at: _Float32,
    parts: _Float32,
    out: _Float32,
) -> _Float32: ...
def spectrum(
    kernels: str | None, twiddles: _Float32, power: int, signal: _Float32, window: _Float32
) -> tuple[_Float32, _Float32, _Float32]: ...
def from_spectrum(
    kernels: str | None, twiddles: _Float32, re: _Float32, im: _Float32, gain: _Float32
) -> _Float32: ...
def corrections(
    kernels: str | None, numbers: _Float32, features: _Float32, bands: _Float32
) -> _Float32: ...
def circle(turns: _Float32) -> _Float32: ...
def widen(kernels: str | None, dtype: int, values: bytes) -> _Float32: ...
def stream_limit(values: bytes, dtype: int, repeats: int) -> float: ...
def profile(
    file: bytes, frames: _Float32, seed: int = 0, kernels: str | None = None
) -> dict[str, Any]: ...
def trace(
    file: bytes,
    frames: _Float32,
    observe: Callable[[_Float32], object],
    seed: int = 0,
    temperature: float = 1.0,
    kernels: str | None = None,
) -> None: ...
def operations() -> list[dict[str, Any]]: ...
def operand_sizes(file: bytes) -> list[dict[str, int]]: ...
def crc32(data: bytes) -> int: ...
