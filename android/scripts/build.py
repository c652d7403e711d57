"""Build the libraries for Android with the NDK's toolchain file: `make android ANDROID_NDK=FOLDER`.

Each ABI gets build/android/ABI with include/linnet.h, lib/liblinnet.so, lib/liblinnet.a and, for
Java, lib/liblinnet_jni.so, stripped. elf.py then checks the shared libraries: 16 KB pages, no
C++ runtime, no other exports. Needs Python's standard library and any CMake from 3.21 on.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from elf import report

ROOT = Path(__file__).resolve().parents[2]
ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64")
PLATFORM = "android-24"
LIBRARIES = ("liblinnet.so", "liblinnet_jni.so")
NO_NDK = """make android needs the Android NDK, r26 or newer (r28c was in mind). Either
  download it from https://developer.android.com/ndk/downloads and unpack it, or let Android's
  command-line tools put it into $ANDROID_HOME/ndk/28.2.13676358: sdkmanager 'ndk;28.2.13676358'.
  Then: make android ANDROID_NDK=/path/to/the/ndk
  Without an NDK, `make phone` builds static programs for a phone; see docs/android.md."""


def toolchain_file(ndk: str) -> Path:
    """The NDK's toolchain file; exits where there is none."""
    if not ndk:
        sys.exit(NO_NDK)
    file = Path(ndk) / "build" / "cmake" / "android.toolchain.cmake"
    if not file.is_file():
        sys.exit(f"there is no NDK in {ndk}: {file} is missing\n{NO_NDK}")
    return file.resolve()


def tool(name: str, hint: str) -> str:
    beside = ROOT / ".venv" / "bin" / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        sys.exit(f"make android needs {name}: {hint}")
    return found


def build(abi: str, toolchain: Path, output: Path) -> Path:
    """Configure, build and install one ABI; returns where it was installed."""
    cmake = tool("cmake", "pip install cmake")
    folder = output / "cmake" / abi
    definitions = {
        "CMAKE_TOOLCHAIN_FILE": toolchain,
        "ANDROID_ABI": abi,
        "ANDROID_PLATFORM": PLATFORM,
        "CMAKE_BUILD_TYPE": "Release",
        "LINNET_BUILD_JNI": "ON",
        "LINNET_BUILD_EXAMPLES": "OFF",
    }
    settings = [f"-D{key}={value}" for key, value in definitions.items()]
    prefix = output / abi
    shutil.rmtree(prefix, ignore_errors=True)
    for command in (
        [cmake, "-S", ROOT / "src_cpp", "-B", folder, *settings],
        [cmake, "--build", folder],
        [cmake, "--install", folder, "--prefix", prefix, "--strip"],
    ):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return prefix


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Build linnet for Android; $ANDROID_NDK names the NDK."
    )
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "android")
    output = parser.parse_args().output.resolve()
    ndk = os.environ.get("ANDROID_NDK", "")
    toolchain = toolchain_file(ndk)
    prefixes = [build(abi, toolchain, output) for abi in ABIS]
    libraries = [prefix / "lib" / name for prefix in prefixes for name in LIBRARIES]
    sys.exit(not all([report(library) for library in libraries]))


if __name__ == "__main__":
    main()
