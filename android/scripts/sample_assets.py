"""Make the sample app's assets: a voice, and the mel frames of a clip with the text that it says.

`python sample_assets.py [VOICE [CLIP.wav [TEXT]]] [--dtype TYPE]` writes voice.linnet, mel.f32 and
sentences.txt into build/android/assets. VOICE is a file, or a voice that comes with linnet. mel.f32
holds little-endian float32 values, frame after frame, as Java and C take them; sentences.txt tells
the sample's system voice what they say.

The voice's weights are stored as int8 unless --dtype says otherwise (docs/android.md has why).
Where the voice gives a likelihood to recordings they are calibrated on one, which needs the extra
`reference` and a minute. A voice that has the type is packed as it is.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import linnet
from linnet.audio import read_wav
from linnet.bundled import find
from linnet.cli.arguments import storage_type
from linnet.format.blocks import VECTOR
from linnet.format.dtypes import DTYPES
from linnet.format.reading import read
from linnet.format.voice_file import VoiceFile
from linnet_export import restore

ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "voices" / "slt-heldout.wav"
TEXT = "The right half of the brain controls the left half of the body."


def dtype_of(voice: VoiceFile) -> str:
    """The type of its largest matrix."""
    matrices = [tensor for tensor in voice.tensors if tensor.layout != VECTOR]
    return max(matrices, key=lambda tensor: tensor.packed.stored_weights).dtype


def convert(voice_path: Path, out: Path, dtype: str, recording: Path) -> None:
    """Write the voice with its weights in this type."""
    voice = read(voice_path.read_bytes())
    if dtype_of(voice) == dtype:
        shutil.copyfile(voice_path, out)
        return
    told = dtype == "int8" and voice.header.n_slots > 0  # it draws classes, so a recording has nats
    restore(voice_path, out, dtype, calibrate=recording if told else None)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("voice", nargs="?", default="slt")
    parser.add_argument("clip", nargs="?", type=Path, default=CLIP)
    parser.add_argument("text", nargs="?")
    parser.add_argument(
        "--dtype", type=storage_type, choices=list(DTYPES), default="int8", metavar="TYPE"
    )
    parser.add_argument(
        "--calibrate",
        type=Path,
        default=CLIP,
        metavar="IN.wav",
        help="speech that the voice was trained on, or like it",
    )
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "android" / "assets")
    given = parser.parse_args(arguments)
    text = given.text or (TEXT if given.clip == CLIP else given.clip.stem)
    voice_path, folder = Path(find(given.voice)), given.output
    folder.mkdir(parents=True, exist_ok=True)
    convert(voice_path, folder / "voice.linnet", given.dtype, given.calibrate)
    packed = linnet.load(folder / "voice.linnet")
    audio, sample_rate = read_wav(given.clip)
    mel = packed.features(audio, sample_rate)  # (n_mels, n_frames)
    mel.T.astype("<f4").tofile(folder / "mel.f32")
    (folder / "sentences.txt").write_text(f"mel.f32\t{text}\n", encoding="utf-8")
    size, before = packed.info()["file_bytes"], voice_path.stat().st_size
    print(f"{folder}: {mel.shape[1]} frames of {mel.shape[0]}, and {voice_path.name}")
    print(f"  in {given.dtype}, {size:,} bytes (the voice: {before:,})")
    if given.dtype == "int8":
        print("  --dtype fp16 (with make: DTYPE=fp16) packs float16; docs/android.md says what for")


if __name__ == "__main__":
    main()
