"""How close free-running resynthesis of held-out utterances comes to the recordings.

Per utterance, for the voice and for Griffin-Lim from the same mel: STOI, PESQ (wide band) and the
correlation and distance of log spectra; for the voice also its teacher-forced nats per sample.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linnet.features import complete

Pcm = NDArray[np.int16]
Mel = NDArray[np.float32]
MEASURES = {
    "stoi": "STOI",
    "pesq": "PESQ-WB",
    "correlation": "log-spectrum correlation",
    "distance": "log-spectral distance, dB",
}


def log_spectrum_correlation(reference: Pcm, other: Pcm, sample_rate: int) -> float:
    """Pearson correlation over all bins of log magnitudes."""
    a, b = (_log_spectrum(pcm, sample_rate).ravel() for pcm in (reference, other))
    return float(np.corrcoef(a, b)[0, 1])


def log_spectral_distance(reference: Pcm, other: Pcm, sample_rate: int) -> float:
    """Decibels: the root mean square difference of a frame's levels, averaged over frames."""
    a, b = (_log_spectrum(pcm, sample_rate) for pcm in (reference, other))
    return float(np.sqrt(np.mean((20 * (a - b)) ** 2, axis=0)).mean())


def _log_spectrum(pcm: Pcm, sample_rate: int) -> NDArray[np.float64]:
    """log10 of magnitudes (bins, frames), at least 1e-5: 25 ms Hann windows every 12.5 ms."""
    import librosa

    window, hop = round(0.025 * sample_rate), round(0.0125 * sample_rate)
    audio = pcm.astype(np.float32) / 32768.0
    size = np.abs(librosa.stft(audio, n_fft=window, hop_length=hop, window="hann"))
    return np.asarray(np.log10(np.maximum(size, 1e-5)), np.float64)


def measure(reference: Pcm, other: Pcm, sample_rate: int) -> dict[str, float]:
    """All measures of `other` (n,) against `reference` (n,); NaN where PESQ finds no speech."""
    import librosa
    from pesq import PesqError, pesq
    from pystoi import stoi

    pair = [x.astype(np.float32) / 32768.0 for x in (reference, other)]
    wide = [librosa.resample(x, orig_sr=sample_rate, target_sr=16000) for x in pair]
    score = pesq(16000, wide[0], wide[1], "wb", on_error=PesqError.RETURN_VALUES)
    return {
        "stoi": float(stoi(pair[0], pair[1], sample_rate)),
        "pesq": float(score) if score > 0 else float("nan"),
        "correlation": log_spectrum_correlation(reference, other, sample_rate),
        "distance": log_spectral_distance(reference, other, sample_rate),
    }


def griffin_lim(mel: Mel, definition: dict[str, Any], iterations: int = 60) -> Pcm:
    """Mel (n_mels, S) as `log_mel` defines it -> int16 (S * hop,), phases from a fixed seed."""
    import librosa

    level = mel.astype(np.float64) / definition["scale"] - definition["offset"]
    if definition["log"] == "ln":
        amplitude = np.exp(level)
    else:
        decibels = 20.0 / definition["power"] if definition["log"] == "db" else 1.0
        amplitude = 10.0 ** (level / decibels)
    hop, n_fft = definition["hop_length"], definition["n_fft"]
    size = librosa.feature.inverse.mel_to_stft(
        np.maximum(amplitude - definition["floor"], 0.0),
        sr=definition["sample_rate"],
        n_fft=n_fft,
        power=definition["power"],
        fmin=definition["fmin"],
        fmax=definition["fmax"],
        htk=definition["mel_scale"] == "htk",
        norm="slaney" if definition["mel_norm"] == "slaney" else None,
    )
    audio = librosa.griffinlim(
        size,
        n_iter=iterations,
        hop_length=hop,
        win_length=definition["win_length"],
        n_fft=n_fft,
        random_state=0,
    )
    audio = np.pad(audio, (0, max(0, mel.shape[1] * hop - len(audio))))[: mel.shape[1] * hop]
    return np.clip(np.rint(audio * 32768.0), -32768, 32767).astype(np.int16)


def open_voice(path: Path) -> Any:
    """An exported voice, or a training's folder or model.pt, exported on the spot: whatever is
    scored, the runtime computes it with the weights as it stores them (float16)."""
    import linnet

    if path.is_dir():
        path = path / "model.pt"
    if path.suffix == ".linnet":
        return linnet.load(str(path))
    from linnet_export import export

    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "voice.linnet"
        export(path, exported)
        return linnet.load(exported.read_bytes())


def evaluate(
    voice: Any,
    prepared: Path,
    utterances: int = 0,
    progress: Callable[[str], None] = lambda line: None,
    temperature: float = 1.0,
) -> dict[str, Any]:
    """Measures of the first `utterances` held-out recordings (0: all) and as many of speakers that
    were not trained on, if the data has any; and the means of each kind and each speaker."""
    index = json.loads((prepared / "prepared.json").read_text())
    definition = complete(index["features"])
    if complete(voice.info()["features"]) != definition:
        raise ValueError(f"{prepared} was prepared with other features than the voice's")
    speakers = index.get("speakers", {})
    names = {
        name: kind
        for kind in ("held_out", "unseen")
        for name in index.get(kind, [])[: utterances or None]
    }
    rows = []
    for name, kind in names.items():
        with np.load(prepared / f"{name}.npz") as file:
            pcm: Pcm = file["pcm"]
        mel = voice.features(pcm, voice.sample_rate)
        row: dict[str, Any] = {
            "name": name,
            "speaker": speakers.get(name, ""),
            "kind": kind,
            "seconds": len(pcm) / voice.sample_rate,
            "nats": float(np.mean(voice.score(mel, pcm))),
            "voice": measure(
                pcm, voice.synthesize(mel, seed=0, temperature=temperature), voice.sample_rate
            ),
            "griffin_lim": measure(pcm, griffin_lim(mel, definition), voice.sample_rate),
        }
        rows.append(row)
        progress(f"{name}: {row['nats']:.3f} nats, STOI {row['voice']['stoi']:.3f}")
    result: dict[str, Any] = {"mean": means([r for r in rows if r["kind"] == "held_out"])}
    if index.get("unseen"):
        result["unseen"] = means([r for r in rows if r["kind"] == "unseen"])
    present = sorted({row["speaker"] for row in rows})
    if len(present) > 1:
        result["speakers"] = {s: means([r for r in rows if r["speaker"] == s]) for s in present}
    return {**result, "utterances": rows}


def means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Nats averaged over samples, everything else over utterances."""
    weights = [row["seconds"] for row in rows]
    mean: dict[str, Any] = {
        "nats": float(np.average([row["nats"] for row in rows], weights=weights)),
        "seconds": sum(weights),
        "utterances": len(rows),
    }
    for method in ("voice", "griffin_lim"):
        mean[method] = {m: float(np.nanmean([row[method][m] for row in rows])) for m in MEASURES}
    return mean


def markdown(result: dict[str, Any]) -> str:
    """The means as a table."""
    lines = [
        f"| resynthesis | seconds | nats per sample | {' | '.join(MEASURES.values())} |",
        f"|---|---|---|{'---|' * len(MEASURES)}",
    ]
    groups = [("held out", result["mean"])]
    groups += [("speakers not trained on", result["unseen"])] if "unseen" in result else []
    groups += [(f"speaker {name}", mean) for name, mean in result.get("speakers", {}).items()]
    for title, mean in groups:
        for name, method, nats in (
            ("voice", "voice", f"{mean['nats']:.3f}"),
            ("Griffin-Lim, 60 iterations", "griffin_lim", "-"),
        ):
            cells = " | ".join(f"{mean[method][m]:.3f}" for m in MEASURES)
            lines.append(f"| {title}: {name} | {mean['seconds']:.0f} | {nats} | {cells} |")
    return "\n".join(lines)
