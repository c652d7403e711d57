"""From a folder of recordings to a prepared folder.

A prepared folder holds one npz per utterance (`features` (n_mels, S) float32, `pcm` (S * hop,)
int16) and prepared.json: the feature definition, the range of the features of `train`, the seconds,
each utterance's speaker, and the split: `train`, `held_out` (other utterances of the same
speakers), `unseen` (speakers that are not trained on at all); and `texts`, of the utterances beside
which a texts.json tells what is said.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from linnet.audio import cut_off
from linnet.features import complete, log_mel
from linnet.features.log_mel import LOUDEST
from linnet.files import read_bytes
from linnet.signal import to_int16

READ = (".wav", ".flac")
# Recordings too, but of formats that lose what a voice should learn, or that few tools read.
NOT_READ = (".aac", ".aif", ".aiff", ".m4a", ".mp3", ".ogg", ".opus", ".w64", ".wma")


@dataclass(frozen=True)
class Seen:
    """Which values features have, of any number of utterances."""

    values: int = 0
    least: float = math.inf
    most: float = -math.inf
    sum: float = 0.0
    squares: float = 0.0

    @staticmethod
    def of(features: NDArray[np.float32]) -> Seen:
        wide = features.astype(np.float64)
        least, most = float(wide.min()), float(wide.max())
        return Seen(wide.size, least, most, float(wide.sum()), float((wide**2).sum()))

    def __add__(self, other: Seen) -> Seen:
        return Seen(
            self.values + other.values,
            min(self.least, other.least),
            max(self.most, other.most),
            self.sum + other.sum,
            self.squares + other.squares,
        )

    def noted(self) -> dict[str, float] | None:
        """What a voice says of the features that it was trained on."""
        if not self.values:
            return None
        mean = self.sum / self.values
        deviation = math.sqrt(max(self.squares / self.values - mean**2, 0.0))
        found = {"least": self.least, "most": self.most, "mean": mean, "deviation": deviation}
        return {key: float(f"{value:.6g}") for key, value in found.items()}


def is_held_out(name: str, fraction: float) -> bool:
    """The split depends on the file's name alone: adding files never moves one across it."""
    number = int.from_bytes(hashlib.sha1(name.encode()).digest()[:8], "big")
    return number < fraction * 2.0**64


def recordings(wavs: Path) -> dict[str, Path]:
    """The wav and flac files below a folder by name; a name is the path with _ between its parts.

    ValueError where two files would have one name, or fewer than two are there.
    """
    if not wavs.is_dir():
        raise FileNotFoundError(f"{wavs}: no such folder of wav files")
    paths = sorted(p for p in wavs.rglob("*") if p.suffix.lower() in READ)
    if len(paths) < 2:
        raise ValueError(f"{wavs}: needs at least two wav files, found {len(paths)}")
    named: dict[str, Path] = {}
    for path in paths:
        name = "_".join(path.relative_to(wavs).with_suffix("").parts)
        if name in named:
            raise ValueError(f"{path} and {named[name]} would have one name, {name!r}: rename one")
        named[name] = path
    return named


def not_read(wavs: Path) -> dict[str, str]:
    """The other recordings below a folder, by path, and why they are left out."""
    paths = sorted(p for p in wavs.rglob("*") if p.suffix.lower() in NOT_READ)
    return {str(path): f"{path}: not a {' or '.join(READ)} file" for path in paths}


def first_of_each(named: dict[str, Path], wavs: Path, most: int) -> dict[str, Path]:
    """The first `most` recordings of each speaker, by name (0: all)."""
    left: dict[str, int] = {}
    kept = {}
    for name, path in sorted(named.items()):
        speaker = speaker_of(path, wavs)
        left[speaker] = left.get(speaker, most) - 1
        if not most or left[speaker] >= 0:
            kept[name] = path
    return kept


def speaker_of(path: Path, wavs: Path) -> str:
    """The first folder below `wavs`, "" for files that lie in `wavs` itself."""
    parts = path.relative_to(wavs).parts
    return parts[0] if len(parts) > 1 else ""


def texts_of(named: dict[str, Path]) -> dict[str, str]:
    """What is said, by name: a texts.json in a folder maps the names of files in it to texts."""
    known: dict[Path, dict[str, str]] = {}
    for folder in {path.parent for path in named.values()}:
        listed = folder / "texts.json"
        known[folder] = json.loads(listed.read_text()) if listed.is_file() else {}
    found = {name: known[path.parent].get(path.name) for name, path in named.items()}
    return {name: text for name, text in found.items() if text}


def read(
    path: Path, rate: int, trim_db: float = 0.0, seconds: float = 0.0, peak: float = 0.0
) -> NDArray[np.float32]:
    """A recording as mono (n,) at `rate`, without what is `trim_db` below its loudest frame at
    both ends (0: untrimmed), of it the first `seconds` (0: all), brought to `peak` (0: as it is).
    ValueError names a file that cannot be read, or was cut."""
    import librosa
    import soundfile

    data = read_bytes(path)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            audio, original = file.read(dtype="float32", always_2d=True), file.samplerate
            missing = f"cut off: {len(audio)} of {file.frames} samples"
            why = cut_off(data) or (missing if len(audio) < file.frames else None)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{path}: {error.error_string}") from None
    if why is not None:
        raise ValueError(f"{path}: {why}")
    mono: NDArray[np.float32] = audio.mean(axis=1)
    if not np.isfinite(mono).all():
        raise ValueError(f"{path}: a sample is NaN or infinite")
    if np.abs(mono).max(initial=0) > LOUDEST:
        raise ValueError(f"{path}: floating-point samples far beyond [-1, 1]")
    if original != rate:
        mono = librosa.resample(mono, orig_sr=original, target_sr=rate, res_type="soxr_hq")
    if trim_db and mono.any():
        mono, _ = librosa.effects.trim(mono, top_db=trim_db, frame_length=1024, hop_length=256)
    if seconds:
        mono = mono[: round(seconds * rate)]
    if peak and mono.any():
        mono = mono * np.float32(peak / np.abs(mono).max())
    return mono


def padded(audio: NDArray[np.float32], silence: int, hop: int) -> NDArray[np.int16]:
    """A recording as 16 bits with `silence` samples at both ends, in whole hops; nothing of one
    without any sound."""
    pcm = to_int16(np.pad(audio, silence) if audio.any() else audio[:0])
    return np.pad(pcm, (0, -len(pcm) % hop))


def held_out_names(names: list[str], speakers: dict[str, str], fraction: float) -> set[str]:
    """About that fraction of each speaker's recordings; of several, at least one and not all."""
    found: set[str] = set()
    for speaker in sorted({speakers[name] for name in names}):
        own = [name for name in names if speakers[name] == speaker]
        chosen = [name for name in own if is_held_out(name, fraction)]
        # A handful of files may leave one side empty by chance.
        found.update((chosen or [min(own)])[: len(own) - 1])
    return found


def prepare(
    wavs: Path,
    folder: Path,
    definition: dict[str, Any],
    held_out: float = 0.03,
    pad_seconds: float = 0.1,
    trim_db: float = 0.0,
    held_out_speakers: Collection[str] = (),
    per_speaker: int = 0,
    seconds: float = 0.0,
    peak: float = 0.0,
    jobs: int = 2,
    strict: bool = False,
) -> dict[str, Any]:
    """Resamples and trims every recording below `wavs`, computes features, writes `folder`; returns
    the index.

    Each utterance gets `pad_seconds` of digital silence at both ends, so that silence is learnt.
    A subfolder of `wavs` is a speaker. If none is trained on, the data is good for evaluation only.
    Files without any sound are left out and listed, as `silent`. Those that cannot be read, were
    cut, or are of another kind are left out too, and `left_out` says why; `strict` raises
    ValueError. per_speaker: only the first so many files of each speaker (0: all). seconds, peak:
    as in `read`.
    """
    wanted = complete(definition)
    rate, hop = int(wanted["sample_rate"]), int(wanted["hop_length"])
    named = first_of_each(recordings(wavs), wavs, per_speaker)
    speakers = {name: speaker_of(path, wavs) for name, path in named.items()}
    unknown = sorted(set(held_out_speakers) - set(speakers.values()))
    if unknown:
        raise ValueError(
            f"no speakers {unknown} to hold out; there are {sorted(set(speakers.values()))}"
        )
    folder.mkdir(parents=True, exist_ok=True)

    left_out = not_read(wavs)
    if strict and left_out:
        raise ValueError("; ".join(left_out.values()))

    def one(name: str) -> tuple[float, Seen]:
        try:
            audio = read(named[name], rate, trim_db, seconds, peak)
        except ValueError as error:
            if strict:
                raise
            left_out[str(named[name])] = str(error)
            return 0.0, Seen()
        pcm = padded(audio, round(pad_seconds * rate), hop)
        if not pcm.any():
            return 0.0, Seen()
        features = log_mel(pcm, rate, wanted)
        np.savez(folder / f"{name}.npz", features=features, pcm=pcm)
        return len(pcm) / rate, Seen.of(features)

    with ThreadPoolExecutor(jobs) as pool:
        done = tqdm(pool.map(one, named), total=len(named), desc="prepare", mininterval=1)
        found = dict(zip(named, done, strict=True))
    lengths = {name: one[0] for name, one in found.items()}
    silent = [name for name in named if not lengths[name] and str(named[name]) not in left_out]
    unseen = [n for n in named if lengths[n] and speakers[n] in held_out_speakers]
    seen = [n for n in named if lengths[n] and speakers[n] not in held_out_speakers]
    test = held_out_names(seen, speakers, held_out)
    if not test and not unseen:
        why = "".join(f"; left out: {problem}" for problem in left_out.values())
        raise ValueError(f"{wavs}: no speaker has two recordings with sound, one to hold out{why}")
    train = [name for name in seen if name not in test]
    index = {
        "features": wanted,
        "feature_range": sum((found[name][1] for name in train), Seen()).noted(),
        "train": train,
        "held_out": [name for name in seen if name in test],
        "unseen": unseen,
        "silent": silent,
        "left_out": dict(sorted(left_out.items())),
        "speakers": speakers,
        "texts": texts_of(named),
        "seconds": round(sum(lengths.values()), 1),
        "held_out_seconds": round(sum(lengths[name] for name in test), 1),
        "unseen_seconds": round(sum(lengths[name] for name in unseen), 1),
        "pad_seconds": pad_seconds,
    }
    (folder / "prepared.json").write_text(json.dumps(index, indent=1) + "\n")
    return index
