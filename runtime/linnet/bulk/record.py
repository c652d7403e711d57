"""What a run leaves in the output folder beside the samples: its settings, and what failed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from typing import Any

from linnet.bulk.utterances import Utterance
from linnet.files import write_atomic

SETTINGS = "bulk.json"


def check_settings(
    output: str, voice: bytes, seed: int, temperature: float, mel_from: str | None
) -> None:
    """Keep in `output` what its samples depend on; raises ValueError where it had other settings.

    So the files that are there already are those that this run would make.
    """
    path = os.path.join(output, SETTINGS)
    settings = {
        "voice": hashlib.blake2b(voice, digest_size=16).hexdigest(),
        "seed": seed,
        "temperature": temperature,
    }
    if mel_from is not None:
        settings["mel_from"] = mel_from
    try:
        with open(path, encoding="utf-8") as file:
            before = json.load(file)
    except FileNotFoundError:
        write_atomic(path, json.dumps(settings, indent=1).encode() + b"\n")
        return
    except ValueError:
        raise ValueError(
            f"{path}: not the settings of a bulk run; remove it or choose another folder"
        ) from None
    if not isinstance(before, dict):
        before = {}
    if before != settings:
        keys = [*settings, *(key for key in before if key not in settings)]
        other = ", ".join(key for key in keys if before.get(key) != settings.get(key))
        raise ValueError(
            f"{output} was made with another {other}: choose another folder, or remove {path} and"
            " the files that are to be made again"
        )


def finished(output: str, utterances: list[Utterance]) -> set[str]:
    """The names of the utterances whose files are there. They are written whole or not at all."""
    there = {os.path.join(place, name) for place, _, files in os.walk(output) for name in files}
    return {u.name for u in utterances if u.output(output) in there}


class Errors:
    """`errors.jsonl`: a line {name, path, error} for each utterance that failed and is not done.

    Lines are appended as they come; `close` leaves the last line of each name.
    """

    def __init__(self, output: str, name: str) -> None:
        self.path = os.path.join(output, name)
        self._lines = self._read()

    def add(self, name: str, path: str, error: str) -> None:
        self._lines[name] = line = json.dumps({"name": name, "path": path, "error": error})
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def close(self, done: set[str]) -> None:
        lines = [line for name, line in self._lines.items() if name not in done]
        if lines:
            with contextlib.suppress(OSError):  # the disk is full: what was appended stands there
                write_atomic(self.path, ("\n".join(lines) + "\n").encode())
        elif os.path.exists(self.path):
            os.unlink(self.path)

    def _read(self) -> dict[str, str]:
        lines: dict[str, str] = {}
        if os.path.exists(self.path):
            with open(self.path, encoding="utf-8") as file:
                for line in file:
                    row: Any = json.loads(line) if line.endswith("}\n") else {}
                    if isinstance(row, dict) and isinstance(row.get("name"), str):
                        lines[row["name"]] = line.rstrip("\n")
        return lines
