"""Log-mel features exactly as a voice stores their definition (librosa does the work).

A `definition` is a dict of plain values, see `DEFAULT`; every key may be left out. The value of a
band is (log(max(mel, floor)) + offset) * scale, so with the defaults digital silence is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

DEFAULT: dict[str, Any] = {
    "kind": "log-mel",
    "sample_rate": 16000,
    "n_fft": 1024,
    "win_length": 800,
    "hop_length": 200,
    "n_mels": 80,
    "fmin": 50.0,
    "fmax": 8000.0,
    "mel_scale": "slaney",  # or "htk"
    "mel_norm": "slaney",  # or "none"
    "mel_triangles": "hz",  # or "mel": on which scale the sides of a band's triangle are straight
    "power": 1.0,  # of the magnitude: 1 amplitude, 2 power
    "log": "log10",  # or "ln", "db" (20 log10 of an amplitude, 10 log10 of a power)
    "floor": 1e-5,
    "offset": 5.0,
    "scale": 0.2,
    "clip_min": None,
    "clip_max": None,
    "center": True,
    "pad_mode": "constant",
    "pre_emphasis": 0.0,  # y[n] = x[n] - pre_emphasis x[n - 1] before all else
}
LOUDEST = 8.0  # of floating-point audio: 18 dB above full scale is no recording, but other units
_CHOICES: dict[str, tuple[str, ...]] = {
    "kind": ("log-mel",),
    "mel_scale": ("slaney", "htk"),
    "mel_norm": ("slaney", "none"),
    "mel_triangles": ("hz", "mel"),
    "log": ("log10", "ln", "db"),
    "pad_mode": ("constant", "reflect", "edge"),
}


def complete(definition: Mapping[str, Any]) -> dict[str, Any]:
    """`definition` with the defaults filled in; ValueError names an unknown key or choice."""
    unknown = set(definition) - set(DEFAULT)
    if unknown:
        raise ValueError(f"unknown feature keys: {sorted(unknown)}; known: {sorted(DEFAULT)}")
    full = {**DEFAULT, **definition}
    for key, choices in _CHOICES.items():
        if full[key] not in choices:
            raise ValueError(f"feature {key} must be one of {choices}, not {full[key]!r}")
    for key in ("sample_rate", "n_fft", "win_length", "hop_length", "n_mels", "floor", "power"):
        if not full[key] > 0:
            raise ValueError(f"feature {key} must be positive, not {full[key]!r}")
    if not -1 < full["pre_emphasis"] < 1:
        raise ValueError(
            f"feature pre_emphasis must be within (-1, 1), not {full['pre_emphasis']!r}"
        )
    return full


def _mono(audio: ArrayLike) -> NDArray[np.float32]:
    samples = np.asarray(audio)
    if samples.ndim != 1:
        raise ValueError(f"audio must be mono (n_samples,), not of shape {samples.shape}")
    if samples.dtype == np.int16:
        return samples.astype(np.float32) / np.float32(32768.0)
    if not np.issubdtype(samples.dtype, np.floating):
        raise ValueError(f"audio must be float or int16, not {samples.dtype}")
    if not np.isfinite(samples).all():
        raise ValueError("audio contains NaN or infinite samples")
    loudest = np.abs(samples).max(initial=0)
    if loudest > LOUDEST:
        raise ValueError(
            f"audio of floating point lies in [-1, 1], but {loudest:g} came: divide 16-bit samples"
            " by 32768, or pass them as int16"
        )
    return samples.astype(np.float32)


def require_librosa(what: str) -> Any:
    """The package librosa. Raises ImportError saying `what` needs it."""
    try:
        import librosa
    except ImportError as error:
        raise ImportError(f"{what} needs librosa: pip install 'linnet[audio]'") from error
    return librosa


def mel_basis(wanted: Mapping[str, Any]) -> NDArray[np.float32]:
    """The weights (n_mels, n_fft // 2 + 1) of bins in the bands of a whole definition."""
    import librosa

    htk, n_mels, n_fft = wanted["mel_scale"] == "htk", wanted["n_mels"], wanted["n_fft"]
    norm: Literal["slaney"] | None = "slaney" if wanted["mel_norm"] == "slaney" else None
    if wanted["mel_triangles"] == "hz":
        basis: NDArray[np.float32] = librosa.filters.mel(
            sr=wanted["sample_rate"],
            n_fft=n_fft,
            n_mels=n_mels,
            fmin=wanted["fmin"],
            fmax=wanted["fmax"],
            htk=htk,
            norm=norm,
        )
        return basis
    low, high = librosa.hz_to_mel(np.array([wanted["fmin"], wanted["fmax"]]), htk=htk)
    frequencies = np.arange(n_fft // 2 + 1) * wanted["sample_rate"] / n_fft
    place = (librosa.hz_to_mel(frequencies, htk=htk) - low) / (high - low) * (n_mels + 1)
    triangles = np.maximum(0, 1 - np.abs(place - np.arange(1, n_mels + 1)[:, None]))
    if norm is not None:
        edges = librosa.mel_to_hz(np.linspace(low, high, n_mels + 2), htk=htk)
        triangles *= 2 / (edges[2:] - edges[:-2])[:, None]
    return np.asarray(triangles, np.float32)


def mel_centres(wanted: Mapping[str, Any]) -> NDArray[np.float64]:
    """The centres (n_mels,) of the bands of a whole definition, in Hz."""
    import librosa

    edges = librosa.mel_frequencies(
        n_mels=wanted["n_mels"] + 2,
        fmin=wanted["fmin"],
        fmax=wanted["fmax"],
        htk=wanted["mel_scale"] == "htk",
    )
    return np.asarray(edges[1:-1], np.float64)


def log_mel(
    audio: ArrayLike, sample_rate: int, definition: Mapping[str, Any]
) -> NDArray[np.float32]:
    """Mono audio (n_samples,), float in [-1, 1] or int16 -> (n_mels, n_frames) float32.

    n_frames = ceil(n_samples / hop_length) after resampling to the definition's rate; frame t
    conditions samples t * hop_length to (t + 1) * hop_length - 1.
    """
    wanted = complete(definition)
    if not 0 < sample_rate < float("inf"):
        raise ValueError(f"the sample rate must be positive, not {sample_rate}")
    samples = _mono(audio)
    librosa = require_librosa("computing features")
    rate, hop, n_fft = wanted["sample_rate"], wanted["hop_length"], wanted["n_fft"]
    if sample_rate != rate and len(samples):
        samples = librosa.resample(samples, orig_sr=sample_rate, target_sr=rate, res_type="soxr_hq")
    n_frames = -(-len(samples) // hop)
    if n_frames == 0:
        return np.zeros((wanted["n_mels"], 0), np.float32)
    if wanted["pre_emphasis"]:
        samples[1:] -= np.float32(wanted["pre_emphasis"]) * samples[:-1].copy()
    # Zeros behind the end give every hop its frame, with and without centring.
    needed = n_frames * hop if wanted["center"] else (n_frames - 1) * hop + n_fft
    samples = np.pad(samples, (0, max(0, needed - len(samples))))
    if wanted["center"]:
        mode = wanted["pad_mode"]
        if mode == "reflect" and len(samples) <= n_fft // 2:
            raise ValueError(f"reflect padding needs more than {n_fft // 2} samples")
        samples = np.pad(samples, n_fft // 2, mode=mode)
    spectrum = librosa.stft(
        samples, n_fft=n_fft, hop_length=hop, win_length=wanted["win_length"], center=False
    )[:, :n_frames]
    mel = (mel_basis(wanted) @ np.abs(spectrum) ** wanted["power"]).astype(np.float64)
    # In float64 the logarithm of the floor is exact enough that silence comes out as exactly 0.
    mel = np.maximum(mel, wanted["floor"])
    level = np.log(mel) if wanted["log"] == "ln" else np.log10(mel)
    if wanted["log"] == "db":
        level *= 20.0 / wanted["power"]
    value = (level + wanted["offset"]) * wanted["scale"]
    if wanted["clip_min"] is not None or wanted["clip_max"] is not None:
        value = np.clip(value, wanted["clip_min"], wanted["clip_max"])
    return np.ascontiguousarray(value, dtype=np.float32)
