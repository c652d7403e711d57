"""Build the extensions linnet._core, linnet._hooks and, for training, linnet_training._block_scan.

No flag here names an instruction set: the kernels pick theirs at run time.
"""

import importlib
import itertools
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension, build_ext
from setuptools import setup
from setuptools.command.build_py import build_py

SOURCES = Path("src_cpp")
INCLUDE = ["src_cpp", "src_cpp/include"]
HEADERS = sorted(path.as_posix() for path in SOURCES.rglob("*.h"))


class BuildPython(build_py):
    """Also puts the bundled voices and their cards into the package."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # they are found in the checkout
        target = Path(self.build_lib, "linnet", "voices")
        target.mkdir(parents=True, exist_ok=True)
        for path in sorted(Path("voices").glob("*.linnet")):
            for file in (path, path.with_suffix(".json")):
                if file.is_file():
                    shutil.copy(file, target)


def version() -> str:
    """The version that linnet.h states, so that it stands in one place."""
    header = (SOURCES / "include" / "linnet.h").read_text()
    return ".".join(re.findall(r"#define LINNET_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header))


def flags() -> list[str]:
    """The same arithmetic with every compiler: nothing contracted or reassociated."""
    if sys.platform == "win32":
        return ["/O2", "/fp:precise", "/W3"]
    strict = ["-Wall", "-Wextra", "-Werror"] if os.environ.get("LINNET_WERROR") else []
    numbers = ["-ffp-contract=off", "-fno-math-errno"]
    return ["-O2", *numbers, "-fvisibility=hidden", "-Werror=switch", *strict]


def sources(*folders: str) -> list[str]:
    """The sources below these folders of src_cpp."""
    found = (path for folder in folders for path in (SOURCES / folder).rglob("*.cpp"))
    return sorted(path.as_posix() for path in found)


def library() -> tuple[str, dict[str, Any]]:
    """The C library, which both extensions are linked with."""
    rooms = ["file", "operations", "run", "matching", "products", "cpu", "kernels"]
    api = sorted(path.as_posix() for path in SOURCES.glob("*.cpp"))
    strict = [] if sys.platform == "win32" else ["-std=c++17", "-fPIC", "-g0"]
    return "linnet_core", {
        "sources": [*api, *sources(*rooms)],
        "include_dirs": INCLUDE,
        "obj_deps": {"": HEADERS},
        "cflags": [*flags(), *(strict or ["/std:c++17"])],
    }


def extension(name: str, *folders: str) -> Pybind11Extension:
    return Pybind11Extension(
        f"linnet.{name}",
        sources(*(f"bindings/{folder}" for folder in folders)),
        include_dirs=INCLUDE,
        depends=HEADERS,
        extra_compile_args=flags(),
        extra_link_args=[] if sys.platform == "win32" else ["-pthread"],
        cxx_std=17,
    )


def block_scan() -> Pybind11Extension:
    """What trains sparse networks on CPUs; its rounding is free, unlike the runtime's."""
    fast = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-Wno-psabi"]
    return Pybind11Extension(
        "linnet_training._block_scan",
        ["training/linnet_training/block_scan.cpp"],
        extra_compile_args=[*fast, "-fvisibility=hidden"],
        optional=True,  # nothing else needs it
        cxx_std=17,
    )


def extensions() -> list[Pybind11Extension]:
    """Microsoft's compiler lacks the vector types that training's one is written with."""
    if os.environ.get("LINNET_WITHOUT_EXTENSION"):
        return []
    ours = [extension("_core", "python"), extension("_hooks", "hooks")]
    return ours if sys.platform == "win32" else [*ours, block_scan()]


def show_compiling() -> None:
    """A line on stderr for each source that is compiled; on a terminal, one in place of another."""
    compiler: Any = importlib.import_module("distutils.unixccompiler").UnixCCompiler
    compile_one = compiler._compile
    total = len(library()[1]["sources"]) + sum(len(each.sources) for each in extensions())
    numbers = itertools.count(1)
    begin, end = ("\r\x1b[K", "") if sys.stderr.isatty() else ("", "\n")

    def compile_and_tell(self: object, target: str, source: str, *more: object) -> None:
        text = f"{begin}compiling {next(numbers)} of {total}: {source}{end}"
        print(text, end="", file=sys.stderr, flush=True)
        compile_one(self, target, source, *more)

    compiler._compile = compile_and_tell


ParallelCompile("LINNET_JOBS", default=os.cpu_count() or 1).install()
if os.environ.get("LINNET_PROGRESS") and sys.platform != "win32":
    show_compiling()
setup(
    version=version(),
    # The Makefile installs without compiling, and compiles in place when a source changes.
    libraries=[] if os.environ.get("LINNET_WITHOUT_EXTENSION") else [library()],
    ext_modules=extensions(),
    cmdclass={"build_ext": build_ext, "build_py": BuildPython},
)
