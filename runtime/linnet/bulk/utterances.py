"""What a corpus is: a name, a file and an output for each utterance."""

from __future__ import annotations

import glob
import hashlib
import importlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".npy")
Source = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


@dataclass(frozen=True)
class Utterance:
    """name: unique in its corpus; its output is OUT/name.wav, its seed comes from it.

    path: features (.npy) or a recording.
    """

    name: str
    path: str

    def seed(self, number: int) -> int:
        """The seed of the utterance in a run whose own seed is `number`: 64 bits of BLAKE2b."""
        name = self.name.encode("utf-8", "surrogateescape")
        key = number.to_bytes(8, "little")
        digest = hashlib.blake2b(name, digest_size=8, key=key).digest()
        return int.from_bytes(digest, "little")

    def output(self, folder: str) -> str:
        return os.path.join(folder, *self.name.split("/")) + ".wav"


def find(source: Source, output: str) -> list[Utterance]:
    """The utterances of a corpus, sorted by name.

    source: a folder (searched to its depths, but for `output`), a pattern such as `a/*.wav`, a
    list (.txt, one path per line), a manifest (.jsonl, .parquet: a `path`, `audio` or `mel` per
    row, and perhaps a `name`), one file, or several paths. Names are paths without suffix,
    relative to the folder, to the pattern's part before its first wildcard, or to what the listed
    paths have in common. Relative paths of a list or manifest begin at its folder.
    Raises ValueError where nothing is found, a row is wrong or two utterances share a name, and
    OSError where the source cannot be read.
    """
    if isinstance(source, (str, os.PathLike)):
        utterances = list(_find_one(os.fspath(source), output))
        what = os.fspath(source)
    else:
        paths = [os.fspath(path) for path in source]
        utterances = _named_by_place(paths, _common_folder(paths))
        what = "the paths"
    if not utterances:
        raise ValueError(f"{what}: no utterance found ({', '.join(SUFFIXES)})")
    return _unique(sorted(utterances, key=lambda utterance: (utterance.name, utterance.path)))


def shard(utterances: list[Utterance], number: int, count: int) -> list[Utterance]:
    """The part `number` (from 1) of `count`: every count-th utterance by name."""
    if not 1 <= number <= count:
        raise ValueError(f"shard {number}/{count}: from 1/{count} to {count}/{count}")
    return utterances[number - 1 :: count]


def _find_one(source: str, output: str) -> Iterable[Utterance]:
    if os.path.isdir(source):
        return _named_by_place(_files_below(source, output), source)
    if glob.has_magic(source) and not os.path.exists(source):
        return _named_by_place(_matches(source, output), _fixed_part(source))
    if source.endswith(".txt"):
        lines = Path(source).read_text(encoding="utf-8").splitlines()
        return _listed(source, [line.strip() for line in lines if line.strip()])
    if source.endswith(".jsonl"):
        return _manifest(source, _json_rows(source))
    if source.endswith(".parquet"):
        return _manifest(source, _parquet_rows(source))
    os.stat(source)
    return _named_by_place([source], os.path.dirname(source))


def _files_below(folder: str, output: str) -> Iterator[str]:
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not _same(os.path.join(place, name), output)]
        for name in files:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield os.path.join(place, name)


def _matches(pattern: str, output: str) -> list[str]:
    inside = os.path.abspath(output) + os.sep
    paths = glob.glob(pattern, recursive=True)
    return [
        path
        for path in paths
        if path.lower().endswith(SUFFIXES) and not os.path.abspath(path).startswith(inside)
    ]


def _same(path: str, other: str) -> bool:
    return os.path.abspath(path) == os.path.abspath(other)


def _fixed_part(pattern: str) -> str:
    folder = os.path.dirname(pattern)
    while glob.has_magic(folder):
        folder = os.path.dirname(folder)
    return folder


def _named_by_place(paths: Iterable[str], folder: str) -> list[Utterance]:
    return [Utterance(_name(os.path.relpath(path, folder or ".")), path) for path in paths]


def _listed(source: str, lines: list[str]) -> list[Utterance]:
    folder = os.path.dirname(source)
    paths = [os.path.join(folder, line) for line in lines]
    return _named_by_place(paths, _common_folder(paths))


def _common_folder(paths: list[str]) -> str:
    folders = {os.path.dirname(os.path.abspath(path)) for path in paths}
    return os.path.commonpath(folders) if folders else ""


def _name(path: str) -> str:
    return Path(path).with_suffix("").as_posix()


def _json_rows(source: str) -> Iterator[Any]:
    with open(source, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise ValueError(f"{source}, line {number}: not JSON ({error})") from None


def _parquet_rows(source: str) -> list[Any]:
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise ImportError(f"{source}: reading Parquet needs pyarrow: pip install pyarrow") from None
    try:
        rows: list[Any] = parquet.read_table(source).to_pylist()
    except OSError:
        raise
    except Exception as error:  # pyarrow raises many types
        raise ValueError(f"{source}: not a Parquet file ({error})") from None
    return rows


def _manifest(source: str, rows: Iterable[Any]) -> list[Utterance]:
    folder = os.path.dirname(source)
    paths: list[str] = []
    names: list[Any] = []
    for number, row in enumerate(rows, 1):
        path = (
            next((row[k] for k in ("path", "audio", "mel") if row.get(k)), None)
            if (isinstance(row, dict))
            else None
        )
        if not isinstance(path, str):
            raise ValueError(f"{source}, row {number}: needs a path (as path, audio or mel)")
        paths.append(os.path.join(folder, path))
        names.append(row.get("name"))
        if names[-1] is not None:
            _check_name(f"{source}, row {number}", names[-1])
    placed = _named_by_place(paths, _common_folder(paths))
    return [
        Utterance(name, utterance.path) if name else utterance
        for name, utterance in zip(names, placed, strict=True)
    ]


def _check_name(where: str, name: Any) -> None:
    parts = name.split("/") if isinstance(name, str) else [""]
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        raise ValueError(f"{where}: name {name!r} is not a relative path of plain names")


def _unique(utterances: list[Utterance]) -> list[Utterance]:
    for one, next_ in zip(utterances, utterances[1:], strict=False):
        if one.name == next_.name:
            raise ValueError(f"{one.path} and {next_.path} would both become {one.name}.wav")
    return utterances
