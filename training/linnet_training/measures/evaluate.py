"""How close free-running resynthesis of held-out utterances comes to the recordings.

Per utterance, for the voice, for white noise and for pulses at the recording's F0 that are matched
as the voice's samples are, for Griffin-Lim from the same mel, and for the voice and Griffin-Lim
from the mel that an acoustic model might have given: all of `audio.MEASURES`; for a voice that
gives a likelihood also its teacher-forced nats per sample; if asked for, the same of LPCNet, the
words that a recogniser mistakes, and the sounds as FLAC files.
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
from linnet.features.definition import to_bands, to_features
from linnet.format.operations import AllPole
from linnet.signal import to_int16
from linnet_training.measures.audio import MEASURES, Pcm, clicks_per_minute, level, measure
from linnet_training.measures.judges import PERIOD, dnsmos, fundamental
from linnet_training.measures.lpcnet import LPCNet
from linnet_training.measures.recognition import Recogniser, words

Mel = NDArray[np.float32]
METHODS = {
    "voice": "voice",
    "noise": "white noise, matched alike",
    "pulses": "pulses at the recording's F0, matched alike",
    "griffin_lim": "Griffin-Lim, 60 iterations",
    "predicted": "voice, mel as predicted",
    "predicted_griffin_lim": "Griffin-Lim, mel as predicted",
    "lpcnet": "LPCNet, from its own features",  # where its library is given
}
NOISE = 0.05  # RMS of noise and pulses, of full scale; matching brings them to their level
SILENCE = 2.0  # seconds of silent features
SMOOTH = 0.7  # bands, and frames: the deviations of the Gaussian window of a mel as predicted
OFF = 1.0  # dB: how far at most a value of it is off


def griffin_lim(mel: Mel, definition: dict[str, Any], iterations: int = 60) -> Pcm:
    """Mel (n_mels, S) as `log_mel` defines it -> int16 (S * hop,), phases from a fixed seed."""
    import librosa

    hop, n_fft = definition["hop_length"], definition["n_fft"]
    floor = definition["floor"] if definition["floor_by"] == "max" else 0.0
    size = librosa.feature.inverse.mel_to_stft(
        np.maximum(to_bands(mel, definition) - floor, 0.0),
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
    return to_int16(audio)


def predicted(mel: Mel, definition: dict[str, Any]) -> Mel:
    """A mel (n_mels, S) as an acoustic model might predict it: smooth over bands and frames, and
    every value off by up to OFF, evenly distributed, from a fixed seed."""
    from scipy.ndimage import gaussian_filter

    logs = np.log(np.maximum(to_bands(mel, definition), definition["floor"]))
    errors = np.random.default_rng(0).uniform(-OFF, OFF, mel.shape)
    errors *= definition["power"] * np.log(10) / 20  # a band is so many amplitudes
    return to_features(np.exp(gaussian_filter(logs, SMOOTH, mode="nearest") + errors), definition)


def pulses(f0: NDArray[np.float64], n: int, sample_rate: int) -> NDArray[np.float32]:
    """(n,) of power 1: a pulse every period of F0 in Hz (as `fundamental` gives it), white noise
    where that is 0."""
    times = np.arange(n) / sample_rate
    at = np.minimum(np.rint(times * 1000 / PERIOD).astype(int), len(f0) - 1)
    cycles = np.cumsum(f0[at] / sample_rate)
    begins = np.diff(np.floor(cycles), prepend=0.0) > 0
    pulse = begins * np.sqrt(sample_rate / np.maximum(f0[at], 1.0))
    noise = np.random.default_rng(0).standard_normal(n)
    return np.where(f0[at] > 0, pulse, noise).astype(np.float32)


def matcher(voice: Any) -> Callable[[NDArray[np.float32], Mel], Pcm]:
    """Matches samples (S * hop,) to mel (n_mels, S) as the voice matches its own, or with four
    frames a hop where it does not."""
    from linnet.reference.engine import ReferenceVoice
    from linnet.reference.matching import run
    from linnet_export.matching import matched
    from linnet_export.writing.writer import to_bytes

    file = voice.file()
    reference = ReferenceVoice(to_bytes(file if file.match else matched(file, 4)))
    match = reference.file.match
    assert match is not None
    parts = reference.parts(match)

    def matched_samples(samples: NDArray[np.float32], mel: Mel) -> Pcm:
        return to_int16(run(match, np.float32(NOISE) * samples, mel, parts))

    return matched_samples


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
    recogniser: Recogniser | None = None,
    clips: Path | None = None,
    lpcnet: LPCNet | None = None,
) -> dict[str, Any]:
    """Measures of the first `utterances` held-out recordings (0: all) and as many of speakers that
    were not trained on, if the data has any; and the means of each kind and each speaker.

    A recogniser counts its errors in the utterances whose text is known. clips: a folder for what
    is heard, NAME-recording.flac, NAME-voice.flac and so on for METHODS. lpcnet: another peer.
    """
    index = json.loads((prepared / "prepared.json").read_text())
    definition = complete(index["features"])
    if complete(voice.info()["features"]) != definition:
        raise ValueError(f"{prepared} was prepared with other features than the voice's")
    speakers, texts, rate = index.get("speakers", {}), index.get("texts", {}), voice.sample_rate
    if lpcnet and rate != LPCNet.RATE:
        raise ValueError(f"LPCNet has {LPCNet.RATE} Hz, not the voice's {rate}")
    names = {
        name: kind
        for kind in ("held_out", "unseen")
        for name in index.get(kind, [])[: utterances or None]
    }
    matched, rows = matcher(voice), []
    for name, kind in names.items():
        with np.load(prepared / f"{name}.npz") as file:
            pcm: Pcm = file["pcm"]
        mel = voice.features(pcm, rate)
        noise = np.random.default_rng(0).standard_normal(len(pcm)).astype(np.float32)
        smooth = predicted(mel, definition)
        made = {
            "voice": voice.synthesize(mel, seed=0, temperature=temperature),
            "noise": matched(noise, mel),
            "pulses": matched(pulses(fundamental(pcm, rate, 0.0), len(pcm), rate), mel),
            "griffin_lim": griffin_lim(mel, definition),
            "predicted": voice.synthesize(smooth, seed=0, temperature=temperature),
            "predicted_griffin_lim": griffin_lim(smooth, definition),
        }
        if lpcnet:
            made["lpcnet"] = lpcnet.resynthesise(pcm)
        row = {"name": name, "speaker": speakers.get(name, ""), "kind": kind}
        row |= measured(voice, mel, pcm, made)
        if recogniser and name in texts:
            row["words"] = counted(recogniser, {"recording": pcm, **made}, rate, texts[name])
        if clips:
            write(clips, name, {"recording": pcm, **made}, rate)
        rows.append(row)
        progress(f"{name}: STOI {row['voice']['stoi']:.3f}, PESQ {row['voice']['pesq']:.2f}")
    result: dict[str, Any] = {"silence": level(silent(voice, temperature))}
    for kind, title in (("held_out", "mean"), ("unseen", "unseen")):
        if index.get(kind):
            result[title] = means([r for r in rows if r["kind"] == kind])
    present = sorted({row["speaker"] for row in rows})
    if len(present) > 1:
        result["speakers"] = {s: means([r for r in rows if r["speaker"] == s]) for s in present}
    return {**result, "utterances": rows}


def measured(voice: Any, mel: Any, pcm: Pcm, made: dict[str, Pcm]) -> dict[str, Any]:
    """A recording's own figures, and the measures of what was made from its features."""
    rate = voice.sample_rate
    return {
        "seconds": len(pcm) / rate,
        "nats": nats(voice, mel, pcm),
        "clicks": clicks_per_minute(pcm, rate),
        "dnsmos": dnsmos(pcm, rate),
        **{method: measure(pcm, other, rate) for method, other in made.items()},
    }


def nats(voice: Any, mel: Any, pcm: Pcm) -> float:
    """Of a sample, on average; NaN where the voice gives no likelihood to a recording."""
    if isinstance(voice.file().sample_program[-1], AllPole):
        return float("nan")
    return float(np.mean(voice.score(mel, pcm)))


def counted(
    recogniser: Recogniser, sounds: dict[str, Pcm], rate: int, text: str
) -> dict[str, float]:
    """The words that were spoken, and how many of them each sound gets wrong."""
    errors = {kind: recogniser.errors(heard, rate, text) for kind, heard in sounds.items()}
    return {"spoken": len(words(text).split()), **errors}


def silent(voice: Any, temperature: float) -> Pcm:
    """What the voice makes of the features of digital silence."""
    nothing = np.zeros(round(SILENCE * voice.sample_rate), np.int16)
    mel = voice.features(nothing, voice.sample_rate)
    made: Pcm = voice.synthesize(mel, seed=0, temperature=temperature)
    return made


def write(folder: Path, name: str, sounds: dict[str, Pcm], sample_rate: int) -> None:
    """The sounds of one utterance, side by side."""
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    for kind, pcm in sounds.items():
        soundfile.write(folder / f"{name}-{kind}.flac", pcm, sample_rate)


def means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Nats averaged over samples, word errors over words, everything else over utterances."""
    weights = [row["seconds"] for row in rows]
    mean: dict[str, Any] = {
        "nats": float(np.average([row["nats"] for row in rows], weights=weights)),
        "seconds": sum(weights),
        "utterances": len(rows),
        # Of the recordings:
        "clicks": float(np.mean([row["clicks"] for row in rows])),
        "dnsmos": float(np.mean([row["dnsmos"] for row in rows])),
    }
    for method in METHODS:
        if method in rows[0]:
            mean[method] = {m: known_mean([row[method][m] for row in rows]) for m in MEASURES}
    counted = [row["words"] for row in rows if "words" in row]
    if counted:
        spoken = sum(count["spoken"] for count in counted)
        mean["word_error"] = {
            kind: sum(count[kind] for count in counted) / spoken
            for kind in ("recording", *METHODS)
            if kind in counted[0]
        }
    return mean


def known_mean(values: list[float]) -> float:
    """The mean of those that are not NaN; NaN where all are."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def worst(rows: list[dict[str, Any]]) -> str:
    """The clips that the voice makes worst: by PESQ, and by DNSMOS below the recording's."""
    judged = [row for row in rows if not np.isnan(row["voice"]["pesq"])] or rows
    a = min(judged, key=lambda row: row["voice"]["pesq"])
    b = min(rows, key=lambda row: row["voice"]["dnsmos"] - row["dnsmos"])
    return (
        f"The worst clip by PESQ is {a['name']} ({a['voice']['pesq']:.2f}), by DNSMOS "
        f"{b['name']} ({b['voice']['dnsmos']:.2f} of {b['dnsmos']:.2f})."
    )


def markdown(result: dict[str, Any]) -> str:
    """The means as a table, the worst clips, and the level of silence."""
    columns = ["resynthesis", "seconds", "nats per sample", *MEASURES.values(), "word error"]
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    titles = {"mean": "held out", "unseen": "speakers not trained on"}
    groups = [(title, result[key]) for key, title in titles.items() if key in result]
    groups += [(f"speaker {name}", mean) for name, mean in result.get("speakers", {}).items()]
    for title, mean in groups:
        error = {k: f"{100 * x:.1f} %" for k, x in mean.get("word_error", {}).items()}
        for method, name in METHODS.items():
            if method not in mean:
                continue
            known = method == "voice" and not np.isnan(mean["nats"])
            nats = f"{mean['nats']:.3f}" if known else "-"
            cells = " | ".join(f"{mean[method][m]:.3f}" for m in MEASURES)
            lines.append(
                f"| {title}: {name} | {mean['seconds']:.0f} | {nats} | {cells} "
                f"| {error.get(method, '-')} |"
            )
        blanks = " | ".join(f"{mean[m]:.3f}" if m in mean else "-" for m in MEASURES)
        lines.append(
            f"| {title}: the recordings | {mean['seconds']:.0f} | - | {blanks} "
            f"| {error.get('recording', '-')} |"
        )
    lines.append(f"\n{worst(result['utterances'])}")
    lines.append(f"Silent features: {result['silence']:.1f} dB of full scale.")
    return "\n".join(lines)
