"""The Android build as far as it goes without an NDK, an SDK or Gradle."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

import numpy as np
import pytest

import linnet
import sample_assets
from elf import Library, complaints
from linnet.format.reading import read
from linnet_export import restore
from native import ROOT, build

ANDROID = ROOT / "android"
COMPILERS = {
    "arm64-v8a": "aarch64-linux-gnu-g++",
    "armeabi-v7a": "arm-linux-gnueabihf-g++",
    "x86_64": "x86_64-linux-gnu-g++",
}
# CMake's own Android platform (system version 1: without an NDK), with Debian's compilers.
TOOLCHAIN = """\
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ANDROID_ABI)
set(CMAKE_SYSTEM_NAME Android)
set(CMAKE_SYSTEM_VERSION 1)
set(triple_arm64-v8a aarch64-linux-gnu)
set(triple_armeabi-v7a arm-linux-gnueabihf)
set(triple_x86_64 x86_64-linux-gnu)
set(triple ${{triple_${{ANDROID_ABI}}}})
string(REGEX MATCH "^[a-z0-9_]+" CMAKE_SYSTEM_PROCESSOR ${{triple}})
set(CMAKE_C_COMPILER ${{triple}}-gcc)
set(CMAKE_CXX_COMPILER ${{triple}}-g++)
set(CMAKE_FIND_ROOT_PATH /usr/${{triple}})
set(CMAKE_CXX_FLAGS_INIT "-isystem {jdk}/include -isystem {jdk}/include/linux")
"""


def make_android(ndk: str, output: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ANDROID / "scripts" / "build.py"), "--output", str(output)]
    environment = {**os.environ, "ANDROID_NDK": ndk}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)


@pytest.mark.parametrize("ndk", ["", "/nowhere"])
def test_without_an_ndk_the_build_says_what_to_install(ndk: str, tmp_path: Path) -> None:
    done = make_android(ndk, tmp_path)
    assert done.returncode != 0
    for hint in ("https://developer.android.com/ndk/downloads", "ANDROID_NDK=", ndk):
        assert hint in done.stderr


@pytest.mark.skipif(
    any(shutil.which(name) is None for name in [*COMPILERS.values(), "javac"]),
    reason="needs Debian's g++-aarch64-linux-gnu and g++-arm-linux-gnueabihf and a JDK",
)
def test_all_abis_build_from_the_one_cmake_file_and_pass_the_checks(tmp_path: Path) -> None:
    jdk = Path(shutil.which("javac") or "").resolve().parent.parent
    file = tmp_path / "ndk" / "build" / "cmake" / "android.toolchain.cmake"
    file.parent.mkdir(parents=True)
    file.write_text(TOOLCHAIN.format(jdk=jdk))
    done = make_android(str(tmp_path / "ndk"), tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    for abi in COMPILERS:
        folder = tmp_path / "out" / abi
        assert (folder / "include" / "linnet.h").exists()
        for library in ("liblinnet.so", "liblinnet_jni.so"):
            assert complaints(folder / "lib" / library) == []


@pytest.mark.skipif(shutil.which("javac") is None, reason="needs a JDK")
def test_native_methods_are_what_the_library_exports() -> None:
    package = ANDROID / "linnet" / "src" / "main" / "java" / "io" / "github" / "linnet"
    declared = re.findall(r"static native \S+ (\w+)\(", (package / "Native.java").read_text())
    exported = Library(build("jni") / "liblinnet_jni.so").exports
    functions = {name for name in exported if name.startswith("Java_")}
    assert functions == {f"Java_io_github_linnet_Native_{name}" for name in declared}


def test_project_files_agree() -> None:
    library = (ANDROID / "linnet" / "build.gradle.kts").read_text()
    sample = (ANDROID / "sample" / "build.gradle.kts").read_text()
    build_script = (ANDROID / "scripts" / "build.py").read_text()
    for pattern in (r"minSdk = (\d+)", r"compileSdk = (\d+)", r"VERSION_(\d+)", r"JVM_(\d+)"):
        assert set(re.findall(pattern, library)) == set(re.findall(pattern, sample))
    assert re.findall(r"minSdk = (\d+)", library) == re.findall(r"android-(\d+)\"", build_script)
    assert set(re.findall(r"ndkVersion = \"(.+)\"", library)) == set(
        re.findall(r"'ndk;([\d.]+)'", build_script)
    )
    abis = re.search(r"abiFilters \+= listOf\((.+)\)", library)
    assert abis is not None and set(re.findall(r"[\w-]+", abis[1])) == set(COMPILERS)
    for path in (r"path\(\"(.+)\"\)", r"headers = \"(.+)\""):
        found = re.search(path, library)
        assert found is not None and (ANDROID / "linnet" / found[1]).exists()


def test_resources_are_well_formed_and_all_that_the_code_names() -> None:
    main = ANDROID / "sample" / "src" / "main"
    trees = {path.name: ElementTree.parse(path) for path in ANDROID.rglob("*.xml")}
    strings = {e.attrib["name"] for e in trees["strings.xml"].iter("string")}
    text = "".join(p.read_text() for p in main.rglob("*") if p.suffix in (".kt", ".xml"))
    assert set(re.findall(r"(?:R\.string\.|@string/)(\w+)", text)) == strings
    assert set(re.findall(r"R\.id\.(\w+)", text)) == set(re.findall(r"@\+id/(\w+)", text))
    for name in re.findall(r"(?:R\.layout\.|@xml/)(\w+)", text):
        assert f"{name}.xml" in trees


FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
needs_aapt2 = pytest.mark.skipif(
    shutil.which("aapt2") is None or not FRAMEWORK.exists(),
    reason="needs Debian's aapt and android-framework-res",
)


def package(
    resources: Path, manifest: Path, folder: Path, assets: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """sample.apk of resources, manifest and assets, as Gradle would call aapt2; what its manifest
    holds if it works."""
    compiled, apk = folder / "resources.zip", folder / "sample.apk"
    text = manifest.read_text(encoding="utf-8")
    named = folder / "AndroidManifest.xml"  # Gradle adds the package, the namespace of its file
    named.write_text(text.replace("<manifest", '<manifest package="io.github.linnet.sample"', 1))
    commands = [
        ["aapt2", "compile", "--dir", resources, "-o", compiled],
        ["aapt2", "link", "-I", FRAMEWORK, "--manifest", named, "-o", apk, compiled]
        + ["--min-sdk-version", "24", "--target-sdk-version", "29"]
        + ([] if assets is None else ["-A", assets]),
        ["aapt2", "dump", "xmltree", "--file", "AndroidManifest.xml", apk],
    ]
    for command in commands:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode != 0:
            break
    return done


@needs_aapt2
def test_aapt2_packs_the_resources_of_the_sample(tmp_path: Path) -> None:
    main = ANDROID / "sample" / "src" / "main"
    done = package(main / "res", main / "AndroidManifest.xml", tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'android.intent.action.TTS_SERVICE"' in done.stdout
    for name in re.findall(r'android:name="\.(\w+)"', (main / "AndroidManifest.xml").read_text()):
        assert (main / "kotlin" / "io" / "github" / "linnet" / "sample" / f"{name}.kt").exists()


@needs_aapt2
@pytest.mark.parametrize("fault", ["@string/nowhere", "@android:style/Theme.Nowhere"])
def test_aapt2_refuses_what_names_nothing(fault: str, tmp_path: Path) -> None:
    main = ANDROID / "sample" / "src" / "main"
    manifest = tmp_path / "Wrong.xml"
    text = (main / "AndroidManifest.xml").read_text(encoding="utf-8")
    manifest.write_text(re.sub(r'android:(label|theme)="@[^"]+"', rf'android:\1="{fault}"', text))
    done = package(main / "res", manifest, tmp_path)
    assert done.returncode != 0 and "nowhere" in done.stderr.lower()


@needs_aapt2
def test_the_package_has_the_voice_in_int8_and_frames_for_it(tmp_path: Path) -> None:
    main = ANDROID / "sample" / "src" / "main"
    sample_assets.main(["tiny", "--output", str(tmp_path / "assets")])
    done = package(main / "res", main / "AndroidManifest.xml", tmp_path, tmp_path / "assets")
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "sample.apk") as apk:
        packed = {name: apk.read(f"assets/{name}") for name in needed_assets()}
    assert sample_assets.dtype_of(read(packed["voice.linnet"])) == "int8"
    voice = linnet.load(packed["voice.linnet"])
    frames = np.frombuffer(packed["mel.f32"], "<f4").reshape(-1, voice.n_mels)
    assert voice.synthesize(frames[:20].T.copy()).size == 20 * voice.hop_length
    assert packed["sentences.txt"].decode() == f"mel.f32\t{sample_assets.TEXT}\n"


def needed_assets() -> list[str]:
    """What the app's build asks for."""
    found = re.search(r"needed = listOf\((.+)\)", (ANDROID / "sample/build.gradle.kts").read_text())
    assert found is not None
    return re.findall(r'"([\w.]+)"', found[1])


def test_the_sample_packs_int8_calibrated_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = []

    def note(voice: Path, out: Path, dtype: str, calibrate: Path | None) -> None:
        calls.append((voice.name, dtype, calibrate))
        restore(voice, out, dtype)  # calibrating takes a minute

    monkeypatch.setattr(sample_assets, "restore", note)
    sample_assets.main(["--output", str(tmp_path)])
    assert calls == [("slt.linnet", "int8", ROOT / "voices" / "slt-heldout.wav")]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(needed_assets())
    layers = linnet.load(tmp_path / "voice.linnet").info()["layers"]
    assert {layer["dtype"] for layer in layers if layer["block"] == "4x4"} == {"int8"}
    sample_assets.main(["tiny", "--output", str(tmp_path)])  # has no likelihood to calibrate by
    assert calls[1:] == [("tiny.linnet", "int8", None)]
    sample_assets.main(["slt", "--dtype", "fp16", "--output", str(tmp_path)])
    assert (tmp_path / "voice.linnet").read_bytes() == (ROOT / "voices/slt.linnet").read_bytes()
    assert len(calls) == 2
