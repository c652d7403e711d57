"""Make the sample app's assets: a voice, and the mel frames of a clip.

`python sample_assets.py [VOICE.linnet [CLIP.wav]]` writes voice.linnet and mel.f32 into
build/android/assets. mel.f32 holds little-endian float32 values, frame after frame, as Java and C
take them. Needs `pip install '.[audio]'`.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import soundfile

import linnet

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> None:
    defaults = [ROOT / "voices" / "slt.linnet", ROOT / "voices" / "slt-heldout.wav"]
    voice_path, clip = [*map(Path, arguments), *defaults[len(arguments) :]]
    audio, sample_rate = soundfile.read(clip, dtype="float32")
    mel = linnet.load(voice_path).features(audio, sample_rate)  # (n_mels, n_frames)
    folder = ROOT / "build" / "android" / "assets"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(voice_path, folder / "voice.linnet")
    mel.T.astype("<f4").tofile(folder / "mel.f32")
    print(f"{folder}: {voice_path.name} and {mel.shape[1]} frames of {mel.shape[0]}")


if __name__ == "__main__":
    main(sys.argv[1:])
