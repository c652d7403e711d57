"""Hostile checkpoints: an error of one line that names the file, at once and in little memory."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import limited
from linnet_export import CheckpointError, describe, export
from linnet_export.readers.archives import Archive
from test_export import save_npz
from voices import tiny_config, tiny_tensors

CONFIG = tiny_config("wavernn-softmax")
TENSORS = tiny_tensors(CONFIG, kernels=(3,))
MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
NESTED = b"})" + b"\x85" * 10**6 + b"K\x01s."
FROZEN = b"(" + b")" + b"\x85" * 10**6 + b"\x91."
DOUBLED = b"})" + b"q\x00h\x00\x86" * 40 + b"K\x01s."


def save_pickle(path: Path, data: bytes, **storages: bytes) -> Path:
    """A zip file of torch.save around a pickle, protocol 2, and its storages."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02" + data)
        for key, stored in storages.items():
            archive.writestr(f"a/data/{key}", stored)
    return path


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def integer(value: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", value)


def tensor(storage: str, n: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """Opcodes of a tensor in a storage of n floats."""

    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(map(integer, values)) + b"t"

    storage_id = text("storage") + b"ctorch\nFloatStorage\n" + text(storage) + text("cpu")
    arguments = b"(" + storage_id + integer(n) + b"tQ" + integer(0) + numbers(shape)
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + numbers(strides) + b"\x89NtR"


def state(**tensors: bytes) -> bytes:
    return b"}(" + b"".join(text(name) + t for name, t in tensors.items()) + b"u."


def assert_refused_by_export(path: Path, message: str) -> None:
    found = limited.run("export", path, f"-o{path.with_suffix('.linnet')}")
    assert found.status == 1 and re.search(message, found.error), found
    assert found.error.startswith(f"linnet: {path}: ") and found.error.count("\n") == 1


def assert_refused(path: Path, message: str) -> None:
    """In a process of its own: exit status 1, one line that names the file, little memory."""
    for what in ("--describe", f"-o{path.with_suffix('.linnet')}"):
        found = limited.run("export", path, what)
        assert found.status == 1, found
        assert found.error.startswith(f"linnet: {path}: ") and found.error.count("\n") == 1
        assert message in found.error
        assert 0 < found.memory < limited.MEMORY
    assert not path.with_suffix(".linnet").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (NESTED, "tuples more than 64 deep"),
        (FROZEN, "tuples more than 64 deep"),
        (b"(" * 10**6 + b"." , "nested more than 64 deep"),
        (DOUBLED, "no dict of tensors"),
        (b"}r" + struct.pack("<I", 1 << 28) + b".", "keeps something in place 268435456"),
        (b"]" * 3_000_000 + b".", "--max-unpacked"),
        (b"c__main__\nA\n)\x81.", "holds a __main__.A, not a state dict"),
        (b"(I1\nl.", "opcode INT"),
        (b"}U\xff.", "damaged"),
        (b"h\x05.", "place 5, where nothing was kept"),
        (b"R.", "empty stack"),
        (b"}", "damaged"),
    ],
    ids=[
        "nested-key", "nested-set", "marks", "doubled-key", "memo", "lists", "object", "opcode",
        "text", "memo-empty", "stack", "no-end",
    ],
)  # fmt: skip
def test_pickles_that_torch_does_not_write_are_refused_at_once(
    tmp_path: Path, data: bytes, message: str
) -> None:
    assert_refused(save_pickle(tmp_path / "a.pt", data), message)


@pytest.mark.parametrize("data", [NESTED, DOUBLED, b"]."], ids=["nested", "doubled", "list"])
@pytest.mark.parametrize("place", [0, 1, 2], ids=["version", "system", "object"])
def test_the_pickles_of_older_files_are_refused_at_once(
    tmp_path: Path, data: bytes, place: int
) -> None:
    whole: tuple[Any, ...] = (1001, {"little_endian": True}, {}, [])
    parts = [pickle.dumps(part, 2) for part in whole]
    parts[place] = b"\x80\x02" + data
    (tmp_path / "a.pt").write_bytes(MAGIC + b"".join(parts))
    assert_refused(tmp_path / "a.pt", "")


@pytest.mark.parametrize("names", ["posix\nsystem", "builtins\neval", "os\nsystem"])
def test_names_that_attacks_are_made_of_are_refused_wherever_they_stand(
    tmp_path: Path, names: str
) -> None:
    tensors = text("a") + tensor("0", 4, (2, 2), (2, 1))
    data = b"}(" + tensors + text("b") + b"c" + names.encode() + b"\n" + text("x") + b"\x85Ru."
    save_pickle(tmp_path / "a.pt", data, **{"0": bytes(16)})
    with pytest.raises(CheckpointError, match="arbitrary pickles are refused"):
        describe(tmp_path / "a.pt")


def test_keys_that_all_have_one_hash_take_no_time(tmp_path: Path) -> None:
    prime = (1 << 61) - 1
    keys = [n * prime for n in range(1, 30_001)]
    data = b"}(" + b"".join(b"\x8a\x0b" + k.to_bytes(11, "little") + b"N" for k in keys) + b"u."
    assert_refused(save_pickle(tmp_path / "a.pt", data), "no dict of tensors")


@pytest.mark.parametrize(
    ("shape", "strides", "message"),
    [
        ((20_000, 20_000), (0, 0), "400000000 elements, its storage 4"),
        ((2, 3), (1, 1), "6 elements, its storage 4"),
        ((4, 2), (1, 1), "leaves its storage"),
        ((1 << 61, 1 << 61), (0, 0), "elements, its storage 4"),
        ((0, 1 << 61, 1 << 61), (0, 0, 0), ""),
    ],
)
def test_elements_beyond_a_storage_are_refused(
    tmp_path: Path, shape: tuple[int, ...], strides: tuple[int, ...], message: str
) -> None:
    data = state(x=tensor("0", 4, shape, strides))
    assert_refused(save_pickle(tmp_path / "a.pt", data, **{"0": bytes(16)}), message)


def test_a_storage_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    n, read, reads = 1 << 10, Archive.read, []

    def counted(archive: Archive, name: str) -> bytes:
        reads.append(name)
        return read(archive, name)

    monkeypatch.setattr(Archive, "read", counted)
    data = state(**{f"t{i}": tensor("0", n, (2, 2), (2, 1)) for i in range(300)})
    path = save_pickle(tmp_path / "a.pt", data, **{"0": bytes(4 * n)})
    assert len(describe(path).tensors) == 300
    assert reads.count("a/data/0") == 1


def test_tensors_that_share_a_storage_are_within_the_budget(tmp_path: Path) -> None:
    n = 1 << 22  # floats, 16 MiB; 300 tensors of as many would be 5 GB
    data = state(**{f"t{i}": tensor("0", n, (2048, 2048), (1, 2048)) for i in range(300)})
    path = save_pickle(tmp_path / "a.pt", data, **{"0": bytes(4 * n)})
    assert_refused(path, "unpacks to over 536,870,912 bytes; --max-unpacked allows more")


def bomb(folder: Path, suffix: str) -> Path:
    """Two gigabytes of zeros in a few megabytes."""
    path = folder / f"bomb.{suffix}"
    size = 1 << 31
    entry, head = "a.npy", io.BytesIO()
    if suffix == "pt":
        save_pickle(path, state(x=tensor("0", size // 4, (size // 8, 2), (2, 1))))
        entry = "a/data/0"
    else:
        shape = {"descr": "|u1", "fortran_order": False, "shape": (size,)}
        np.lib.format.write_array_header_1_0(head, shape)
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(entry, "w", force_zip64=True) as file,
    ):
        file.write(head.getvalue())
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    return path


@pytest.mark.parametrize("suffix", ["pt", "npz"])
def test_a_bomb_is_refused_by_its_budget(tmp_path: Path, suffix: str) -> None:
    path = bomb(tmp_path, suffix)
    assert path.stat().st_size < 16 << 20
    assert_refused(path, "unpacks to over 536,870,912 bytes; --max-unpacked allows more")


def test_the_budget_can_be_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from linnet.cli import main

    path = save_npz(tmp_path / "a.npz", TENSORS, CONFIG)
    command = ["export", "--describe", str(path)]
    with pytest.raises(CheckpointError, match="over 1,000 bytes"):
        describe(path, max_unpacked=1000)
    assert main([*command, "--max-unpacked", "1K"]) == 1
    monkeypatch.setenv("LINNET_MAX_UNPACKED", "1K")
    assert main(command) == 1
    assert main([*command, "--max-unpacked", "1M"]) == 0
    monkeypatch.setenv("LINNET_MAX_UNPACKED", "1M")
    assert main(command) == 0
    monkeypatch.setenv("LINNET_MAX_UNPACKED", "much")
    assert main(command) == 1


def test_matrices_of_model_bin_are_within_the_budget(tmp_path: Path) -> None:
    side = 1 << 16
    head = struct.pack("<4i", 3, 3, 200, 2)
    conv = struct.pack("<i64s5i", 1, b"", 4, 0, 1, 1, 1) + bytes(4)
    linear = struct.pack("<i64s3i", 4, b"", 4, side, side)
    index = struct.pack("<2i", 0, side) + b"\xff" * side
    (tmp_path / "a.bin").write_bytes(head + conv + linear + index + bytes(4 * side))
    assert_refused(tmp_path / "a.bin", "--max-unpacked allows more")


def save_safetensors(path: Path, header: Any, data: bytes = b"") -> Path:
    packed = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(packed)) + packed + data)
    return path


ENTRY = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"__metadata__": None}, "no family"),
        ({"__metadata__": []}, "no family"),
        ({"__metadata__": "x"}, "__metadata__ is no object"),
        ({"__metadata__": {"config": None}, "x": ENTRY}, "no family"),
        ({"__metadata__": {"config": 3}}, "config is no text"),
        ({"__metadata__": {"config": "[" * 10**5}}, "config is nested too deeply"),
        ({"__metadata__": {"config": "[]"}}, "not a JSON object"),
        ({"x": ENTRY | {"dtype": None}}, "x: its dtype"),
        ({"x": ENTRY | {"dtype": []}}, "x: its dtype"),
        ({"x": ENTRY | {"shape": [2.0, 2]}}, "x: its shape"),
        ({"x": ENTRY | {"shape": [-2, -2]}}, "x: its shape"),
        ({"x": ENTRY | {"shape": [1 << 61, 1 << 61]}}, "x: F32 of shape"),
        ({"x": ENTRY | {"data_offsets": [0]}}, "x: its shape"),
        ({"x": ENTRY | {"data_offsets": [0, 400]}}, "leave the file's 16"),
        ({"x": ENTRY | {"data_offsets": [12, 4]}}, "leave the file's 16"),
        ({"x": None}, "x: its entry"),
        ({"x\n\x1b[31m": None}, r"x \\x1b\[31m: its entry"),
        ([], "not a JSON object"),
        (b"[" * 10**5, "not JSON"),
        (b"\xff", "not JSON"),
    ],
)
def test_headers_of_safetensors_that_make_no_sense_are_refused(
    tmp_path: Path, header: Any, message: str
) -> None:
    refused(save_safetensors(tmp_path / "a.safetensors", header, bytes(16)), message)


def refused(path: Path, message: str | None) -> None:
    with pytest.raises(CheckpointError, match=message) as error:
        export(path, path.with_suffix(".linnet"))
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
    assert not path.with_suffix(".linnet").exists()


@pytest.mark.parametrize(
    "name", ["a." * 10**6 + "w", "conditioning." + "9" * 4000 + ".weight", "fc9999999999.weight"]
)
def test_names_of_any_length_take_no_time(tmp_path: Path, name: str) -> None:
    path = save_safetensors(tmp_path / "a.safetensors", {name: ENTRY}, bytes(16))
    assert limited.run("export", "--describe", path).status == 0
    (tmp_path / "c.json").write_text(json.dumps(CONFIG))
    found = limited.run("export", path, f"-o{tmp_path}/a.linnet", f"--config={tmp_path}/c.json")
    assert found.status == 1 and len(found.error) < 5000 and "missing tensors" in found.error


@pytest.mark.parametrize("size", [0, 1, 7, 8, 20, 100])
def test_a_safetensors_file_that_is_cut_short_is_refused(tmp_path: Path, size: int) -> None:
    path = save_safetensors(tmp_path / "a.safetensors", {"x": ENTRY}, bytes(16))
    path.write_bytes(path.read_bytes()[: min(size, path.stat().st_size - 1)])
    refused(path, "empty|cut short|leave the file")


def test_a_header_of_any_length_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    for size, message in ((1 << 40, "its header says"), (1 << 26, "cut short")):
        path.write_bytes(struct.pack("<Q", size) + b"{}")
        refused(path, message)


@pytest.mark.parametrize("halves", [(70_000,), (300, 300), (2, 3, 1000, 1000), (60_000,)])
def test_upsampling_of_any_size_is_refused_at_once(tmp_path: Path, halves: tuple[int, ...]) -> None:
    pytest.importorskip("torch", reason="the network is a PyTorch module's")
    from fatchord import WaveRNN

    tensors = {n: t for n, t in WaveRNN().tensors().items() if "up_layers" not in n}
    for i, s in enumerate(halves):
        ones = np.ones((1, 1, 1, 2 * s + 1), np.float32)
        tensors[f"upsample.up_layers.{2 * i + 1}.weight"] = ones
    hparams = {
        "sample_rate": 16000,
        "hop_length": 20,
        "num_mels": 10,
        "n_fft": 64,
        "win_length": 64,
    }
    path = save_npz(tmp_path / "a.npz", tensors, {"preset": "fatchord", "hparams": hparams})
    assert_refused_by_export(path, "the upsampling (makes more than 65536|smooths)")


def changed(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(json.dumps(CONFIG))
    change(config)
    return config


def deep(n: int) -> Any:
    value: Any = 1
    for _ in range(n):
        value = [value]
    return value


@pytest.mark.parametrize("value", [None, [], {}, "x", True, 1e400, -1, 10**30, deep(100)])
@pytest.mark.parametrize(
    "place",
    [
        "architecture", "features", "signal", "features.sample_rate", "features.hop_length",
        "features.n_mels", "features.n_fft", "features.win_length", "features.fmin",
        "features.offset", "features.kind", "features.log", "signal.bits", "signal.mu",
        "signal.companding", "signal.pre_emphasis", "signal.grid", "temperature", "matching",
        "matching_rounds", "network", "preset", "hparams", "conditioning_padding", "audio", "model",
    ],
)  # fmt: skip
def test_configs_of_odd_values_are_refused_or_make_a_voice(
    tmp_path: Path, place: str, value: Any
) -> None:
    def change(config: dict[str, Any]) -> None:
        *tables, key = place.split(".")
        for table in tables:
            config = config[table]
        config[key] = value

    path = save_npz(tmp_path / "a.npz", TENSORS, changed(change))
    try:
        export(path, tmp_path / "a.linnet")
    except CheckpointError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    except ImportError:
        pass


@pytest.mark.parametrize("name", ["a.toml", "a.json"])
@pytest.mark.parametrize("content", [b"x = " + b"[" * 10**5, b"[" * 10**5, b"\xff", b"[", b"= 3"])
def test_config_files_that_are_none_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    path = save_npz(tmp_path / "a.npz", TENSORS, None)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError) as error:
        export(path, tmp_path / "a.linnet", config=tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name}: ") and "\n" not in str(error.value)


def entry(**header: Any) -> bytes:
    file = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (2, 2), **header}
    np.lib.format.write_array_header_1_0(file, shape)
    return file.getvalue() + bytes(16)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (entry(shape=(-2, -2)), "x.npy has shape"),
        (entry(shape=(1 << 61, 1 << 61)), "x.npy has shape"),
        (entry(shape=(3, 3)), "x.npy has shape"),
        (entry(shape=(2, 0)), "x.npy has shape"),
        (entry(descr="|O"), "Python objects"),
        (entry(descr="<f3"), "x.npy is no array"),
        (entry(fortran_order=3), "x.npy is no array"),
        (entry()[:30], "x.npy is no array"),
        (entry()[:-1], "x.npy has shape"),
        (entry().replace(b"NUMPY\x01", b"NUMPY\x09"), "version"),
        (b"", "x.npy is no array"),
    ],
)
def test_arrays_that_make_no_sense_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", data)
    refused(tmp_path / "a.npz", message)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
@pytest.mark.parametrize("kind", ["npz", "pt"])
def test_a_zip_entry_that_cannot_be_unpacked_is_named(
    tmp_path: Path, method: int, kind: str
) -> None:
    name = "x.npy" if kind == "npz" else "a/data.pkl"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(name, np.random.default_rng(0).bytes(4000))
    whole = bytearray(file.getvalue())
    path = tmp_path / f"a.{kind}"
    directory = whole.rindex(b"PK\x01\x02")
    start = 30 + len(name)
    for at, value, message in (
        (start + 100, 0x55, "damaged|compressed by method"),  # of the data
        (directory + 10, 99, "compressed by method 99"),
        (directory + 8, whole[directory + 8] | 1, "encrypted"),
        (directory + 20, 50, "damaged|cut short|compressed by method|zip"),  # bytes when packed
        (directory + 24, 50, "damaged|cut short|compressed by method|no array"),  # when unpacked
        (directory + 42, 7, "damaged|compressed by method|zip"),  # its offset
    ):
        broken = whole.copy()
        broken[at] = value
        path.write_bytes(broken)
        refused(path, message)
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        refused(path, None)


@pytest.mark.parametrize("name", ["a.onnx", "a.pt", "a.npz", "a.safetensors", "model.bin", "a"])
def test_an_empty_file_is_called_empty(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    refused(tmp_path / name, "it is empty")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.pt")
    refused(tmp_path / "a.pt", "neither a file nor a folder")
    with pytest.raises(FileNotFoundError):
        describe(tmp_path / "absent.pt")
