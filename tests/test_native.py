"""The C library as its users meet it: exact memory, quiet processing, C99, CMake."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import linnet
from elf import Library, complaints
from linnet.format import blocks, dtypes
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


@pytest.mark.parametrize("preset", ["native", "sanitize"])
def test_the_kernels_of_avx_vnni_agree_in_the_encoding_of_avx512(preset: str) -> None:
    if "avx512_vnni" not in linnet.kernels():
        pytest.skip("needs a CPU with AVX-512 VNNI")
    program = build(preset) / "tests" / "avx_vnni_exact"
    if not program.exists():
        pytest.skip("clang does not assemble it: gcc only")
    assert run(program).split() == ["avx_vnni", "avx2", "portable"]


def test_threads_share_products_by_what_their_types_cost() -> None:
    assert run(build("native") / "tests" / "division") == "divided\n"


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


@pytest.mark.parametrize("preset", ["native", "sanitize"])
def test_the_wrapper_in_cpp_gives_the_samples_of_python(
    preset: str, voice_path: Path, tmp_path: Path
) -> None:
    voice = linnet.load(voice_path)
    features = np.random.default_rng(1).standard_normal((voice.n_mels, 9)).astype(np.float32)
    frames, output = tmp_path / "mel.f32", tmp_path / "out.s16"
    np.ascontiguousarray(features.T).tofile(frames)
    expected = voice.synthesize(features, seed=7)
    said = run(build(preset) / "tests" / "wrapper", voice_path, frames, "7", output)
    assert said == f"11{expected.size}"
    np.testing.assert_array_equal(np.fromfile(output, "<i2"), expected)
    command: list[str | Path] = [build(preset) / "tests" / "wrapper", tmp_path / "absent"]
    command += [frames, "7", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "absent: the file could not be opened" in done.stderr


# Types of which each weight is rounded by itself.
PLAIN = [kind.name for kind in dtypes.STORAGE_TYPES if not kind.scaled]


def scattered(rows: int, cols: int) -> npt.NDArray[np.float32]:
    """Weights with everything that rounding meets, many of them zero."""
    rng = np.random.default_rng(rows * cols)
    weights = rng.standard_normal((rows, cols)) * 10.0 ** rng.integers(-9, 3, (rows, cols))
    weights *= rng.random((rows, cols)) < 0.1
    return weights.astype(np.float32)


@pytest.mark.parametrize("preset", ["native", "sanitize"])
@pytest.mark.parametrize("dtype", PLAIN)
@pytest.mark.parametrize("block", [*blocks.BLOCKS, "dense"])
def test_the_c_library_packs_and_multiplies_as_python_does(
    preset: str, block: str, dtype: str, tmp_path: Path
) -> None:
    for rows, cols, threads in ((1, 1, 1), (67, 45, 3), (130, 1100, 2), (400, 400, 3)):
        weights = scattered(rows, cols)
        x = np.random.default_rng(1).standard_normal((11, cols)).astype(np.float32)
        paths = [tmp_path / name for name in ("weights", "x", "y")]
        weights.tofile(paths[0])
        x.tofile(paths[1])
        words: list[str | Path] = [paths[0], str(rows), str(cols), block, dtype]
        words += [str(threads), *paths[1:]]
        said = run(build(preset) / "tests" / "wrapper", *words)
        packed = blocks.pack(weights, block, dtype)
        assert said == f"portable {packed.nbytes}"
        expected = linnet.SparseMatrix.from_packed(packed) @ x.T
        y = np.fromfile(paths[2], np.uint32).reshape(11, rows)
        np.testing.assert_array_equal(y, expected.T.view(np.uint32))


@pytest.mark.parametrize("preset", ["native", "sanitize"])
@pytest.mark.parametrize("block", [*blocks.BLOCKS, "dense"])
def test_the_c_library_scales_int8_as_well_as_python(
    preset: str, block: str, tmp_path: Path
) -> None:
    weights = np.random.default_rng(0).standard_normal((67, 45)).astype(np.float32)
    weights[:, 8:40] = 0
    weights[3] = 0
    paths = [tmp_path / name for name in ("weights", "x", "y")]
    weights.tofile(paths[0])
    np.eye(45, dtype=np.float32).tofile(paths[1])  # rounded without an error: the weights come out
    words: list[str | Path] = [paths[0], "67", "45", block, "int8", "3", *paths[1:]]
    said = run(build(preset) / "tests" / "wrapper", *words)
    assert said == f"portable {blocks.pack(weights, block, 'int8').nbytes}"
    stored = np.fromfile(paths[2], np.float32).reshape(45, 67).T

    def errors(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        return np.asarray(np.square(matrix.astype(np.float64) - weights).sum(axis=1))

    # A product adds two roundings of 2^-24, which are 127 x 2^-22 of the step between two weights.
    assert (errors(stored) <= errors(dtypes.as_stored(weights, "int8")) * (1 + 1e-3)).all()
    assert not stored[3].any() and not stored[:, 8:40].any()


def c_library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(build("native") / "liblinnet.so"))
    for name in ("linnet_blocks", "linnet_dtypes"):
        getattr(library, name).restype = ctypes.c_char_p
    library.linnet_matrix_size.restype = ctypes.c_size_t
    return library


@pytest.mark.skipif(sys.platform != "linux", reason="the library's name")
@settings(deadline=None, max_examples=30)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([*blocks.BLOCKS, "dense"]),
    st.sampled_from(PLAIN),
    st.integers(0, 99),
)
def test_the_c_library_stores_the_bytes_of_the_file(
    rows: int, cols: int, block: str, dtype: str, seed: int
) -> None:
    library = c_library()
    bits = np.random.default_rng(seed).integers(0, 2**32, (rows, cols), np.uint32)
    weights = bits.view(np.float32).copy()
    limit = 65519.0 if dtype == "float16" else 3e38
    weights[~(np.abs(weights) <= limit)] = 0
    weights[np.random.default_rng(seed).random((rows, cols)) < 0.7] = 0
    packed = blocks.pack(weights, block, dtype)
    what = (weights.ctypes.data_as(ctypes.c_void_p), rows, cols, block.encode(), dtype.encode())
    size = library.linnet_matrix_size(*what)
    memory = np.zeros(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    address = ctypes.c_void_p(memory.ctypes.data + start)
    matrix = ctypes.c_void_p()
    pack = (*what, address, ctypes.c_size_t(size), ctypes.byref(matrix))
    assert library.linnet_matrix_pack(*pack) == 0
    sections = [part for part in (packed.values, packed.columns, packed.quads) if part is not None]
    stored = memory[start : start + size].tobytes()
    end = size
    for section in reversed(sections):  # at multiples of 64 bytes, the last one at the end
        end -= -(-section.nbytes // 64) * 64
        assert stored[end : end + section.nbytes] == section.tobytes()


@pytest.mark.skipif(sys.platform != "linux", reason="the library's name")
def test_the_c_library_refuses_what_it_cannot_pack() -> None:
    library = c_library()
    argument, memory_, alignment = 1, 4, 5
    names = [
        [one.decode() for i in range(99) if (one := f(i))]
        for f in (library.linnet_blocks, library.linnet_dtypes)
    ]
    assert sorted(names[0]) == sorted([*blocks.BLOCKS, "dense"])
    assert names[1] == list(dtypes.DTYPES)

    def pack(
        weights: npt.NDArray[np.float32] | None, block: str, dtype: str, size: int, at: int
    ) -> int:
        memory = np.zeros(size + 128, np.uint8)
        address = memory.ctypes.data + -memory.ctypes.data % 64 + at
        shape = (4, 4) if weights is None else weights.shape
        pointer = None if weights is None else weights.ctypes.data_as(ctypes.c_void_p)
        matrix = ctypes.c_void_p(1)
        result: int = library.linnet_matrix_pack(
            pointer,
            *shape,
            block.encode(),
            dtype.encode(),
            ctypes.c_void_p(address),
            ctypes.c_size_t(size),
            ctypes.byref(matrix),
        )
        assert (result == 0) == (matrix.value is not None)
        return result

    good = np.eye(8, dtype=np.float32)
    size = library.linnet_matrix_size(
        good.ctypes.data_as(ctypes.c_void_p), 8, 8, b"4x4", b"float16"
    )
    assert pack(good, "4x4", "float16", size, 0) == 0
    assert pack(good, "4x4", "float16", size - 1, 0) == memory_
    assert pack(good, "4x4", "float16", size, 8) == alignment
    assert pack(good, "5x5", "float16", size, 0) == argument
    assert pack(good, "vector", "float16", size, 0) == argument
    assert pack(good, "4x4", "float17", size, 0) == argument
    assert pack(None, "4x4", "float16", size, 0) == argument
    for wrong in (np.nan, np.inf, 65520.0):
        assert pack(good * np.float32(1) + np.float32(wrong), "4x4", "float16", size, 0) == argument


@pytest.mark.parametrize("preset", ["native", "sanitize"])
def test_the_example_of_a_product_runs(preset: str) -> None:
    program = build(preset) / "product"
    sums = {
        run(program, *words).split("sum ")[1].split()[0]
        for words in (["4x4"], ["4x4", "float16", "3"], ["8x4"])
    }
    assert len(sums) == 1
    done = subprocess.run([program, "3x3"], capture_output=True, text=True)
    assert done.returncode == 1 and "block is one of dense 4x4" in done.stderr


def test_pkg_config_finds_the_installed_library(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if shutil.which("pkg-config") is None or compiler is None:
        pytest.skip("needs pkg-config and a C compiler")
    prefix = tmp_path / "prefix"
    run(cmake(), "--install", build("native"), "--prefix", prefix)
    (folder,) = prefix.rglob("pkgconfig")
    environment = {**os.environ, "PKG_CONFIG_PATH": str(folder)}

    def ask(*words: str) -> list[str]:
        command = ["pkg-config", *words, "linnet"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert ask("--modversion") == [linnet.__version__]
    program = tmp_path / "product"
    source = ROOT / "examples" / "product.c"
    archive = folder.parent / "liblinnet.a"
    flags = [word for word in ask("--libs", "--static") if word != "-llinnet"]
    run(compiler, "-std=c99", source, *ask("--cflags"), archive, *flags, "-o", program)
    assert run(program) != ""


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


def test_big_endian_machines_are_refused_with_a_sentence() -> None:
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler by that name")
    order = ["-U__BYTE_ORDER__", "-D__BYTE_ORDER__=__ORDER_BIG_ENDIAN__"]
    sources = ROOT / "src_cpp"
    folders = [f"-I{sources}", f"-I{sources / 'include'}"]
    command = [compiler, "-std=c++17", "-fsyntax-only", "-w", *folders, *order]
    done = subprocess.run(
        [*command, str(sources / "file" / "header.cpp")], capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "linnet runs on little-endian machines only" in done.stderr
