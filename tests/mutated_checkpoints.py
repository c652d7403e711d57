"""Imports of damaged checkpoints of every kind: `python tests/mutated_checkpoints.py IMPORTS`.

Every import must end in a CheckpointError of one line, or in a voice that opens and speaks; the
process has limits of memory, and every import of time. What does otherwise is kept in
build/mutations, and its number prints: `--from NUMBER 1` does it again.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import json
import os
import pickle
import pickletools
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import linnet
from geneing_files import random_model, to_bytes
from linnet_export import CheckpointError, describe, export
from linnet_export.readers.lyra_files import LAYERS
from test_hostile_checkpoints import save_pickle, state, tensor, text
from voices import tiny_config, tiny_tensors

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("LINNET_TEST_DATA", ROOT.parent / "shared" / "data"))
SPACE = 4 << 30  # bytes of addresses
SECONDS = 20  # of the CPU, of one import
BATCH = 500  # imports of one process
Files = dict[str, bytes]  # of a checkpoint, by name; the first is the checkpoint
CONFIG = tiny_config("wavernn-softmax")
TENSORS = tiny_tensors(CONFIG, hidden=16, head=8, channels=4, kernels=(3,))


def _npz(compressed: bool) -> Files:
    file = io.BytesIO()
    save: Any = np.savez_compressed if compressed else np.savez
    save(file, **TENSORS, config=np.array(json.dumps(CONFIG)))
    return {"a.npz": file.getvalue()}


def _safetensors() -> Files:
    header: dict[str, Any] = {"__metadata__": {"config": json.dumps(CONFIG)}}
    data = b""
    for name, values in TENSORS.items():
        place = [len(data), len(data) + values.nbytes]
        header[name] = {"dtype": "F32", "shape": values.shape, "data_offsets": place}
        data += values.tobytes()
    text = json.dumps(header).encode()
    return {"a.safetensors": struct.pack("<Q", len(text)) + text + data}


def _pytorch(legacy: bool, protocol: int) -> Files:
    import torch

    state = {name: torch.from_numpy(tensor) for name, tensor in TENSORS.items()}
    saved = {"model": state, "config": CONFIG, "best": np.float64(1), "sizes": torch.Size([1, 2])}
    file = io.BytesIO()
    options: dict[str, Any] = {"_use_new_zipfile_serialization": not legacy}
    torch.save(saved, file, pickle_protocol=protocol, **options)
    return {"a.pt": file.getvalue()}


def _made() -> Files:
    """A file of torch.save, made without torch."""
    tensors = {}
    storages = {}
    for i, (name, values) in enumerate(TENSORS.items()):
        strides = tuple(step // values.itemsize for step in values.strides)
        tensors[name] = tensor(str(i), values.size, values.shape, strides)
        storages[str(i)] = values.tobytes()
    config = pickle.dumps(CONFIG, 2)[2:-1]  # without its protocol and its end
    data = b"}(" + text("model") + state(**tensors)[:-1] + text("config") + config + b"u."
    with tempfile.TemporaryDirectory() as folder:
        return {"a.pt": save_pickle(Path(folder) / "a.pt", data, **storages).read_bytes()}


def _onnx(external: bool) -> Files:
    import onnx

    tensors = [onnx.numpy_helper.from_array(t, name) for name, t in TENSORS.items()]
    files: Files = {}
    if external:
        for tensor in tensors:
            data = tensor.raw_data
            entries = {"location": "w.data", "offset": str(len(files.get("w.data", b"")))}
            files["w.data"] = files.get("w.data", b"") + data
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in {**entries, "length": str(len(data))}.items():
                tensor.external_data.add(key=key, value=value)
    nodes = [
        onnx.helper.make_node("Identity", ["fc1.bias"], ["z"]),
        onnx.helper.make_node("Gemm", ["x", "fc1.weight", "z"], ["y"], "/fc1/Gemm", transB=1),
    ]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [], [], tensors))
    onnx.helper.set_model_props(model, {"config": json.dumps(CONFIG)})
    return {"a.onnx": model.SerializeToString(), **files}


def _geneing() -> Files:
    model = random_model(hidden=16, factors=(2, 2), features=4, width=4, aux=8, blocks=1, head=8)
    return {"model.bin": to_bytes(model)}


def _lyra() -> Files:
    """The real folder's files, where they are; else a folder of other sizes, which is refused."""
    folder = DATA / "lyra-wavegru-16khz"
    if folder.is_dir():
        return {f"wavegru/{p.name}": p.read_bytes() for p in sorted(folder.glob("*.raw.gz"))}
    packed = zlib.compress(np.ones(4, np.float32).tobytes(), wbits=31)
    parts = ("weights", "mask", "bias")
    return {f"wavegru/x_{layer}_{part}.raw.gz": packed for layer in LAYERS for part in parts}


SEEDS: dict[str, Callable[[], Files]] = {
    "npz": lambda: _npz(compressed=False),
    "npz-deflated": lambda: _npz(compressed=True),
    "safetensors": _safetensors,
    "onnx": lambda: _onnx(external=False),
    "onnx-external": lambda: _onnx(external=True),
    "model.bin": _geneing,
    "lyra": _lyra,
    "pt-made": _made,
    "pt": lambda: _pytorch(legacy=False, protocol=2),
    "pt-protocol-4": lambda: _pytorch(legacy=False, protocol=4),
    "pt-legacy": lambda: _pytorch(legacy=True, protocol=2),
}
_NUMBERS = [0, 1, 2, 3, 7, 8, 16, 31, 63, 64, 127, 128, 129, 200, 254, 255]


def damaged(data: bytes, dice: random.Random) -> bytes:
    """A few changes of bytes, numbers and pieces."""
    changed = bytearray(data)
    # What describes a file stands at its beginning and its end; the rest are weights.
    for _ in range(dice.choice([1, 1, 1, 2, 4, 16])):
        size = len(changed)
        if size < 8:
            break
        edge = min(size - 4, 600)
        at = dice.choice(
            [dice.randrange(size - 4), dice.randrange(edge), size - 4 - dice.randrange(edge)]
        )
        match dice.randrange(7):
            case 0:
                changed[at] = dice.choice(_NUMBERS)
            case 1:
                changed[at] ^= 1 << dice.randrange(8)
            case 2:
                number = dice.choice([0, 1, 255, 65535, 1 << 16, 1 << 28, 1 << 31, (1 << 32) - 1])
                changed[at : at + 4] = struct.pack("<I", number)
            case 3:
                del changed[at : at + dice.choice([1, 2, 4, 60])]
            case 4:
                piece = changed[at : at + dice.choice([1, 2, 4, 60])]
                changed[at:at] = piece * dice.choice([1, 2, 300])
            case 5:
                other = dice.randrange(size - 4)
                changed[at : at + 8] = changed[other : other + 8]
            case 6:
                del changed[at:]
    return bytes(changed)


def damaged_text(data: bytes, dice: random.Random) -> bytes:
    """A value of JSON inside a file that stays as long as it is."""
    values = [b"null", b"[]", b"{}", b"-1", b"1e999", b'""', b"true", b"[[[[]]]]", b"1e18"]
    places = [i for i, byte in enumerate(data[:6000]) if byte == ord(":")]
    if not places:
        return damaged(data, dice)
    at = dice.choice(places) + 1
    end = min(at + 40, len(data))
    stop = next((i for i in range(at, end) if data[i] in b",}"), end)
    value = dice.choice(values)[: stop - at].ljust(stop - at)
    return data[:at] + value + data[stop:]


def damaged_pickle(data: bytes, dice: random.Random) -> bytes:
    """Opcodes left out, repeated, moved, exchanged, or with another number."""
    places = [place for _, _, place in pickletools.genops(data) if place is not None]
    pieces = [data[a:b] for a, b in zip(places, [*places[1:], len(data)], strict=True)]
    for _ in range(dice.choice([1, 1, 2, 5])):
        at, other = dice.randrange(1, len(pieces) - 1), dice.randrange(1, len(pieces) - 1)
        match dice.randrange(5):
            case 0:
                del pieces[at]
            case 1:
                pieces[at:at] = [pieces[at]] * dice.choice([1, 2, 1000])
            case 2:
                pieces[at] = pieces[other]
            case 3:
                pieces[at] = dice.choice([b"N", b")", b"]", b"}", b"(", b"t", b"R", b"\x85", b"0"])
            case 4:
                number = dice.choice([0, 1, 255, 1 << 16, 1 << 40, (1 << 62), -1])
                numbers = [i for i, piece in enumerate(pieces) if piece[:1] in b"KMJ\x8a"]
                at = dice.choice(numbers or [at])
                pieces[at] = b"\x8a\x08" + struct.pack("<q", number)
    return b"".join(pieces)


def damaged_entry(data: bytes, dice: random.Random) -> bytes:
    """A zip file whose checksums are right, around a damaged entry."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = [(info, archive.read(info)) for info in archive.infolist()]
    pickles = [i for i, (info, _) in enumerate(entries) if info.filename.endswith((".pkl", ".npy"))]
    chosen = dice.choice(pickles)
    is_pickle = entries[chosen][0].filename.endswith(".pkl")
    change = dice.choice([damaged, damaged_pickle if is_pickle else damaged_text])
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for i, (info, content) in enumerate(entries):
            content = change(content, dice) if i == chosen else content
            archive.writestr(info.filename, content, info.compress_type)
    return file.getvalue()


def mutant(kind: str, files: Files, number: int) -> Files:
    """The checkpoint of that number."""
    dice = random.Random(f"{kind} {number}")
    changed = dict(files)
    name = dice.choice(list(files))
    data = files[name]
    if name.endswith(".gz") and dice.random() < 0.7:
        content = damaged(zlib.decompress(data, wbits=31), dice)
        changed[name] = zlib.compress(content, 1, wbits=31)
    elif data[:2] == b"PK" and dice.random() < 0.8:
        changed[name] = damaged_entry(data, dice)
    else:
        changed[name] = dice.choice([damaged, damaged, damaged_text])(data, dice)
    return changed


def one_import(folder: Path, files: Files) -> str:
    """How importing these files ends. Raises what it should not raise."""
    for name, data in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    name = next(iter(files))
    path = folder / "wavegru" if name.startswith("wavegru") else folder / name
    out = folder / "a.linnet"
    try:
        str(describe(path))
        export(path, out)
    except CheckpointError as error:
        text = str(error)
        assert text.startswith(f"{path}: ") and text.isprintable(), text
        assert not out.exists(), "a voice in spite of an error"
        return "refused"
    voice = linnet.load(out)
    mel = np.zeros((voice.n_mels, 2), np.float32)
    if 2 * voice.hop_length <= 10_000:
        assert len(voice.synthesize(mel)) == 2 * voice.hop_length
    out.unlink()
    return "a voice"


@contextlib.contextmanager
def seconds(limit: int) -> Iterator[None]:
    """End the process where the code inside takes more time of the CPU."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, limit)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)


def batch(kind: str, start: int, stop: int) -> None:
    """Imports of these numbers, here; prints each number before it, and the outcomes at the end."""
    files = SEEDS[kind]()
    resource.setrlimit(resource.RLIMIT_AS, (SPACE, SPACE))
    outcomes: collections.Counter[str] = collections.Counter()
    with np.errstate(all="ignore"):
        for number in range(start, stop):
            print(number, flush=True)
            with tempfile.TemporaryDirectory() as folder, seconds(SECONDS):
                outcomes[one_import(Path(folder), mutant(kind, files, number))] += 1
    print(json.dumps(outcomes), flush=True)


def share(n_imports: int, kinds: Collection[str]) -> dict[str, int]:
    """How many of the imports each kind gets: alike, but few of the one that takes seconds."""
    slow = max(1, n_imports // 200) if "lyra" in kinds and len(kinds) > 1 else 0
    others = [kind for kind in kinds if not slow or kind != "lyra"]
    each = -(-(n_imports - slow) // len(others))
    return {kind: slow if slow and kind == "lyra" else each for kind in kinds}


def run(kind: str, n_imports: int, start: int = 0) -> dict[str, int]:
    """How often so many imports of a kind were refused, and how often they gave a voice.

    Raises AssertionError naming the import that ended otherwise, whose files are kept.
    """
    outcomes: collections.Counter[str] = collections.Counter()
    for first in range(start, start + n_imports, BATCH):
        numbers = [str(first), str(min(first + BATCH, start + n_imports))]
        command = [sys.executable, "-W", "ignore", __file__, "--batch", kind, *numbers]
        done = subprocess.run(command, capture_output=True, text=True)
        lines = done.stdout.split("\n")
        if done.returncode:
            raise AssertionError(_kept(kind, lines, done.returncode, done.stderr))
        outcomes.update(json.loads(lines[-2]))
    return dict(outcomes)


def _kept(kind: str, lines: list[str], status: int, errors: str) -> str:
    """What to say about an import that went wrong; its files go to build/mutations."""
    if len(lines) < 2:
        return f"{kind}: status {status}: {errors}"
    number = int(lines[-2])
    folder = ROOT / "build" / "mutations" / f"{kind}-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in mutant(kind, SEEDS[kind](), number).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return f"{kind} {number}, kept in {folder}: status {status}: {errors[-2000:]}"


def main() -> int:
    if sys.argv[1:2] == ["--batch"]:
        batch(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("imports", type=int)
    parser.add_argument("--from", type=int, default=0, dest="start", metavar="NUMBER")
    parser.add_argument("--kind", choices=SEEDS, action="append")
    options = parser.parse_args()
    for kind, n in share(options.imports, options.kind or SEEDS).items():
        counts = run(kind, n, options.start)
        print(f"{kind}: {', '.join(f'{n} {outcome}' for outcome, n in counts.items())}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
