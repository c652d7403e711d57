"""What a shared library for Android must and must not contain: `python elf.py LIBRARY...`.

Reads the file itself (System V ABI, "Object Files"; little-endian, 32 or 64 bits), so that it works
for every machine's libraries on every machine. Needs Python's standard library only.
"""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = 0x4000  # Android devices with 16 KB pages
# Bytes, stripped. x86-64, which phones do not have, gets kernels of four instruction sets.
LARGEST = {40: 200_000, 183: 240_000, 62: 450_000}

# Android and newer glibcs have no libpthread.
NEEDED = re.compile(r"(libc|libm|libdl|libpthread)\.so(\.\d+)*")
C_NAMES, JAVA_NAMES = re.compile(r"linnet_\w+"), re.compile(r"Java_io_github_linnet_\w+|JNI_OnLoad")
# The C++ runtime's, except for what the C library itself provides.
CXX = re.compile(r"_Z\w*|__gxx_personality\w*|_Unwind_\w*|__cxa_(?!finalize|atexit)\w*")

PT_LOAD = 1
SHT_DYNAMIC, SHT_DYNSYM, SHF_ALLOC = 6, 11, 2
DT_NEEDED, DT_SONAME, DT_RPATH, DT_TEXTREL, DT_RUNPATH, DT_FLAGS = 1, 14, 15, 22, 29, 30
DF_TEXTREL = 4


@dataclass(frozen=True)
class Section:
    type: int
    flags: int
    offset: int
    size: int
    link: int


class Library:
    """The parts of an ELF file that `complaints` looks at."""

    def __init__(self, path: Path) -> None:
        self.path, self.data = path, path.read_bytes()
        if self.data[:4] != b"\x7fELF" or self.data[5] != 1:
            raise ValueError(f"{path}: not a little-endian ELF file")
        self.wide = self.data[4] == 2
        self.machine = int.from_bytes(self.data[18:20], "little")  # EM_ARM, EM_AARCH64, EM_X86_64
        header = struct.unpack_from(
            "<16sHHIQQQIHHHHHH" if self.wide else "<16sHHIIIIIHHHHHH", self.data
        )
        program, sections, (size, count, section_size, n_sections, names) = (
            header[5],
            header[6],
            header[9:14],
        )
        self.load_alignments = [
            alignment
            for kind, alignment in (self._program_header(program + i * size) for i in range(count))
            if kind == PT_LOAD
        ]
        self.sections = [self._section(sections + i * section_size) for i in range(n_sections)]
        # Stripping leaves what is loaded, and the names of sections.
        self.stripped_size = len(self.data) - sum(
            section.size
            for i, section in enumerate(self.sections)
            if not section.flags & SHF_ALLOC and i != names
        )
        self.dynamic = list(self._dynamic())
        self.exports, self.imports = self._symbols()

    def _program_header(self, at: int) -> tuple[int, int]:
        """Type and alignment."""
        fields = struct.unpack_from("<IIQQQQQQ" if self.wide else "<8I", self.data, at)
        return fields[0], fields[7]

    def _section(self, at: int) -> Section:
        _, kind, flags, _, offset, size, link, *_ = struct.unpack_from(
            "<IIQQQQIIQQ" if self.wide else "<10I", self.data, at
        )
        return Section(kind, flags, offset, size, link)

    def _text(self, strings: Section, at: int) -> str:
        start = strings.offset + at
        return self.data[start : self.data.index(b"\0", start)].decode()

    def _dynamic(self) -> Iterator[tuple[int, int | str]]:
        for section in self.sections:
            if section.type != SHT_DYNAMIC:
                continue
            entries = self.data[section.offset : section.offset + section.size]
            for tag, value in struct.iter_unpack("<qQ" if self.wide else "<iI", entries):
                named = tag in (DT_NEEDED, DT_SONAME)
                yield tag, self._text(self.sections[section.link], value) if named else value

    def _symbols(self) -> tuple[set[str], set[str]]:
        """Names of the defined and of the undefined dynamic symbols that are not local."""
        defined, undefined = set[str](), set[str]()
        for section in (s for s in self.sections if s.type == SHT_DYNSYM):
            entries = self.data[section.offset : section.offset + section.size]
            for entry in struct.iter_unpack("<IBBHQQ" if self.wide else "<IIIBBH", entries):
                name, info, index = (
                    (entry[0], entry[1], entry[3]) if self.wide else (entry[0], entry[3], entry[5])
                )
                if info >> 4 != 0 and name != 0:
                    names = undefined if index == 0 else defined
                    names.add(self._text(self.sections[section.link], name))
        return defined, undefined

    def values(self, tag: int) -> list[int | str]:
        return [value for found, value in self.dynamic if found == tag]


def complaints(path: Path, page: int = PAGE) -> list[str]:
    """What is wrong with a library, in words; empty where nothing is."""
    library = Library(path)
    wrong = []
    largest = LARGEST[library.machine]
    if library.stripped_size > largest:
        wrong.append(f"{library.stripped_size} bytes stripped, more than {largest}")
    if any(alignment % page for alignment in library.load_alignments):
        wrong.append(f"a LOAD segment is not aligned to {page:#x}: {library.load_alignments}")
    if any(not NEEDED.fullmatch(str(name)) for name in library.values(DT_NEEDED)):
        wrong.append(f"NEEDED is {library.values(DT_NEEDED)}")
    if [str(name).partition(".so")[0] for name in library.values(DT_SONAME)] != [
        path.name.partition(".so")[0]
    ]:
        wrong.append(f"SONAME is {library.values(DT_SONAME)}")
    if library.values(DT_RUNPATH) or library.values(DT_RPATH):
        wrong.append("there is a RUNPATH")
    flags = [value for value in library.values(DT_FLAGS) if isinstance(value, int)]
    if library.values(DT_TEXTREL) or any(value & DF_TEXTREL for value in flags):
        wrong.append("there are text relocations (TEXTREL)")
    own = JAVA_NAMES if path.name.startswith("liblinnet_jni") else C_NAMES
    stray = sorted(name for name in library.exports if not own.fullmatch(name))
    if stray or not library.exports:
        wrong.append(f"exports {', '.join(stray) or 'nothing'}")
    runtime = sorted(name for name in library.imports if CXX.fullmatch(name))
    if runtime:
        wrong.append(f"needs a C++ runtime: {', '.join(runtime)}")
    return wrong


def report(path: Path) -> bool:
    """Print what matters of a library, and what is wrong with it; True where nothing is."""
    library, wrong = Library(path), complaints(path)
    print(
        f"{path}: {library.stripped_size} bytes stripped, needs "
        f"{' '.join(map(str, library.values(DT_NEEDED)))}, {len(library.exports)} exports, "
        f"LOAD alignment {min(library.load_alignments):#x}"
    )
    for complaint in wrong:
        print(f"  {complaint}", file=sys.stderr)
    return not wrong


if __name__ == "__main__":
    sys.exit(not all([report(Path(path)) for path in sys.argv[1:]]))
