"""Files that a voice vocodes: features, or recordings that become features."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from linnet.arguments import checked_mel, oriented
from linnet.audio import decode
from linnet.features import PRESETS, complete, convert
from linnet.files import read_bytes

if TYPE_CHECKING:
    from linnet.voice import Voice


def load_features(
    voice: Voice, path: str, source: str | None = None, transpose: bool = False
) -> npt.NDArray[Any]:
    """Features (n_mels, n_frames) from a file of them, converted where they are another project's,
    or of a recording."""
    data = read_bytes(path)
    mel = mel_of(data, path)
    if mel is None:
        recording, rate = decode(data, path)
        with _named(path):
            return voice.features(recording, rate)
    with _named(path):
        if source is not None:
            n_mels = complete(PRESETS[source])["n_mels"]
            return convert(oriented(mel, n_mels, transpose), source, voice)
        mel = oriented(mel, voice.n_mels, transpose)
        checked_mel(mel, voice.n_mels)
    return mel


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def load_mel(path: str) -> npt.NDArray[Any]:
    """Features from a .npy, .npz or .pt file, as they stand there."""
    array = mel_of(read_bytes(path), path)
    if array is None:
        raise ValueError(f"{path}: features are a .npy, .npz or .pt file")
    return array


def mel_of(data: bytes, path: str) -> npt.NDArray[Any] | None:
    """The one array of a .npy, .npz or .pt file; None where it is of another kind."""
    ending = os.path.splitext(path)[1].lower()
    if ending in (".pt", ".pth"):
        return _tensor_of(data, path)
    if not data.startswith((b"\x93NUMPY", b"PK\x03\x04")) and ending not in (".npy", ".npz"):
        return None
    try:
        loaded = np.load(io.BytesIO(data), allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            return np.asarray(loaded[_only_one(list(loaded.files), path)])
    except (ValueError, EOFError, KeyError, OSError, zipfile.BadZipFile, zlib.error) as error:
        if str(error).startswith(f"{path}: "):
            raise
        raise ValueError(f"{path}: not a .npy or .npz file of numbers ({error})") from None


def _tensor_of(data: bytes, path: str) -> npt.NDArray[Any]:
    """The one tensor of a file of torch.save, as an array."""
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError:
        raise ValueError(f"{path}: features in a .pt file need PyTorch; or save a .npy") from None
    try:
        loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch makes of a damaged file
        first = str(error).partition("\n")[0]
        raise ValueError(f"{path}: not a .pt file of a tensor ({first})") from None
    if isinstance(loaded, dict):
        loaded = loaded[_only_one(list(loaded), path)]
    if not isinstance(loaded, torch.Tensor):
        raise ValueError(f"{path}: holds a {type(loaded).__name__}, not a tensor")
    array: npt.NDArray[Any] = loaded.detach().float().numpy()
    return array


def _only_one(names: list[str], path: str) -> str:
    """The array's name, where a file has one, or one called mel or features."""
    for name in ("mel", "features"):
        if name in names:
            return name
    if len(names) != 1:
        raise ValueError(f"{path}: holds {len(names)} arrays, none called mel: {', '.join(names)}")
    return names[0]
