"""Make the sample app's assets: a voice, and the mel frames of a clip with the text that it says.

`python sample_assets.py [VOICE.linnet [CLIP.wav [TEXT]]]` writes voice.linnet, mel.f32 and
sentences.txt into build/android/assets. mel.f32 holds little-endian float32 values, frame after
frame, as Java and C take them; sentences.txt tells the sample's system voice what they say.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import linnet
from linnet.audio import read_wav

ROOT = Path(__file__).resolve().parents[2]
TEXT = "The right half of the brain controls the left half of the body."


def main(arguments: list[str]) -> None:
    defaults = [ROOT / "voices" / "slt.linnet", ROOT / "voices" / "slt-heldout.wav"]
    voice_path, clip = [*map(Path, arguments[:2]), *defaults[len(arguments) :]]
    text = arguments[2] if len(arguments) > 2 else TEXT if len(arguments) < 2 else clip.stem
    audio, sample_rate = read_wav(clip)
    mel = linnet.load(voice_path).features(audio, sample_rate)  # (n_mels, n_frames)
    folder = ROOT / "build" / "android" / "assets"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(voice_path, folder / "voice.linnet")
    mel.T.astype("<f4").tofile(folder / "mel.f32")
    (folder / "sentences.txt").write_text(f"mel.f32\t{text}\n", encoding="utf-8")
    print(f"{folder}: {voice_path.name} and {mel.shape[1]} frames of {mel.shape[0]}")


if __name__ == "__main__":
    main(sys.argv[1:])
