"""Build the libraries for Android with the NDK's toolchain file: `make android ANDROID_NDK=FOLDER`.

Each ABI gets build/android/ABI with include/linnet.h, lib/liblinnet.so, lib/liblinnet.a and, for
Java, lib/liblinnet_jni.so, stripped. The shared libraries are then checked: 16 KB pages, no C++
runtime, no other exports. Needs Python's standard library and any CMake from 3.21 on.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64")
PLATFORM = "android-24"
PAGE = 0x4000  # bytes: Android 15 runs on such pages, and its shop asks for them
SYSTEM_LIBRARIES = re.compile(r"lib(c|m|dl)\.so[.0-9]*")
EXPORTS = {"liblinnet.so": "linnet_", "liblinnet_jni.so": "Java_io_github_linnet_"}
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


def find_readelf(ndk: str) -> str:
    """The NDK's, or one on the path."""
    own = sorted(Path(ndk).glob("toolchains/llvm/prebuilt/*/bin/llvm-readelf*"))
    return str(own[0]) if own else tool("readelf", "install binutils")


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


def problems(library: Path, readelf: str) -> list[str]:
    """What would keep a shared library from loading, or let it disturb others."""

    def lines(*options: str) -> list[str]:
        command = [readelf, "-W", *options, str(library)]
        return subprocess.run(
            command, check=True, capture_output=True, text=True
        ).stdout.splitlines()

    found = []
    alignments = [int(line.split()[-1], 16) for line in lines("-l") if line.split()[:1] == ["LOAD"]]
    if not alignments or any(alignment % PAGE for alignment in alignments):
        found.append(f"segments are aligned to {sorted(set(alignments))}, not to {PAGE} bytes")
    dynamic = "\n".join(lines("-d"))
    for needed in re.findall(r"\(NEEDED\).*\[(.+)\]", dynamic):
        if not SYSTEM_LIBRARIES.fullmatch(needed):
            found.append(f"it needs {needed}")
    if re.findall(r"\(SONAME\).*\[(.+)\]", dynamic) != [library.name]:
        found.append("its SONAME is not its name")
    found += [f"it has {tag}" for tag in ("RPATH", "RUNPATH", "TEXTREL") if f"({tag})" in dynamic]
    symbols = [line.split() for line in lines("--dyn-syms")]
    exported = {
        s[7] for s in symbols if len(s) > 7 and s[4] in ("GLOBAL", "WEAK") and s[6] != "UND"
    }
    foreign = sorted(name for name in exported if not name.startswith(EXPORTS[library.name]))
    if foreign or not exported:
        found.append(f"it exports {foreign or 'nothing'}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Build linnet for Android; $ANDROID_NDK names the NDK."
    )
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "android")
    output = parser.parse_args().output.resolve()
    ndk = os.environ.get("ANDROID_NDK", "")
    toolchain = toolchain_file(ndk)
    readelf = find_readelf(ndk)
    wrong = False
    for abi in ABIS:
        prefix = build(abi, toolchain, output)
        for name in EXPORTS:
            library = prefix / "lib" / name
            found = problems(library, readelf)
            print(f"{library}: {library.stat().st_size} bytes", *found, sep="; ")
            wrong = wrong or bool(found)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
