"""What the writer promises of a file beyond what the core validates when it opens one.

A reader skips the bytes between sections, the end of a name, the words that an operation does not
have, and weights beyond a matrix. The writer leaves zeros there, so that the same voice gives the
same bytes, and a later version may give them a meaning.
"""

from __future__ import annotations

import struct
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from linnet.format import VoiceFile, read
from linnet.format.blocks import BLOCKS, DENSE, GROUP, NO_BLOCK_ROW, TABLE, ceil_div, dense_width
from linnet.format.dtypes import widen
from linnet.format.operation_bytes import N_WORDS, encode
from linnet.format.operations import Operation
from linnet.format.records import HEADER_SIZE, TENSOR_SIZE
from linnet.format.tensor import Tensor
from linnet_export.writing.writer import to_bytes
from random_programs import random_program
from varied_voices import varied_voices

VOICES = {
    **varied_voices(),
    **{f"random-{seed}": random_program(seed) for seed in range(40)},
}


def operations_of(voice: VoiceFile) -> list[Operation]:
    after = [voice.match] if voice.match else []
    return [*voice.frame_program, *voice.sample_program, *after]


def sections_of(data: bytes) -> list[tuple[int, int]]:
    """(start, end) of everything that the header and the directory name."""
    voice = read(data)
    metadata_at, metadata_size, tensors_at, operations_at = struct.unpack_from("<4Q", data, 80)
    found = [
        (0, HEADER_SIZE),
        (metadata_at, metadata_at + metadata_size),
        (tensors_at, tensors_at + TENSOR_SIZE * len(voice.tensors)),
        (operations_at, operations_at + 4 * N_WORDS * len(operations_of(voice))),
    ]
    for i in range(len(voice.tensors)):
        places = struct.unpack_from("<6Q", data, tensors_at + i * TENSOR_SIZE + 72)
        found += [(at, at + size) for at, size in zip(places[::2], places[1::2], strict=True)]
    return sorted(section for section in found if section[0] < section[1])


@pytest.mark.parametrize("name", VOICES)
def test_sections_stand_apart_with_zeros_between_them(name: str) -> None:
    data, end = VOICES[name], 0
    for start, stop in sections_of(data):
        assert start >= end and not any(data[end:start])
        end = stop
    assert end == len(data)


@pytest.mark.parametrize("name", VOICES)
def test_names_and_operations_end_in_zeros(name: str) -> None:
    data = VOICES[name]
    voice = read(data)
    (tensors_at,) = struct.unpack_from("<Q", data, 96)
    for i, tensor in enumerate(voice.tensors):
        field = data[tensors_at + i * TENSOR_SIZE :][:48]
        assert field == tensor.name.encode().ljust(48, b"\0")
    for operation in operations_of(voice):
        words = struct.unpack(f"<{N_WORDS}I", encode(operation))
        meant = {0}
        for field_ in fields(operation):
            at, kind = field_.metadata["word"], field_.metadata["kind"]
            meant |= {at, at + 1} if kind.endswith("operand") else {at}
        assert not any(word for at, word in enumerate(words) if at not in meant)


@pytest.mark.parametrize("name", VOICES)
def test_weights_beyond_a_matrix_are_zero(name: str) -> None:
    voice = read(VOICES[name])
    for tensor in voice.tensors:
        assert not beyond(tensor).any()
    assert to_bytes(voice) == VOICES[name]


def beyond(tensor: Tensor) -> Any:
    """The stored weights that stand for rows or columns beyond the matrix."""
    packed, (rows, cols) = tensor.packed, tensor.shape
    weights = widen(packed.values, packed.dtype)
    if tensor.layout == TABLE:
        return weights.reshape(rows, -1)[:, cols:]
    if tensor.layout not in BLOCKS:
        assert tensor.layout in (DENSE, "vector")
        width = dense_width(packed.dtype)
        panels = weights.reshape(-1, ceil_div(cols, width), GROUP, width)
        below = panels[-1, :, rows - (ceil_div(rows, GROUP) - 1) * GROUP :]
        right = panels[:, -1, :, cols - (ceil_div(cols, width) - 1) * width :]
        return np.concatenate([below.ravel(), right.ravel()])
    r, c = BLOCKS[tensor.layout]
    block_row, block_col = packed.places()
    row, col = block_row[:, None] * r + np.arange(r), block_col[:, None] * c + np.arange(c)
    outside = (row >= rows)[:, :, None] | (col >= cols)[:, None, :]
    assert outside[block_row == NO_BLOCK_ROW].all()
    return weights.reshape(-1, r, c)[outside]
