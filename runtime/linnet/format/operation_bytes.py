"""An operation's bytes in the file (FORMAT.md, "Programs")."""

from __future__ import annotations

import struct
from dataclasses import fields
from typing import Any

from linnet.format.operations import NONE, Operand, Operation

N_WORDS = 16
OPERATION_SIZE = 4 * N_WORDS

_KINDS: dict[int, type[Operation]] = {kind.number: kind for kind in Operation.__subclasses__()}


def encode(operation: Operation) -> bytes:
    """The operation's 64 bytes."""
    words = [0] * N_WORDS
    words[0] = operation.number
    for f in fields(operation):
        at, kind = f.metadata["word"], f.metadata["kind"]
        value = getattr(operation, f.name)
        if kind == "f32":
            words[at] = struct.unpack("<I", struct.pack("<f", value))[0]
        elif value is None:
            words[at] = NONE
        elif kind.endswith("operand"):
            words[at], words[at + 1] = value
        else:
            words[at] = value
    return struct.pack(f"<{N_WORDS}I", *words)


def decode(data: bytes) -> Operation:
    """The operation in 64 bytes of a valid file."""
    words = struct.unpack(f"<{N_WORDS}I", data)
    kind = _KINDS[words[0]]
    values: dict[str, Any] = {}
    for f in fields(kind):
        at, form = f.metadata["word"], f.metadata["kind"]
        if form.startswith("optional") and words[at] == NONE:
            values[f.name] = None
        elif form.endswith("operand"):
            values[f.name] = Operand(words[at], words[at + 1])
        elif form == "f32":
            values[f.name] = struct.unpack_from("<f", data, 4 * at)[0]
        else:
            values[f.name] = words[at]
    return kind(**values)
