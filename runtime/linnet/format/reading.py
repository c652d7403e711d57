"""The `.linnet` file in Python: `read` maps, checks and describes it (export/FORMAT.md)."""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from linnet.errors import FormatError
from linnet.format.blocks import (
    BLOCKS,
    DTYPES,
    LAYOUTS,
    QUAD,
    Packed,
    storage_dtype,
)
from linnet.format.operations import (
    NONE,
    OPERATION_SIZE,
    Match,
    Operation,
    OperationError,
    decode,
)
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
from linnet.format.voice_file import Header, Tensor, VoiceFile

LAYOUT_NAMES = {number: name for name, number in LAYOUTS.items()}
DTYPE_NAMES = {number: name for name, number in DTYPES.items()}

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Section:
    """A range of bytes of the file."""

    name: str
    offset: int
    size: int


def is_voice(path: str | os.PathLike[str]) -> bool:
    """Whether the file at a path starts as a `.linnet` file does; False for a folder."""
    if os.path.isdir(path):
        return False
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read(source: str | os.PathLike[str] | bytes | Bytes) -> VoiceFile:
    """Map the file at a path (or take its bytes), check all of it, and copy no weights.

    Raises FormatError naming the field and its offset, OSError where the path cannot be read.
    """
    from linnet._format_checks import check_padding, check_tensor
    from linnet._program_checks import check_programs

    data = _bytes(source)
    header, counts, places = _read_header(data)
    n_tensors, n_frame_operations, n_sample_operations, n_matches = counts
    metadata_at, metadata_size, tensors_at, operations_at = places
    n_programs = n_frame_operations + n_sample_operations
    n_operations = n_programs + n_matches
    sections = [
        Section("header", 0, HEADER_SIZE),
        _section(data, "metadata", 80, metadata_at, metadata_size, 1),
        _section(data, "tensors", 96, tensors_at, n_tensors * TENSOR_SIZE, 8),
        _section(data, "operations", 104, operations_at, n_operations * OPERATION_SIZE, 8),
    ]
    tensors = []
    for i in range(n_tensors):
        tensor, own = _read_tensor(data, tensors_at + i * TENSOR_SIZE)
        check_tensor(tensor, own)
        tensors.append(tensor)
        sections += own
    check_padding(data, sections)
    metadata = _read_metadata(data, metadata_at, metadata_size)
    operations = [
        _read_operation(data, operations_at + i * OPERATION_SIZE) for i in range(n_operations)
    ]
    voice = VoiceFile(
        header,
        metadata,
        tuple(tensors),
        tuple(operations[:n_frame_operations]),
        tuple(operations[n_frame_operations:n_programs]),
        data.size,
        _match(operations[n_programs:], operations_at + n_programs * OPERATION_SIZE),
    )
    check_programs(voice, operations_at)
    return voice


def _match(operations: list[Operation], at: int) -> Match | None:
    for operation in operations:
        if isinstance(operation, Match):
            return operation
        raise FormatError("operation: what follows the sample program is not a match", at)
    return None


def _bytes(source: str | os.PathLike[str] | bytes | Bytes) -> Bytes:
    if isinstance(source, np.ndarray):
        return source
    if isinstance(source, bytes):
        return np.frombuffer(source, np.uint8)
    if os.stat(source).st_size == 0:
        raise FormatError("magic: the file is empty", 0)
    return np.asarray(np.memmap(source, np.uint8, mode="r"))


def _read_header(data: Bytes) -> tuple[Header, tuple[int, ...], tuple[int, ...]]:
    if data[:8].tobytes() != MAGIC:
        raise FormatError("magic: not a .linnet file", 0)
    if data.size < HEADER_SIZE:
        raise FormatError(
            f"file_size: the file ends after {data.size} bytes, within its header", 16
        )
    values = HEADER.unpack(data[:HEADER_SIZE].tobytes())
    _, major, _minor, header_size, file_size, checksum, reserved = values[:7]
    numbers, places, (steps_per_row, silence, n_matches) = values[7:19], values[19:23], values[23:]
    if major != MAJOR:
        raise FormatError(f"major: version {major}; this library reads version {MAJOR}", 8)
    _expect(header_size == HEADER_SIZE, "header_size", 12, f"{header_size}, not {HEADER_SIZE}")
    _expect(
        file_size == data.size, "file_size", 16, f"{file_size} bytes promised, {data.size} there"
    )
    actual = zlib.crc32(data[CHECKSUM_FROM:].data)
    _expect(
        checksum == actual,
        "checksum",
        24,
        f"{checksum:#010x}, but the contents give {actual:#010x}",
    )
    _expect(reserved == 0 and not data[124:HEADER_SIZE].any(), "reserved", 28, "not 0")
    ranges = (
        ("sample_rate", 1, 384000),
        ("hop_length", 1, 65536),
        ("n_features", 1, 65536),
        ("lookahead", 0, 1024),
        ("priming", 0, 1024),
        ("arena_size", 1, 1 << 26),
        ("n_slots", 0, 256),
        ("features_at", 0, 1 << 26),
        ("n_tensors", 0, 65536),
        ("n_frame_operations", 0, 65536),
        ("n_sample_operations", 1, 65536),
        ("samples_per_step", 1, 64),
    )
    for i, (name, low, high) in enumerate(ranges):
        _expect(
            low <= numbers[i] <= high, name, 32 + 4 * i, f"{numbers[i]} is not in {low} .. {high}"
        )
    _expect(
        1 <= steps_per_row <= 65536, "steps_per_row", 112, f"{steps_per_row} is not in 1 .. 65536"
    )
    _expect(n_matches <= 1, "n_matches", 120, f"{n_matches} is not in 0 .. 1")
    own_silence = None if silence == NONE else silence
    header = Header(*(*numbers[:8], numbers[11], steps_per_row, own_silence))
    _expect(
        header.steps * header.samples_per_step == header.hop_length,
        "samples_per_step",
        76,
        f"{header.samples_per_step} does not divide a hop of {header.hop_length}",
    )
    _expect(
        header.rows * steps_per_row == header.steps,
        "steps_per_row",
        112,
        f"{steps_per_row} does not divide the frame's {header.steps} steps",
    )
    _expect(
        header.features_at + header.n_features <= header.arena_size,
        "features_at",
        60,
        "the features do not fit in the arena",
    )
    return header, (*numbers[8:11], n_matches), places


def _expect(condition: bool, field: str, offset: int, message: str) -> None:
    if not condition:
        raise FormatError(f"{field}: {message}", offset)


def _section(
    data: Bytes, name: str, field_at: int, offset: int, size: int, alignment: int
) -> Section:
    _expect(
        offset % alignment == 0, name, field_at, f"offset {offset} is not a multiple of {alignment}"
    )
    _expect(
        HEADER_SIZE <= offset <= data.size and size <= data.size - offset,
        name,
        field_at,
        f"bytes {offset} .. {offset + size} do not lie in a file of {data.size} bytes",
    )
    return Section(name, offset, size)


def _read_metadata(data: Bytes, offset: int, size: int) -> dict[str, Any]:
    try:
        metadata = json.loads(data[offset : offset + size].tobytes().decode())
    except (ValueError, RecursionError) as error:
        raise FormatError(f"metadata: {error}", offset) from None
    if not isinstance(metadata, dict):
        raise FormatError("metadata: not a JSON object", offset)
    return metadata


def _read_tensor(data: Bytes, at: int) -> tuple[Tensor, list[Section]]:
    values = TENSOR.unpack(data[at : at + TENSOR_SIZE].tobytes())
    raw, layout, dtype, rows, cols, n_blocks, index_width = values[:7]
    name_bytes, _, rest = raw.partition(b"\0")
    _expect(
        len(name_bytes) < NAME_SIZE and not rest.strip(b"\0"), "name", at, "not padded with zeros"
    )
    try:
        name = name_bytes.decode()
    except UnicodeDecodeError:
        raise FormatError("name: not UTF-8", at) from None
    _expect(
        layout in LAYOUT_NAMES,
        "layout",
        at + 48,
        f"number {layout} of {name!r} is unknown to this version",
    )
    _expect(
        dtype in DTYPE_NAMES,
        "dtype",
        at + 52,
        f"number {dtype} of {name!r} is unknown to this version",
    )
    _expect(1 <= rows <= 1 << 20, "rows", at + 56, f"{rows} is not in 1 .. 2^20")
    _expect(1 <= cols <= 1 << 20, "cols", at + 60, f"{cols} is not in 1 .. 2^20")
    _expect(values[13] == 0, "reserved", at + 120, "not 0")
    layout_name, dtype_name = LAYOUT_NAMES[layout], DTYPE_NAMES[dtype]
    sections = []
    for i, part in enumerate(("values", "columns", "quads")):
        offset, size = values[7 + 2 * i], values[8 + 2 * i]
        if part != "values" and layout_name not in BLOCKS:
            _expect(
                offset == size == 0,
                f"{part}_offset",
                at + 72 + 16 * i,
                f"not 0 in a {layout_name} tensor",
            )
            continue
        field_at = at + 72 + 16 * i
        sections.append(
            _section(data, f"{part} of {name!r}", field_at, offset, size, SECTION_ALIGNMENT)
        )
    if layout_name not in BLOCKS:
        _expect(
            n_blocks == index_width == 0, "n_blocks", at + 64, f"not 0 in a {layout_name} tensor"
        )
        return Tensor(
            name, Packed(layout_name, dtype_name, rows, cols, _view(data, sections[0], dtype_name))
        ), sections
    _expect(index_width in (1, 2), "index_width", at + 68, f"{index_width} is neither 1 nor 2")
    columns = data[sections[1].offset : sections[1].offset + sections[1].size]
    _expect(
        sections[1].size == n_blocks * index_width,
        "columns_size",
        at + 96,
        f"{sections[1].size} bytes",
    )
    _expect(
        sections[2].size % QUAD.itemsize == 0, "quads_size", at + 112, f"{sections[2].size} bytes"
    )
    quads = data[sections[2].offset : sections[2].offset + sections[2].size].view(QUAD)
    packed = Packed(
        layout_name,
        dtype_name,
        rows,
        cols,
        _view(data, sections[0], dtype_name),
        n_blocks,
        columns.view("u1" if index_width == 1 else "<u2"),
        quads,
    )
    return Tensor(name, packed), sections


def _view(data: Bytes, section: Section, dtype: str) -> npt.NDArray[Any]:
    stored = storage_dtype(dtype)
    _expect(
        section.size % stored.itemsize == 0,
        section.name,
        section.offset,
        f"{section.size} bytes of {dtype}",
    )
    return data[section.offset : section.offset + section.size].view(stored)


def _read_operation(data: Bytes, at: int) -> Operation:
    try:
        return decode(data[at : at + OPERATION_SIZE].tobytes())
    except OperationError as error:
        raise FormatError(f"operation: {error}", at + 4 * error.word) from None
