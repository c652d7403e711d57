"""A voice as the bytes of a `.linnet` file (export/FORMAT.md)."""

from __future__ import annotations

import json
import zlib

from linnet.format.blocks import LAYOUTS
from linnet.format.dtypes import DTYPES
from linnet.format.operation_bytes import encode
from linnet.format.operations import NONE
from linnet.format.records import (
    CHECKSUM_FROM,
    HEADER,
    HEADER_SIZE,
    MAGIC,
    MAJOR,
    NAME_SIZE,
    SECTION_ALIGNMENT,
    TENSOR,
    TENSOR_SIZE,
)
from linnet.format.tensor import Tensor
from linnet.format.voice_file import VoiceFile


class _Sections:
    """The sections of a file in their places, with zeros between them."""

    def __init__(self) -> None:
        self.data = bytearray(HEADER_SIZE)

    def place(self, section: bytes, alignment: int = SECTION_ALIGNMENT) -> tuple[int, int]:
        """Append a section: (offset, size)."""
        self.data += bytes(-len(self.data) % alignment)
        at = len(self.data)
        self.data += section
        return at, len(section)


def to_bytes(voice: VoiceFile) -> bytes:
    """The file of a voice. The same description gives the same bytes."""
    sections = _Sections()
    metadata = json.dumps(
        voice.metadata, ensure_ascii=False, sort_keys=True, allow_nan=False
    ).encode()
    metadata_place = sections.place(metadata, 1)
    # The directory tells where the tensors are, which stand behind it: its room comes first.
    tensors_at, size = sections.place(bytes(TENSOR_SIZE * len(voice.tensors)), 8)
    after = [] if voice.match is None else [voice.match]
    program = (*voice.frame_program, *voice.sample_program, *after)
    operations_at, _ = sections.place(b"".join(encode(operation) for operation in program), 8)
    directory = b"".join(_entry(tensor, sections) for tensor in voice.tensors)
    data = sections.data
    data[tensors_at : tensors_at + size] = directory
    places = (*metadata_place, tensors_at, operations_at)
    data[:HEADER_SIZE] = _header(voice, places, len(data), 0)
    checksum = zlib.crc32(memoryview(data)[CHECKSUM_FROM:])
    data[:HEADER_SIZE] = _header(voice, places, len(data), checksum)
    return bytes(data)


def _entry(tensor: Tensor, sections: _Sections) -> bytes:
    """A tensor's entry in the directory, once its sections are placed."""
    name, packed = tensor.name.encode(), tensor.packed
    if not 0 < len(name) < NAME_SIZE:
        raise ValueError(f"tensor name {tensor.name!r} is not 1 .. {NAME_SIZE - 1} bytes long")
    places = [sections.place(packed.values_section)]
    for part in (packed.columns, packed.quads):
        places.append((0, 0) if part is None else sections.place(part.tobytes()))
    return TENSOR.pack(
        name,
        LAYOUTS[packed.layout],
        DTYPES[packed.dtype],
        packed.rows,
        packed.cols,
        packed.n_blocks,
        packed.index_width,
        *(number for place in places for number in place),
        packed.input_range,
        0,
    )


def _header(voice: VoiceFile, places: tuple[int, ...], size: int, checksum: int) -> bytes:
    h = voice.header
    numbers = (h.sample_rate, h.hop_length, h.n_features, h.lookahead, h.priming, h.arena_size)
    counts = (len(voice.tensors), len(voice.frame_program), len(voice.sample_program))
    return HEADER.pack(
        *(MAGIC, MAJOR, voice.minor, HEADER_SIZE, size, checksum, 0),
        *(*numbers, h.n_slots, h.features_at, *counts, h.samples_per_step),
        *places,
        h.steps_per_row,
        NONE if h.silence is None else h.silence,
        0 if voice.match is None else 1,
    )
