"""The Java classes on the desktop JVM: Python's samples, exceptions for misuse, no leaks.

tests/jni/arm64.py runs the same on an arm64 JVM: LINNET_TEST_JAVA is then the command that starts
it, LINNET_TEST_JNI the folder of its linnet_jni, LINNET_TEST_KERNELS the kernel sets that must be
there.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import linnet
from native import ROOT, build
from varied_voices import varied_voices
from voices import tiny_voice

JAVA = shlex.split(os.environ.get("LINNET_TEST_JAVA", "java"))
pytestmark = [
    pytest.mark.skipif(
        shutil.which(JAVA[0]) is None or shutil.which("javac") is None,
        reason="needs a JDK (java and javac)",
    ),
    pytest.mark.xdist_group("jni"),
]
SEED = 2**63 + 5  # Java has no unsigned long: the bits must arrive


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classes of library and sample, compiled against Java 8, as Android 7.0 has it, and
    stand-ins for Android's own; and the checks."""
    folder = tmp_path_factory.mktemp("classes")
    modules = [ROOT / "android" / name / "src" / "main" / "java" for name in ("linnet", "sample")]
    tests = ROOT / "tests" / "jni"
    sources = [path for module in modules for path in sorted(module.rglob("*.java"))]
    checks = sorted(tests.glob("*.java"))
    strict = ["-Werror", "-Xlint:all,-options", "-d", str(folder)]
    run(
        "javac", "--release", "8", *strict, *sources, *sorted((tests / "stand_ins").rglob("*.java"))
    )
    run("javac", "--release", "11", *strict, "-cp", folder, *checks)
    return folder


@pytest.fixture(params=sorted(varied_voices()))
def voice_path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "voice.linnet"
    path.write_bytes(varied_voices()[request.param])
    return path


@pytest.fixture
def one_voice(tmp_path: Path) -> Path:
    path = tmp_path / "stimme-\u00fc.linnet"
    path.write_bytes(varied_voices()["dual-4x4-fp16"])
    return path


def run(*command: str | Path) -> str:
    done = subprocess.run(
        [str(c) for c in command],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        env={
            **os.environ,
            "LC_ALL": "C.UTF-8",
        },  # Java reads names of files in the locale's encoding
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check(classes: Path, program: str, *arguments: str | Path) -> list[str]:
    """The lines that a program of tests/jni prints. -Xcheck:jni reports among them."""
    library = os.environ.get("LINNET_TEST_JNI") or build("jni")
    options = ["-Xcheck:jni", f"-Djava.library.path={library}", "-cp", str(classes)]
    output = run(*JAVA, *options, program, *arguments)
    assert "WARNING" not in output and "FATAL" not in output, output
    return output.splitlines()


def test_java_gives_the_samples_of_python_in_every_way(
    classes: Path, voice_path: Path, tmp_path: Path
) -> None:
    voice = linnet.load(voice_path)
    features = np.random.default_rng(1).standard_normal((voice.n_mels, 9)).astype(np.float32)
    frames = tmp_path / "mel.f32"
    frames.write_bytes(np.ascontiguousarray(features.T).astype("<f4").tobytes())
    samples = voice.synthesize(features, seed=SEED).astype("<i2")
    expected = hashlib.sha256(samples.tobytes()).hexdigest()
    kernels = os.environ.get("LINNET_TEST_KERNELS", " ".join(linnet.kernels())).split()
    ways = [f"{way} {k}" for k in kernels for way in ("direct", "reset", "copied")]
    lines = check(classes, "Synthesize", voice_path, frames, str(SEED))
    assert lines == [f"{way} {expected}" for way in [*ways, "whole -"]]


def test_every_misuse_is_an_exception_that_says_what_is_wrong(
    classes: Path, one_voice: Path, tmp_path: Path
) -> None:
    lines = check(classes, "Errors", one_voice, tmp_path)
    for line, expected in zip(lines, EXPECTED_ERRORS, strict=True):
        assert re.fullmatch(expected, line), f"{line!r} is not {expected!r}"


def test_closing_under_way_leaks_and_allocations(classes: Path, tmp_path: Path) -> None:
    # All streams take 67 MB; the JVM itself grew by up to 16 MB (in qemu).
    path = tmp_path / "voice.linnet"
    path.write_bytes(tiny_voice(hidden=512, sparsity=0.98))
    heap, closed, *growth = check(classes, "Lifetime", path)
    assert heap == "heap bytes per push and pull: 0"
    assert closed == "closed under way: 50 of 50 threads saw the exception"
    for line in growth:
        found = re.fullmatch(r"growth (?:with|without) close: (-?\d+) bytes of (\d+)", line)
        assert found is not None, line
        grown, all_streams = map(int, found.groups())
        assert grown < all_streams / 2  # a leak would make it all of them


def test_a_system_voice_speaks_and_stops_hop_by_hop(classes: Path, tmp_path: Path) -> None:
    data = varied_voices()["dual-4x4-fp16"]
    voice_path = tmp_path / "voice.linnet"
    voice_path.write_bytes(data)
    voice = linnet.load(data)
    features = np.random.default_rng(1).standard_normal((voice.n_mels, 9)).astype(np.float32)
    frames = np.ascontiguousarray(features.T).astype("<f4").tobytes()
    (tmp_path / "hello.f32").write_bytes(frames)
    (tmp_path / "cut.f32").write_bytes(frames[:-1])
    lines = ["hello.f32\tHello world.", "cut.f32\tCut off?", "no.f32\tAbsent"]
    (tmp_path / "sentences.txt").write_text("\n".join(lines), encoding="utf-8")
    expected = hashlib.sha256(voice.synthesize(features).astype("<i2").tobytes()).hexdigest()
    before, hop, rate = voice.lookahead + 1, 2 * voice.hop_length, voice.sample_rate
    assert hop == 40 and before < 9
    assert check(classes, "Speech", voice_path, tmp_path) == [
        f"whole: {before} frames, most {hop} bytes: start {rate} done {expected}",
        f"whole: {before} frames, most 30 bytes: start {rate} done {expected}",
        f"stopped in piece 1: 1 pieces: start {rate} done",
        f"stopped in piece 3: 3 pieces: start {rate} done",
        f"stopped by another thread: 1 pieces: start {rate} done",
        f"a callback that wants no more: 1 pieces: start {rate} done",
        "Never packed.: error -8",
        f"cut off: start {rate} error -3",
        "absent: error -3",
        "languages: eng USA 1 0 -2",
    ]


ARGUMENT = "IllegalArgumentException: "
RANGE = "IndexOutOfBoundsException: elements "
STATE = "IllegalStateException: the "
EXPECTED_ERRORS = [
    "absent file: FileNotFoundException: .*absent.linnet: No such file or directory",
    "folder: IOException: .*: .+",
    "path with a zero: FileNotFoundException: a path holds a zero character",
    r"truncated file: LinnetException: .*half.linnet: file_size is \d+ but there are \d+ bytes",
    "damaged buffer: LinnetException: a buffer: checksum .*",
    "empty buffer: LinnetException: a buffer: the file has 0 bytes.*",
    f"heap buffer: {ARGUMENT}the buffer is not direct",
    "status and offset: 3 16",
    f"frames on the heap: {ARGUMENT}the buffer is not direct; .*",
    f"frames in the other byte order: {ARGUMENT}.*nativeOrder.*",
    f"frames not whole: {ARGUMENT}5 bytes are not whole frames of 40",
    f"frames not aligned: {ARGUMENT}.*aligned.*",
    "position in frames: 1",
    f"NaN: {ARGUMENT}a feature is NaN or infinite; its frame was not taken",
    f"samples on the heap: {ARGUMENT}the buffer is not direct; .*",
    f"samples in the other byte order: {ARGUMENT}.*nativeOrder.*",
    "samples read-only: ReadOnlyBufferException: null",
    f"samples not aligned: {ARGUMENT}.*aligned.*",
    f"array not of whole frames: {ARGUMENT}11 floats are not whole frames of 10",
    rf"frames beyond the array: {RANGE}0 \.\. 20 of an array of 10",
    rf"huge count of frames: {RANGE}0 \.\. 21474836470 of an array of 10",
    rf"negative offset of frames: {RANGE}-1 \.\. 9 of an array of 10",
    rf"samples beyond the array: {RANGE}4 \.\. 9 of an array of 8",
    rf"negative count of samples: {RANGE}4 \.\. 3 of an array of 8",
    f"infinite feature: {ARGUMENT}a feature is NaN or infinite; its frame was not taken",
    f"utterance not of whole frames: {ARGUMENT}11 floats are not whole frames of 10",
    f"temperature: {ARGUMENT}temperature must be finite and at least 0, not -1.0",
    f"temperature NaN: {ARGUMENT}temperature must be finite and at least 0, not NaN",
    f"threads: {ARGUMENT}threads must be 1 to 16, not 17",
    f"kernels: {ARGUMENT}this CPU has no kernel set 'abacus'; it has: .*portable",
    r"frames after the end: IllegalStateException: no frame may follow finish\(\)",
    f"closed voice: stream: {STATE}voice is closed",
    f"closed voice: metadata: {STATE}voice is closed",
    f"closed voice: synthesize: {STATE}voice is closed",
    f"closed stream: push: {STATE}stream is closed",
    f"closed stream: push array: {STATE}stream is closed",
    f"closed stream: pull: {STATE}stream is closed",
    f"closed stream: pull array: {STATE}stream is closed",
    f"closed stream: finish: {STATE}stream is closed",
    f"closed stream: available: {STATE}stream is closed",
    f"closed stream: reset: {STATE}stream is closed",
    f"closed stream: kernels: {STATE}stream is closed",
]
