"""What `make phone` makes runs, and gives this machine's samples."""

from __future__ import annotations

import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest

import linnet
from levels import LEVELS
from linnet.audio import write_wav
from phone import ABIS, main
from varied_voices import varied_voices

EMULATORS = {
    "arm64-v8a": ["qemu-aarch64", "-cpu", "cortex-a53"],
    "armeabi-v7a": ["qemu-arm", "-cpu", "cortex-a7"],
}


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phone")
    voice, clip = folder / "tiny.linnet", folder / "clip.wav"
    voice.write_bytes(varied_voices()["dual-4x4-fp16"])
    noise = np.random.default_rng(0).normal(0, 2000, 1000).astype(np.int16)
    write_wav(clip, noise, linnet.load(voice).sample_rate)
    main(voice, clip, folder)
    return folder


@pytest.mark.parametrize("abi", ABIS)
def test_static_programs_run_as_the_readme_says(phone: Path, abi: str) -> None:
    folder = phone / abi
    lines = (folder / "README.md").read_text().splitlines()
    bench, synth = (line.split() for line in lines if line.startswith("    ./linnet"))
    for command in (bench + ["0.01"], synth):
        done = subprocess.run(
            [*EMULATORS[abi], *command], cwd=folder, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        if command is not synth:
            sets = next(level.kernels for level in LEVELS.values() if level.preset in ABIS[abi])
            timed = [line.split()[0] for line in done.stdout.splitlines() if line.split()]
            # Products, transforms, the voice.
            assert [timed.count(name) for name in sets] == [20] * len(sets)
    voice = linnet.load(folder / "voice.linnet")
    frames = np.fromfile(folder / "mel.f32", "<f4").reshape(-1, voice.n_mels)
    with wave.open(str(folder / "out.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    np.testing.assert_array_equal(samples, voice.synthesize(np.ascontiguousarray(frames.T)))
