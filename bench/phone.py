"""Folders to push to a phone, made without the Android NDK: build/phone/ABI.

python bench/phone.py VOICE.linnet CLIP.wav
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np

import linnet
from linnet.audio import read_wav
from native import ROOT, build

ABIS = {"arm64-v8a": "phone-arm64", "armeabi-v7a": "phone-armv7"}  # to CMake presets
PROGRAMS = {"vocode": "linnet-synth", "linnet-bench": "linnet-bench"}

README = """\
Static programs for phones with {abi}. On a computer with adb:

    adb push {abi} /data/local/tmp/linnet
    adb shell
    cd /data/local/tmp/linnet && chmod +x linnet-*
    ./linnet-bench voice.linnet mel.f32
    ./linnet-synth voice.linnet mel.f32 out.wav
    exit
    adb pull /data/local/tmp/linnet/out.wav

linnet-bench times products with random matrices, beside the limit of this core, then the voice: one
stream, and eight pulled together. Under an emulator such as QEMU the samples are right, but times
mean nothing. `taskset f0 ./linnet-bench ...` keeps to the big cores (4 to 7 on many phones).
"""


def main(voice_path: Path, clip_path: Path, out: Path = ROOT / "build" / "phone") -> None:
    voice = linnet.load(voice_path)
    samples, rate = read_wav(clip_path)
    frames = np.ascontiguousarray(voice.features(samples, rate).T, "<f4")  # (frames, features)
    for abi, preset in ABIS.items():
        folder = out / abi
        folder.mkdir(parents=True, exist_ok=True)
        for program, name in PROGRAMS.items():
            shutil.copy2(build(preset) / program, folder / name)
        shutil.copyfile(voice_path, folder / "voice.linnet")
        frames.tofile(folder / "mel.f32")
        (folder / "README.md").write_text(README.format(abi=abi))
        print(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
