"""Measurements: how fast a voice runs, and how fast its matrix is beside dense ones and the limit.

Alternatives are timed in turn, round after round, so that a slow moment of the machine meets all of
them; each figure is the median of the rounds.
"""

from __future__ import annotations

import contextlib
import importlib
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linnet import _core, blocks
from linnet.describe import recurrent_matrix
from linnet.matrix import SparseMatrix
from linnet.pruning import prune
from linnet.voice import Voice

ROUNDS = 9
ROUND_SECONDS = 0.02  # of one alternative


@dataclass(frozen=True)
class ProductTimes:
    """Seconds per product y = W x of one matrix, on one thread."""

    rows: int
    cols: int
    block: str
    dtype: str
    density: float
    nbytes: int
    kernels: str
    sparse: float
    dense: float  # linnet's own dense kernel, all weights stored in the same type
    numpy: float  # numpy's float32 product
    stream_limit: float  # only loading, widening and multiply-adding the stored weights

    @property
    def ratio(self) -> float:
        """Time of the sparse product over the stream limit."""
        return self.sparse / self.stream_limit


@dataclass(frozen=True)
class VoiceTimes:
    """Speed of a whole voice on one thread."""

    seconds_per_sample: float
    real_time_factor: float  # seconds of work per second of audio: below 1 is faster than real time


def cpu_name() -> str:
    """The processor's name, as far as the system tells it."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def interleaved(
    alternatives: Mapping[str, Callable[[int], float]], rounds: int = ROUNDS
) -> dict[str, float]:
    """Median seconds of each alternative: a function of n that returns seconds per repetition."""
    repeats = {
        name: max(1, min(1_000_000, int(ROUND_SECONDS / max(run(3), 1e-9))))
        for name, run in alternatives.items()
    }
    times: dict[str, list[float]] = {name: [] for name in alternatives}
    for _ in range(rounds):
        for name, run in alternatives.items():
            times[name].append(run(repeats[name]))
    return {name: float(np.median(of)) for name, of in times.items()}


def time_products(matrix: SparseMatrix, rounds: int = ROUNDS) -> ProductTimes:
    """Time one matrix beside its dense forms and the stream limit."""
    weights = matrix.to_dense()
    rows, cols = matrix.shape
    x = np.random.default_rng(0).standard_normal(cols).astype(np.float32)
    y = np.empty(rows, np.float32)
    dense = SparseMatrix(weights, "dense", matrix.dtype, matrix.kernels)
    values = matrix.packed.values.tobytes()
    dtype = blocks.DTYPES[matrix.dtype]

    def numpy_product(repeats: int) -> float:
        start = time.perf_counter()
        for _ in range(repeats):
            np.dot(weights, x, out=y)
        return (time.perf_counter() - start) / repeats

    with one_blas_thread():
        times = interleaved(
            {
                "sparse": lambda n: matrix.time(x, n),
                "dense": lambda n: dense.time(x, n),
                "numpy": numpy_product,
                "stream_limit": lambda n: _core.stream_limit(values, dtype, n),
            },
            rounds,
        )
    return ProductTimes(
        rows,
        cols,
        matrix.block,
        matrix.dtype,
        matrix.density,
        matrix.nbytes,
        matrix.kernels,
        **times,
    )


def time_voice(voice: Voice, seconds: float = 1.0, rounds: int = 5) -> VoiceTimes:
    """Time `synthesize` on random features that last about `seconds`."""
    n_frames = max(1, round(seconds * voice.sample_rate / voice.hop_length))
    mel = np.random.default_rng(0).random((voice.n_mels, n_frames), np.float32)
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        samples = voice.synthesize(mel)
        times.append((time.perf_counter() - start) / samples.size)
    per_sample = float(np.median(times[1:]))
    return VoiceTimes(per_sample, per_sample * voice.sample_rate)


def voice_matrix(voice: Voice) -> SparseMatrix | None:
    """The voice's recurrent matrix, None where it has no gates."""
    tensor = recurrent_matrix(voice.file())
    return None if tensor is None else SparseMatrix.from_packed(tensor.packed, voice.kernels)


def random_matrix(
    rows: int, cols: int, sparsity: float, block: str, dtype: str, kernels: str | None
) -> SparseMatrix:
    """A matrix of normal weights, pruned at random places."""
    weights: npt.NDArray[np.float32] = (
        np.random.default_rng(0).standard_normal((rows, cols)).astype(np.float32)
    )
    if block != blocks.DENSE:
        weights = prune(weights, block, sparsity)
    return SparseMatrix(weights, block, dtype, kernels)


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keeps numpy's products on one thread, where threadpoolctl is installed."""
    try:
        threadpoolctl = importlib.import_module("threadpoolctl")
    except ImportError:
        yield
        return
    with threadpoolctl.threadpool_limits(1):
        yield
