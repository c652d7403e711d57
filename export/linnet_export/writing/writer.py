"""A voice as the bytes of a `.linnet` file (export/FORMAT.md)."""

from __future__ import annotations

import json
import zlib

from linnet.format.blocks import BLOCKS, LAYOUTS
from linnet.format.dtypes import DTYPES
from linnet.format.operations import NONE, encode
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
from linnet.format.voice_file import VoiceFile


def _align(n: int, to: int) -> int:
    return -(-n // to) * to


def to_bytes(voice: VoiceFile) -> bytes:
    """The file of a voice. The same description gives the same bytes."""
    metadata = json.dumps(
        voice.metadata, ensure_ascii=False, sort_keys=True, allow_nan=False
    ).encode()
    tensors_at = _align(HEADER_SIZE + len(metadata), 8)
    operations_at = tensors_at + TENSOR_SIZE * len(voice.tensors)
    program = [*voice.frame_program, *voice.sample_program]
    if voice.match is not None:
        program.append(voice.match)
    operations = b"".join(encode(operation) for operation in program)

    chunks: list[tuple[int, bytes]] = []  # where, what
    end = operations_at + len(operations)

    def place(section: bytes) -> tuple[int, int]:
        nonlocal end
        at = _align(end, SECTION_ALIGNMENT)
        chunks.append((at, section))
        end = at + len(section)
        return at, len(section)

    directory = bytearray()
    for tensor in voice.tensors:
        name = tensor.name.encode()
        if not 0 < len(name) < NAME_SIZE:
            raise ValueError(f"tensor name {tensor.name!r} is not 1 .. {NAME_SIZE - 1} bytes long")
        packed = tensor.packed
        places = [place(packed.values.tobytes())]
        if packed.columns is not None and packed.quads is not None:
            places += [place(packed.columns.tobytes()), place(packed.quads.tobytes())]
        else:
            places += [(0, 0), (0, 0)]
        directory += TENSOR.pack(
            name,
            LAYOUTS[packed.layout],
            DTYPES[packed.dtype],
            packed.rows,
            packed.cols,
            packed.n_blocks if packed.layout in BLOCKS else 0,
            packed.index_width,
            *(n for at_and_size in places for n in at_and_size),
            0,
        )

    data = bytearray(end)
    for at, section in (
        (HEADER_SIZE, metadata),
        (tensors_at, bytes(directory)),
        (operations_at, operations),
        *chunks,
    ):
        data[at : at + len(section)] = section
    h = voice.header
    numbers = (
        *(
            h.sample_rate,
            h.hop_length,
            h.n_features,
            h.lookahead,
            h.priming,
            h.arena_size,
            h.n_slots,
            h.features_at,
        ),
        *(len(voice.tensors), len(voice.frame_program), len(voice.sample_program)),
        h.samples_per_step,
    )
    places_in_header = (HEADER_SIZE, len(metadata), tensors_at, operations_at)

    def header(checksum: int) -> bytes:
        return HEADER.pack(
            *(MAGIC, MAJOR, voice.minor, HEADER_SIZE, end, checksum, 0),
            *numbers,
            *places_in_header,
            h.steps_per_row,
            NONE if h.silence is None else h.silence,
            0 if voice.match is None else 1,
        )

    data[:HEADER_SIZE] = header(0)
    data[:HEADER_SIZE] = header(zlib.crc32(memoryview(data)[CHECKSUM_FROM:]))
    return bytes(data)
