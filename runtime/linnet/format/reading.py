"""Reading `.linnet` files (export/FORMAT.md). The core validates them; what passes is decoded."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from linnet import _core
from linnet.errors import FormatError, named
from linnet.format.blocks import (
    BLOCKS,
    GROUP,
    LAYOUTS,
    QUAD,
    Packed,
    ceil_div,
    weights_of,
)
from linnet.format.dtypes import numbered_type
from linnet.format.operation_bytes import OPERATION_SIZE, decode
from linnet.format.operations import NONE, Match
from linnet.format.records import HEADER, HEADER_SIZE, MAGIC, TENSOR, TENSOR_SIZE
from linnet.format.tensor import Tensor
from linnet.format.voice_file import Header, VoiceFile

Bytes = npt.NDArray[np.uint8]

_LAYOUT_NAMES = {number: name for name, number in LAYOUTS.items()}


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
    if isinstance(source, (bytes, np.ndarray)):
        data = np.frombuffer(source, np.uint8)
        _core.Model.from_buffer(data.data)
        return decoded(data)
    with named(source):
        _core.Model.open(os.fsencode(source))
        return decoded(np.asarray(np.memmap(source, np.uint8, mode="r")))


def decoded(data: Bytes) -> VoiceFile:
    """What a valid file holds, without another check.

    Raises FormatError where a text of it is none: the core looks at no text.
    """
    values = HEADER.unpack(data[:HEADER_SIZE].tobytes())
    numbers, places, (steps_per_row, silence, n_matches) = values[7:19], values[19:23], values[23:]
    n_tensors, n_frame, n_sample, samples_per_step = numbers[8:]
    metadata_at, metadata_size, tensors_at, operations_at = places
    own_silence = None if silence == NONE else silence
    header = Header(*(*numbers[:8], samples_per_step, steps_per_row, own_silence))
    operations = [
        decode(data[at : at + OPERATION_SIZE].tobytes())
        for at in range(
            operations_at,
            operations_at + (n_frame + n_sample + n_matches) * OPERATION_SIZE,
            OPERATION_SIZE,
        )
    ]
    match = operations[-1] if n_matches else None
    assert match is None or isinstance(match, Match)
    return VoiceFile(
        header,
        read_metadata(data[metadata_at : metadata_at + metadata_size].tobytes(), metadata_at),
        tuple(_tensor(data, tensors_at + i * TENSOR_SIZE) for i in range(n_tensors)),
        tuple(operations[:n_frame]),
        tuple(operations[n_frame : n_frame + n_sample]),
        data.size,
        match,
    )


def read_metadata(text: bytes, offset: int | None = None) -> dict[str, Any]:
    """A file's metadata. Raises FormatError where the text is not an object of JSON."""
    try:
        metadata = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise FormatError(f"metadata: {error}", offset) from None
    if not isinstance(metadata, dict):
        raise FormatError("metadata: not a JSON object", offset)
    return metadata


def _tensor(data: Bytes, at: int) -> Tensor:
    values = TENSOR.unpack(data[at : at + TENSOR_SIZE].tobytes())
    raw, layout, dtype, rows, cols, n_blocks, index_width = values[:7]
    try:
        name = raw.partition(b"\0")[0].decode()
    except UnicodeDecodeError:
        raise FormatError("name: not UTF-8", at) from None
    weights, columns, quads = (
        data[offset : offset + size]
        for offset, size in zip(values[7:13:2], values[8:13:2], strict=True)
    )
    kind, order = numbered_type(dtype), _LAYOUT_NAMES[layout]
    scales = None
    if kind.scaled:  # they stand behind the weights
        section = weights
        weights = section[: weights_of(order, kind.name, rows, cols, n_blocks)]
        scales = section[-4 * ceil_div(rows, GROUP) * GROUP :].view("<f4")[:rows]
    packed = Packed(order, kind.name, rows, cols, weights.view(kind.stored), scales=scales)
    if order in BLOCKS:
        index = columns.view("u1" if index_width == 1 else "<u2")
        packed = replace(packed, n_blocks=n_blocks, columns=index, quads=quads.view(QUAD))
    return Tensor(name, replace(packed, input_range=values[13]))
