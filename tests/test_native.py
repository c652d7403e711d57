"""The C library as its users meet it: exact memory, quiet processing, C99, CMake."""

from __future__ import annotations

import shutil
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

import linnet
from elf import Library, complaints
from native import ROOT, build, cmake
from random_programs import random_program
from varied_voices import varied_voices
from voices import tiny_voice


def run(*command: str | Path) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(params=sorted(varied_voices()))
def voice_path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "voice.linnet"
    path.write_bytes(varied_voices()[request.param])
    return path


@pytest.mark.parametrize("preset", ["native", "sanitize"])
def test_kernels_touch_exactly_what_they_promise_and_agree(preset: str) -> None:
    ran = run(build(preset) / "tests" / "kernels_exact").split()
    assert ran == list(linnet.kernels())


def test_processing_neither_allocates_nor_locks_nor_calls_the_system(voice_path: Path) -> None:
    program = build("native") / "tests" / "process_is_quiet"
    if not program.exists():
        pytest.skip("the counters replace functions of glibc: Linux only")
    lines = run(program, voice_path).splitlines()
    counted = [f"{name}: 0 allocations, 0 frees, 0 locks" for name in linnet.kernels()]
    assert [line for line in lines if "seccomp" not in line] == counted


def test_processing_with_several_threads_does_not_allocate(tmp_path: Path) -> None:
    program = build("native") / "tests" / "process_is_quiet"
    if not program.exists():
        pytest.skip("the counters replace functions of glibc: Linux only")
    path = tmp_path / "large.linnet"
    path.write_bytes(tiny_voice(256))
    lines = run(program, path, "3").splitlines()
    assert lines == [f"{name}: 0 allocations, 0 frees, 0 locks" for name in linnet.kernels()]


@pytest.mark.parametrize("preset", ["native", "sanitize-threads"])
def test_any_number_of_threads_gives_the_bits_of_one(preset: str, tmp_path: Path) -> None:
    files = [*varied_voices().values(), *(random_program(seed) for seed in range(8))]
    paths = [tmp_path / f"{number}.linnet" for number in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(data)
    assert run(build(preset) / "tests" / "threads_agree", *paths) == f"{len(files)} files\n"


@pytest.mark.parametrize("preset", ["native", "sanitize"])
def test_streams_together_make_the_samples_of_each_alone(preset: str, tmp_path: Path) -> None:
    files = [*varied_voices().values(), tiny_voice(256), *map(random_program, range(8))]
    paths = [tmp_path / f"{number}.linnet" for number in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(data)
    ran = run(build(preset) / "tests" / "streams_together", *paths)
    assert ran == f"{len(files)} files\n"


@pytest.mark.parametrize("preset", ["native", "sanitize"])
def test_every_call_answers_wrong_arguments_as_the_header_says(
    preset: str, voice_path: Path, tmp_path: Path
) -> None:
    ran = run(build(preset) / "tests" / "c_api", voice_path, tmp_path)
    assert ran == "all kept\n"


@pytest.mark.parametrize("preset", ["native", "sanitize"])
def test_c_example_gives_the_samples_of_python(
    preset: str, voice_path: Path, tmp_path: Path
) -> None:
    voice = linnet.load(voice_path)
    features = np.random.default_rng(1).standard_normal((voice.n_mels, 9)).astype(np.float32)
    frames, output = tmp_path / "mel.f32", tmp_path / "out.wav"
    frames.write_bytes(np.ascontiguousarray(features.T).astype("<f4").tobytes())
    run(build(preset) / "vocode", voice_path, frames, output, "12345")
    with wave.open(str(output)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (
            voice.sample_rate,
            1,
            2,
        )
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    np.testing.assert_array_equal(samples, voice.synthesize(features, seed=12345))


def test_c_example_says_what_is_wrong(voice_path: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.linnet"
    half.write_bytes(voice_path.read_bytes()[:1000])
    vocode = build("native") / "vocode"
    for voice, message in [(half, "file_size"), (tmp_path / "absent", "No such file")]:
        command = [vocode, voice, tmp_path / "mel.f32", tmp_path / "out.wav"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert message in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="reads ELF files")
def test_shared_library_needs_only_c_and_exports_only_its_own_names() -> None:
    library = build("native") / "liblinnet.so"
    assert complaints(library, page=0x1000) == []
    assert len(Library(library).exports) >= 18


def test_installed_library_is_found_by_a_project_in_c_alone(tmp_path: Path) -> None:
    prefix, project = tmp_path / "prefix", tmp_path / "project"
    run(cmake(), "--install", build("native"), "--prefix", prefix)
    project.mkdir()
    shutil.copy(ROOT / "examples" / "vocode.c", project)
    (project / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.21)\n"
        "project(consumer LANGUAGES C)\n"
        f"find_package(linnet {'.'.join(linnet.__version__.split('.')[:2])} REQUIRED)\n"
        "add_executable(with_static vocode.c)\n"
        "target_link_libraries(with_static linnet::linnet)\n"
        "add_executable(with_shared vocode.c)\n"
        "target_link_libraries(with_shared linnet::shared)\n"
    )
    run(cmake(), "-S", project, "-B", project / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    run(cmake(), "--build", project / "build")
    for program in ("with_static", "with_shared"):
        done = subprocess.run([project / "build" / program], capture_output=True, text=True)
        assert done.returncode == 1
        assert "usage" in done.stderr


def test_dispatch_refuses_every_subset_of_what_a_kernel_set_asks() -> None:
    assert run(build("native") / "tests" / "cpu_subsets").split() == list(linnet.kernels())


@pytest.mark.parametrize("lacking", ["f16c", "fma", "avx2", "avx", "xsave"])
def test_a_cpu_that_lacks_one_feature_gets_a_lower_kernel_set(lacking: str) -> None:
    emulator = shutil.which("qemu-x86_64")
    if emulator is None or linnet.kernels()[-2:] != ["avx2", "portable"]:
        pytest.skip("needs an x86 build and qemu-x86_64 (Debian's qemu-user)")
    program = build("native") / "tests" / "cpu_subsets"
    assert run(emulator, "-cpu", "max", program).split() == ["avx2", "portable"]
    assert run(emulator, "-cpu", f"max,-{lacking}", program).split() == ["portable"]
