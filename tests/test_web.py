"""linnet.js in node gives Python's samples and features, with and without relaxed SIMD."""

from __future__ import annotations

import hashlib
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import linnet
import webassembly
from linnet.audio import read_wav
from linnet.features import PRESETS, log_mel
from native import ROOT
from varied_voices import varied_voices

pytestmark = [
    pytest.mark.skipif(bool(webassembly.missing()), reason=webassembly.missing() or "-"),
    pytest.mark.xdist_group("web"),  # who compiles the modules once
]
VOICES = ROOT / "voices"
CLIP = VOICES / "slt-heldout.wav"


@pytest.fixture(scope="module", params=webassembly.BUILDS)
def build(request: pytest.FixtureRequest) -> str:
    """A build of the module that node runs."""
    name: str = request.param
    webassembly.built(name)
    if webassembly.node(name) is None:
        pytest.skip("this node has no relaxed SIMD")
    return name


def sha256(samples: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest()


def write_frames(path: Path, mel: np.ndarray[Any, Any]) -> str:
    path.write_bytes(np.ascontiguousarray(mel.T).astype("<f4").tobytes())
    return str(path)


def test_every_kernel_set_makes_the_samples_of_python(build: str, tmp_path: Path) -> None:
    """In chunks of uneven sizes; `portable` is slow, and makes a few."""
    requests, expected = [], []
    audio, rate = read_wav(CLIP)
    for name, n_frames in [("tiny", 24), ("slt", 12)]:
        voice = linnet.load(name)
        mel = voice.features(audio, rate)[:, 20 : 20 + n_frames]
        frames = write_frames(tmp_path / name, mel)
        for kernels in webassembly.KERNELS[build]:
            seed, temperature = 2**64 - 5, 0.75
            more = {"seed": str(seed), "temperature": temperature, "kernels": kernels}
            chunks = {"pushes": [1, 5, 2], "pulls": [1, 333, 7, 1024]}
            path = str(VOICES / f"{name}.linnet")
            requests.append({"kind": "vocode", "voice": path, "frames": frames, **more, **chunks})
            samples = voice.synthesize(mel, seed=seed, temperature=temperature)
            expected.append({"hash": sha256(samples), "count": len(samples)})
    assert webassembly.answers(build, requests, tmp_path) == expected


def test_voices_of_every_kind_give_the_samples_of_python(build: str, tmp_path: Path) -> None:
    requests, expected = [], []
    for name, data in varied_voices().items():
        path = tmp_path / f"{name}.linnet"
        path.write_bytes(data)
        voice = linnet.load(data)
        mel = np.random.default_rng(0).normal(size=(voice.n_mels, 9)).astype(np.float32)
        frames = write_frames(tmp_path / name, mel)
        requests.append({"kind": "again", "voice": str(path), "frames": frames, "seed": 3})
        expected.append(sha256(voice.synthesize(mel, seed=3)))
    assert webassembly.answers(build, requests, tmp_path) == expected


def test_kernels_of_each_build(build: str, tmp_path: Path) -> None:
    """Relaxed multiply-adds are fused on any CPU that is likely to run tests: else the second set
    would be the first."""
    request = {"kind": "kernels", "voice": str(VOICES / "tiny.linnet")}
    assert webassembly.answers(build, [request], tmp_path) == [webassembly.KERNELS[build]]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x86 can be told to have no FMA")
def test_where_relaxed_multiply_adds_are_rounded_twice_others_run(tmp_path: Path) -> None:
    webassembly.built("relaxed")
    if webassembly.node("relaxed") is None:
        pytest.skip("this node has no relaxed SIMD")
    voice = linnet.load("tiny")
    mel = voice.features(*read_wav(CLIP))[:, 20:40]
    place = {"voice": str(VOICES / "tiny.linnet"), "frames": write_frames(tmp_path / "tiny", mel)}
    requests: list[dict[str, Any]] = [{"kind": "kernels", **place}]
    requests.append({"kind": "again", "seed": 3, **place})
    found = webassembly.answers("relaxed", requests, tmp_path, webassembly.WITHOUT_FMA)
    assert found == [webassembly.KERNELS["simd128"], sha256(voice.synthesize(mel, seed=3))]


FEATURES: list[tuple[str, dict[str, Any], int]] = [
    ("default", {}, rate) for rate in (8000, 11025, 16000, 44100, 48000)
]
FEATURES += [(name, preset, 24000) for name, preset in PRESETS.items()]
FEATURES += [
    ("late", {"center": False, "n_fft": 1000, "win_length": 600, "power": 1.5}, 16000),
    ("edge", {"pad_mode": "edge", "window": "symmetric", "clip_max": 0.5}, 16000),
]


def test_features_are_those_of_python(tmp_path: Path) -> None:
    """Within the rounding to float32: both compute in float64."""
    rng = np.random.default_rng(1)
    speech = read_wav(VOICES / "human.wav")[0] / 32768.0
    sounds = {"speech": speech, "noise": rng.normal(0, 0.1, 5003), "silence": np.zeros(3000)}
    requests: list[dict[str, Any]] = []
    expected = []
    for sound, audio in sounds.items():
        path = tmp_path / sound
        path.write_bytes(audio.astype("<f8").tobytes())
        for name, definition, rate in FEATURES:
            more = {"rate": rate, "definition": definition}
            output = str(tmp_path / f"{sound}-{name}-{rate}")
            place = {"voice": str(VOICES / "tiny.linnet"), "audio": str(path), "output": output}
            requests.append({"kind": "features", **place, **more})
            expected.append(log_mel(audio, rate, definition).T)
    webassembly.built("simd128")
    webassembly.answers("simd128", requests, tmp_path)
    for request, features in zip(requests, expected, strict=True):
        found = np.fromfile(request["output"], "<f4").reshape(features.shape)
        np.testing.assert_array_max_ulp(found, features, maxulp=1)


def test_the_documented_code_runs(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "web.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```js\n(.*?)^```$", text, re.M | re.S)
    for build in webassembly.BUILDS:  # of which node chooses
        folder = webassembly.built(build)
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "voices").symlink_to(VOICES)
    script = tmp_path / "code.mjs"
    script.write_text(f"{code}\nconsole.log(pcm.length, frames.length)\n")
    command = ["node", "--preserve-symlinks", "--preserve-symlinks-main", script.name]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(27 * 200), str(27 * 80)]  # a third of a second, in hops


def test_what_a_voice_says_of_itself(tmp_path: Path) -> None:
    webassembly.built("simd128")
    for name in ("tiny", "slt"):
        path = VOICES / f"{name}.linnet"
        voice = linnet.load(path)
        (found,) = webassembly.answers("simd128", [{"kind": "info", "voice": str(path)}], tmp_path)
        info = voice.info()
        assert found["metadata"]["name"] == name
        del found["metadata"]
        assert found == {
            "sampleRate": voice.sample_rate,
            "hopLength": voice.hop_length,
            "nFeatures": voice.n_mels,
            "lookahead": info["lookahead_frames"],
            "samplesPerStep": info["samples_per_step"],
        }


def test_files_that_are_no_voices_are_refused_as_in_python(tmp_path: Path) -> None:
    good = (VOICES / "tiny.linnet").read_bytes()
    broken = {"cut": good[:1000], "other": b"RIFF" + good[4:], "empty": b""}
    requests = []
    for name, data in broken.items():
        (tmp_path / name).write_bytes(data)
        requests.append({"kind": "refusal", "path": str(tmp_path / name)})
    webassembly.built("simd128")
    for data, found in zip(
        broken.values(), webassembly.answers("simd128", requests, tmp_path), strict=True
    ):
        assert found["name"] == "FormatError"
        with pytest.raises(linnet.FormatError) as error:
            linnet.load(data)
        assert found["message"] in str(error.value)


REFUSED = {
    "stream.push(new Float32Array(79))": "RangeError: frames must be of 80 floats each, not 79",
    "stream.push([1, 2])": "TypeError: frames must be a Float32Array",
    "stream.push(new Float32Array(80).fill(NaN))": "RangeError: a feature is NaN or infinite",
    "stream.finish(); stream.push(new Float32Array(80))": "Error: the stream is finished",
    "stream.close(); stream.pull()": "Error: the stream is closed",
    "voice.stream({ seed: -1 })": "RangeError: seed must lie in [0, 2^64), not -1",
    "voice.stream({ seed: 0.5 })": "RangeError: seed must be whole, not 0.5",
    "voice.stream({ temperature: -1 })": "Error: an argument is null or out of range",
    "voice.stream({ kernels: 'avx2' })": "Error: this CPU has no kernel set of that name",
    "voice.features([0], 16000)": "TypeError: audio must be a Float32Array",
    "voice.features(new Float32Array([NaN]), 16000)": "RangeError: audio contains NaN",
    "voice.features(new Float32Array([9]), 16000)": "RangeError: audio of floating point lies in",
    "voice.features(new Float32Array(9), 0.5)": "RangeError: a sample rate must be a positive",
}


def test_bad_arguments_are_refused(tmp_path: Path) -> None:
    webassembly.built("simd128")
    voice = str(VOICES / "tiny.linnet")
    request = {"kind": "errors", "voice": voice, "codes": list(REFUSED)}
    (found,) = webassembly.answers("simd128", [request], tmp_path)
    for message, expected in zip(found, REFUSED.values(), strict=True):
        assert message.startswith(expected)
