"""The file: every layout comes back as it was stored, and nothing damaged is taken for whole."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import linnet
from linnet import FormatError, _hooks, format
from linnet.format.blocks import BLOCKS, QUAD, Packed, pack
from linnet.format.choice import best_block, fill_ratio
from linnet.format.dtypes import DTYPES, as_stored, quantise, round_weights, widen
from linnet.format.operations import Draw, Linear, Operand, Operation, Output
from linnet.format.tensor import Tensor
from linnet.format.voice_file import Header, VoiceFile
from linnet.pruning import block_scores, keep_largest, prune
from linnet_export.writing.writer import to_bytes
from voices import tiny_voice

LAYOUTS = ["dense", *BLOCKS]
TINY = tiny_voice(hidden=16, channels=4, head=8, kernels=(3,))


def sparse(rows: int, cols: int, density: float, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    values = random.standard_normal((rows, cols)) * np.exp(random.uniform(-16, 8, (rows, cols)))
    return np.where(random.random((rows, cols)) < density, values, 0).astype(np.float32)


def voice_of(tensors: dict[str, tuple[np.ndarray, str, str]]) -> VoiceFile:
    """The smallest program around some tensors."""
    draw = Draw(2, 0, 0, Operand(0), Operand(4), 1.0, -1.0, 0.0, 0)
    out = Output(0, None, 0, Operand(5), 1.0, -1.0, 0.0, 0.0, 0.0, 0.0)
    packed = tuple(Tensor(name, pack(*how)) for name, how in tensors.items())
    return VoiceFile(Header(16000, 10, 1, 0, 0, 16, 1, 0), {"name": "x"}, packed, (), (draw, out))


@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
    st.sampled_from([*LAYOUTS, "table"]),
    st.sampled_from(list(DTYPES)),
)
def test_matrices_survive_the_file(
    rows: int, cols: int, density: float, seed: int, layout: str, dtype: str
) -> None:
    dense = sparse(rows, cols, density, seed)
    rounded = as_stored(dense, dtype)
    data = to_bytes(voice_of({"a": (dense, layout, dtype), "b": (dense, layout, dtype)}))
    voice = format.read(data)
    for tensor in voice.tensors:
        assert (tensor.layout, tensor.dtype, tensor.shape) == (layout, dtype, (rows, cols))
        np.testing.assert_array_equal(tensor.dense, rounded)
    assert to_bytes(voice) == data


def test_wide_matrices_count_columns_in_two_bytes() -> None:
    dense = sparse(3, 4100, 0.1, 0)
    voice = format.read(to_bytes(voice_of({b: (dense, b, "float16") for b in BLOCKS})))
    widths = {tensor.layout: tensor.packed.index_width for tensor in voice.tensors}
    assert widths == dict.fromkeys(BLOCKS, 2)
    for tensor in voice.tensors:
        np.testing.assert_array_equal(tensor.dense, dense.astype(np.float16).astype(np.float32))


@given(st.integers(1, 200), st.integers(1, 9), st.integers(0, 2**32 - 1), st.sampled_from(LAYOUTS))
def test_quads_name_every_block_row_once_and_the_longest_first(
    rows: int, cols: int, seed: int, layout: str
) -> None:
    quads = pack(sparse(rows, cols, 0.2, seed), layout, "float32").quads
    if quads is None:
        return
    depths, named = quads["depth"].tolist(), quads["block_rows"].ravel().tolist()
    assert depths == sorted(depths, reverse=True)
    n = -(-rows // BLOCKS[layout][0])
    assert sorted(named[:n]) == list(range(n)) and set(named[n:]) <= {65535}


@pytest.mark.parametrize("block", LAYOUTS)
def test_weights_keep_their_place(block: str) -> None:
    """FORMAT.md's formulas, spelled out weight by weight."""
    rows, cols = 19, 9
    dense = sparse(rows, cols, 0.4, 5)
    packed = pack(dense, block, "float32")
    found = np.zeros_like(dense)
    if packed.columns is None or packed.quads is None:
        for r in range(rows):
            for c in range(cols):
                found[r, c] = packed.values[(r // 16 * cols + c) * 16 + r % 16]
        np.testing.assert_array_equal(found, dense)
        return
    height, width = BLOCKS[block]
    size = height * width
    last = dict.fromkeys(range(-(-rows // height)), -1)
    at = 0
    for block_rows, steps in packed.quads.tolist():
        for _ in range(steps):
            for block_row in block_rows:
                column = int(packed.columns[at])
                weights = packed.values[at * size : (at + 1) * size]
                at += 1
                if block_row == 65535 or not weights.any():
                    assert not weights.any()
                    assert block_row == 65535 or column == max(last[block_row], 0)
                    continue
                assert column > last[block_row]
                last[block_row] = column
                for i, weight in enumerate(weights):
                    r, c = block_row * height + i // width, column * width + i % width
                    if r < rows and c < cols:
                        found[r, c] = weight
                    else:
                        assert weight == 0
    assert at == packed.n_blocks
    np.testing.assert_array_equal(found, dense)


def test_bytes_per_stored_weight_at_the_papers_size() -> None:
    dense = np.random.default_rng(0).standard_normal((3072, 1024)).astype(np.float32)
    pruned = prune(dense, "4x4", 0.95)
    data = to_bytes(voice_of({"recurrent": (pruned, "4x4", "float16")}))
    stored = np.count_nonzero(pruned)
    print(f"3072 x 1024, 95 %, 4x4, fp16: {len(data) / stored:.4f} bytes per stored weight")
    assert stored == 16 * round(0.05 * 768 * 256)
    assert len(data) <= 2.15 * stored
    assert len(to_bytes(voice_of({"recurrent": (pruned, "4x4", "int8")}))) <= 1.25 * stored


def test_rounding_is_to_nearest_even_and_keeps_subnormals() -> None:
    half = np.array([1 + 2**-11, 1 + 3 * 2**-11, 2**-24, 2**-25, 3 * 2**-26, 65519.0, -65519.0])
    expected = np.array([1, 1 + 2**-9, 2**-24, 0, 2**-24, 65504, -65504], np.float16)
    np.testing.assert_array_equal(round_weights(half.astype(np.float32), "float16"), expected)
    upper = np.array([1 + 2**-8, 1 + 3 * 2**-8, 2**-133, 2**-134], np.float32)
    expected_ = np.array([1, 1 + 2**-6, 2**-133, 0], np.float32)
    stored = round_weights(upper, "bfloat16")
    np.testing.assert_array_equal(widen(stored, "bfloat16"), expected_)
    # Just above a tie in float64: by way of float32 it would become the tie, and go down.
    above = np.array([1 + 2**-8 + 2**-40, -1 - 2**-8 - 2**-40, 1 + 2**-8 - 2**-40])
    expected_ = np.array([1 + 2**-7, -1 - 2**-7, 1], np.float32)
    np.testing.assert_array_equal(widen(round_weights(above, "bfloat16"), "bfloat16"), expected_)


@given(st.integers(1, 20), st.integers(1, 40), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_int8_rows_have_a_scale_no_worse_than_the_plain_one(
    rows: int, cols: int, density: float, seed: int
) -> None:
    dense = sparse(rows, cols, density, seed)
    stored, scales = quantise(dense)
    assert stored.dtype == np.int8 and scales.dtype == np.float32
    wide, each = dense.astype(np.float64), scales.astype(np.float64)[:, None]
    used = each.ravel() > 0
    np.testing.assert_array_equal(used, np.abs(wide).max(axis=1) > 127 * 2.0**-150)
    nearest = np.clip(np.rint(wide[used] / each[used]), -127, 127)
    np.testing.assert_array_equal(stored[used], nearest)
    assert not stored[~used].any()

    def error(scale: np.ndarray) -> np.ndarray:
        q = np.clip(np.rint(wide[used] / scale), -127, 127)
        return np.asarray(((wide[used] - q * scale) ** 2).sum(axis=1))

    largest = np.abs(wide[used]).max(axis=1, keepdims=True)
    plain = (largest / 127).astype(np.float32).astype(np.float64)
    assert (error(each[used]) <= error(plain)).all()


@pytest.mark.parametrize(
    ("dtype", "largest"), [("float16", -65520.0), ("bfloat16", 3.4e38), ("float32", 1e39)]
)
def test_weights_beyond_the_range_are_refused(dtype: str, largest: float) -> None:
    with pytest.raises(ValueError, match=f"{largest:g}.*{dtype}".replace("+", r"\+")):
        pack(np.array([[1.0, largest]]), "dense", dtype)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        pack(np.array([[1.0, bad]]), "4x4", "float16")


@pytest.mark.parametrize("block", list(BLOCKS))
def test_the_blocks_of_a_pruned_matrix_are_found(block: str) -> None:
    dense = np.random.default_rng(1).standard_normal((768, 256)).astype(np.float32)
    pruned = prune(dense, block, 0.9)
    assert fill_ratio(pruned, block) == 1
    assert best_block(pruned, "float16") == block
    assert best_block(dense, "float16") == "dense"


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.floats(0, 0.99),
    st.sampled_from(list(BLOCKS)),
    st.integers(0, 99),
)
def test_pruning_keeps_exactly_the_greatest_blocks(
    rows: int, cols: int, sparsity: float, block: str, seed: int
) -> None:
    dense = np.random.default_rng(seed).standard_normal((rows, cols)).astype(np.float32)
    scores = block_scores(dense, block)
    keep = keep_largest(scores, sparsity)
    assert keep.sum() == int(np.floor((1 - sparsity) * scores.size + 0.5))
    if keep.any() and not keep.all():
        assert scores[keep].min() >= scores[~keep].max()
    pruned = prune(dense, block, sparsity)
    height, width = BLOCKS[block]
    for i, j in np.ndindex(keep.shape):
        part = np.s_[i * height : (i + 1) * height, j * width : (j + 1) * width]
        np.testing.assert_array_equal(pruned[part], dense[part] * keep[i, j])
        np.testing.assert_allclose(scores[i, j], np.abs(dense[part]).mean(), rtol=1e-6)


def same(a: VoiceFile, b: VoiceFile) -> bool:
    return to_bytes(a) == to_bytes(b)


@settings(max_examples=300)
@given(st.integers(0, len(TINY) - 1), st.integers(1, 255))
def test_changed_bytes_are_noticed(at: int, change: int) -> None:
    data = bytearray(TINY)
    data[at] ^= change
    try:
        voice = format.read(bytes(data))
    except FormatError:
        return
    assert same(voice, format.read(TINY))


@settings(max_examples=500)
@given(st.integers(32, len(TINY) - 1), st.integers(1, 255))
def test_changed_bytes_under_a_valid_checksum_break_nothing(at: int, change: int) -> None:
    """Whatever is accepted has indices in range; nothing but FormatError comes out."""
    data = bytearray(TINY)
    data[at] ^= change
    data[24:28] = struct.pack("<I", zlib.crc32(data[32:]))
    try:
        voice = format.read(bytes(data))
    except FormatError:
        return
    for tensor in voice.tensors:
        assert np.isfinite(tensor.dense).all()


def test_a_damaged_name_in_a_message_is_still_a_format_error() -> None:
    data = bytearray(TINY)
    (directory,) = struct.unpack_from("<Q", data, 96)
    data[directory] = 0x80  # no UTF-8
    data[directory + 72] ^= 3  # the offset of its values, of which the message names the tensor
    data[24:28] = struct.pack("<I", zlib.crc32(data[32:]))
    with pytest.raises(FormatError, match="\N{REPLACEMENT CHARACTER}"):
        linnet.load(bytes(data))


@given(st.integers(0, len(TINY) - 1))
def test_truncated_files_are_refused(size: int) -> None:
    with pytest.raises(FormatError):
        format.read(TINY[:size])


@given(st.binary(max_size=100), st.integers(0, 3))
def test_the_checksum_is_that_of_zlib(data: bytes, repeats: int) -> None:
    data = data * (1 << 2 * repeats)
    assert _hooks.crc32(data) == zlib.crc32(data)


def test_errors_name_the_field_and_its_offset() -> None:
    newer = bytearray(TINY)
    newer[8:10] = struct.pack("<H", 2)
    with pytest.raises(FormatError, match=r"version 2\.0.*byte 8"):
        format.read(bytes(newer))
    with pytest.raises(FormatError, match=r"file_size.*byte 16"):
        format.read(TINY + b"\0" * 64)
    with pytest.raises(FormatError, match=r"magic.*byte 0"):
        format.read(b"RIFF" + TINY)


LEAST = "-128"


def int8_voice(**changes: Any) -> bytes:
    """A voice with an int8 matrix whose packed form is changed."""
    voice = voice_of({"w": (sparse(9, 20, 0.5, 0), "4x4", "int8")})
    packed = voice.tensors[0].packed
    if changes.get("values") is LEAST:
        changes["values"] = np.full_like(packed.values, -128)
    packed = replace(packed, **changes)
    return to_bytes(replace(voice, tensors=(Tensor("w", packed),)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": LEAST}, "a weight is -128"),
        ({"scales": np.full(9, np.inf, np.float32)}, "a scale is infinite"),
        ({"input_range": -1.0}, "input_range is -1"),
        ({"input_range": np.nan}, "input_range is nan"),
        ({"input_range": np.inf}, "input_range is inf"),
        ({"input_range": 2.0**-101}, "input_range is 3.9"),
        ({"cols": 16385}, "cols of int8 is 16385"),
        ({"dtype": "float16", "input_range": 1.0, "scales": None}, "input_range is 1"),
    ],
)
def test_int8_that_would_mean_nothing_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        format.read(int8_voice(**changes))


def test_int8_rows_whose_sums_could_overflow_are_refused() -> None:
    """Blocks may name a column again; 2^17 weights are the most, and 2^17 127 127 < 2^31."""
    for depth, fits in ((8192, True), (8193, False)):
        quads = np.zeros(1, QUAD)
        quads["block_rows"], quads["depth"] = (0, 1, 2, 3), depth
        packed = Packed(
            *("1x16", "int8", 4, 16, np.full(64 * depth, 127, np.int8), 4 * depth),
            np.zeros(4 * depth, np.uint8),
            quads,
            np.ones(4, np.float32),
        )
        data = to_bytes(replace(voice_of({}), tensors=(Tensor("w", packed),)))
        if fits:
            y = linnet.SparseMatrix.from_packed(packed) @ np.full(16, 127, np.float32)
            np.testing.assert_array_equal(y, np.full(4, np.float32(2**17 * 127 * 127)))
            format.read(data)
        else:
            with pytest.raises(FormatError, match="rows of more than 131072 weights"):
                format.read(data)


def replaced(voice: VoiceFile, *sample: Operation) -> VoiceFile:
    return VoiceFile(voice.header, voice.metadata, voice.tensors, (), sample)


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (Linear(9, None, 0, Operand(0), Operand(8)), "weights is not a matrix"),
        (Linear(0, None, 9, Operand(0), Operand(8)), "activation"),
        (Linear(0, 0, 0, Operand(0), Operand(8)), "bias"),
        (Linear(0, None, 0, Operand(14), Operand(8)), "input leaves the arena"),
        (Linear(0, None, 0, Operand(0, 2), Operand(8)), "input leaves the arena"),
        (Linear(0, None, 0, Operand(0), Operand(2)), "overlap"),
        (Draw(2, 0, 0, Operand(0), Operand(4), 1.0, -1.0, 0.0, 0), "another draw"),
        (Draw(2, 1, 0, Operand(0), Operand(4), 1.0, -1.0, 0.0, 0), "slot is not a slot"),
    ],
)
def test_programs_that_would_leave_their_memory_are_refused(
    operation: Operation, message: str
) -> None:
    voice = voice_of({"w": (np.eye(3, dtype=np.float32), "dense", "float32")})
    with pytest.raises(FormatError, match=message):
        format.read(to_bytes(replaced(voice, operation, *voice.sample_program)))
