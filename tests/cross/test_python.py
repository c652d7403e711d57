"""The Python package on ARM: its extension, cross-compiled, in an arm64 Python under QEMU."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

import linnet
from cases import frames
from debian_arm64 import python_command
from varied_voices import varied_voices

SCRIPT = """
import platform, sys
import numpy as np
import linnet
voice, mel, samples = sys.argv[1:]
voice = linnet.load(voice)
np.save(samples, voice.synthesize(np.load(mel), seed=12345))
print(platform.machine(), *linnet.kernels(), voice.kernels)
"""


def test_an_arm64_python_gives_the_samples_of_this_one(tmp_path: Path) -> None:
    command, environment = python_command("cortex-a76")
    voice, mel, samples = tmp_path / "v.linnet", tmp_path / "mel.npy", tmp_path / "samples.npy"
    voice.write_bytes(varied_voices()["dual-4x4-fp16"])
    np.save(mel, np.ascontiguousarray(frames(10).T))
    done = subprocess.run(
        [*command, "-c", SCRIPT, str(voice), str(mel), str(samples)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["aarch64", "neon", "portable", "neon"]
    expected = linnet.load(voice).synthesize(np.load(mel), seed=12345)
    np.testing.assert_array_equal(np.load(samples), expected)
