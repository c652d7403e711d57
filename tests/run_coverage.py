"""Which lines of src_cpp the C++ tests run. Needs clang and the tools of its LLVM.

Of src_cpp without the bindings, as compiled for this machine: what other systems and instruction
sets have is not counted. Fails below LEAST. What it built and found stays in build/coverage.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from linnet.format.records import CHECKSUM_FROM, HEADER_SIZE, TENSOR_SIZE
from linnet.table import table
from native import ROOT, build
from random_programs import random_program
from run_fuzzer import small_voices
from varied_voices import varied_voices
from voices import tiny_voice

LEAST = 95.0  # percent of lines
OTHERS = ("cpu_subsets", "kernels_exact", "run_files", "streams_together", "threads_agree")
PROGRAMS = ("c_api", *OTHERS)
VALUES = (0, 1, 300, 1 << 26, 0x7F800000, 0xFFFFFFFF)


def llvm_tool(name: str) -> str:
    """The tool of the same LLVM as clang: another version does not read its profiles."""
    text = subprocess.run(["clang", "--version"], capture_output=True, text=True).stdout
    found = re.search(r"version (\d+)", text)
    for candidate in (f"{name}-{found[1] if found else ''}", name):
        if path := shutil.which(candidate):
            return path
    raise FileNotFoundError(f"no {name}: install LLVM's tools of clang's version")


def damaged(file: bytes) -> Iterator[bytes]:
    """The file with every word that describes it replaced in turn, of alike entries the first."""
    directory, operations = struct.unpack_from("<QQ", file, 96)
    n_operations = sum(struct.unpack_from("<2I", file, 68)) + struct.unpack_from("<I", file, 120)[0]
    words = {*range(CHECKSUM_FROM, HEADER_SIZE, 4)}
    words |= {*range(directory + 48, directory + 2 * TENSOR_SIZE, 4)}
    words |= {*range(operations, operations + 64 * n_operations, 4)}
    for at in sorted(words):
        for value in VALUES:
            yield file[:at] + struct.pack("<I", value) + file[at + 4 :]


def run_programs(tests: Path, folder: Path) -> None:
    """Run every test program on small voices; they leave their counts in the folder."""
    varied = [*varied_voices().values(), *(random_program(seed) for seed in range(24))]
    files = [*varied, tiny_voice(256)]
    paths = [folder / f"{number}.linnet" for number in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(data)
    stream = folder / "files"
    with stream.open("wb") as out:
        for file in varied:
            out.write(struct.pack("<IB", len(file), 0) + file)
        for file in small_voices().values():
            for data in [file[:100], file[:1000], *damaged(file)]:
                out.write(struct.pack("<IB", len(data), 1) + data)
            out.write(struct.pack("<IB", len(file), 0) + file[:-1] + b"\1")  # as it is: corrupt
    arguments: dict[str, list[Path]] = {
        "c_api": [paths[0], folder],
        "streams_together": [*paths[:10:3], paths[-1]],
        "threads_agree": paths[-2:],
    }
    for name in PROGRAMS:
        environment = {**os.environ, "LLVM_PROFILE_FILE": str(folder / f"{name}.profraw")}
        command = [str(argument) for argument in (tests / name, *arguments.get(name, []))]
        with stream.open("rb") as given, (folder / f"{name}.log").open("wb") as log:
            subprocess.run(command, stdin=given, stdout=log, env=environment, check=True)


def counts(tests: Path, folder: Path) -> dict[str, tuple[int, int]]:
    """Lines of each file below src_cpp, and how many were run."""
    merged = folder / "all.profdata"
    profiles = map(str, sorted(folder.glob("*.profraw")))
    subprocess.run([llvm_tool("llvm-profdata"), "merge", "-o", str(merged), *profiles], check=True)
    objects = [f"-object={tests / name}" for name in OTHERS]
    export = [llvm_tool("llvm-cov"), "export", "-summary-only", f"-instr-profile={merged}"]
    done = subprocess.run(
        [*export, str(tests / PROGRAMS[0]), *objects], check=True, capture_output=True, text=True
    )
    found = {}
    source = (ROOT / "src_cpp").resolve()
    for entry in json.loads(done.stdout)["data"][0]["files"]:
        path, lines = Path(entry["filename"]).resolve(), entry["summary"]["lines"]
        if path.is_relative_to(source) and lines["count"]:
            found[str(path.relative_to(source))] = lines["count"], lines["covered"]
    return found


def main() -> int:
    tests = build("coverage") / "tests"
    folder = tests.parent / "profiles"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    run_programs(tests, folder)
    found = counts(tests, folder)
    total = sum(count for count, _ in found.values()), sum(run for _, run in found.values())
    rows = [
        (name, f"{count}", f"{run}", f"{100 * run / count:.1f}")
        for name, (count, run) in [*sorted(found.items()), ("all", total)]
    ]
    print(table([("src_cpp", "lines", "run", "percent"), *rows]))
    if 100 * total[1] < LEAST * total[0]:
        print(f"less than {LEAST} % of lines are run", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
