"""Checkpoints in, voices out: every kind of file, every refusal, and the programs' mathematics."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from linnet import format
from linnet.files import write_atomic
from linnet.format.blocks import BLOCKS
from linnet.format.operations import History, Linear
from linnet.pruning import prune
from linnet_export import export
from voices import Tensors, tiny_config, tiny_tensors

CONFIG = tiny_config()
TENSORS = tiny_tensors(CONFIG)


def save_npz(path: Path, tensors: Tensors, config: dict[str, Any] | None) -> Path:
    extra = {} if config is None else {"config": np.array(json.dumps(config))}
    np.savez(path, **tensors, **extra)  # type: ignore[arg-type]
    return path


def save_pytorch(path: Path, tensors: Tensors, config: dict[str, Any] | None) -> Path:
    torch = pytest.importorskip("torch")
    state = {name: torch.nn.Parameter(torch.from_numpy(t)) for name, t in tensors.items()}
    torch.save({"state_dict": state, "config": config} if config is not None else state, path)
    return path


def save_legacy(path: Path, tensors: Tensors, config: dict[str, Any] | None) -> Path:
    """As torch.save wrote before PyTorch 1.6."""
    torch = pytest.importorskip("torch")
    state = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
    saved = {"model_state": state, "config": config or {}}
    torch.save(saved, path, _use_new_zipfile_serialization=False)
    return path


def save_safetensors(path: Path, tensors: Tensors, config: dict[str, Any] | None) -> Path:
    numpy = pytest.importorskip("safetensors.numpy")
    numpy.save_file(tensors, path, None if config is None else {"config": json.dumps(config)})
    return path


def save_onnx(path: Path, tensors: Tensors, config: dict[str, Any] | None) -> Path:
    onnx = pytest.importorskip("onnx")
    initializers = [onnx.numpy_helper.from_array(t, name) for name, t in tensors.items()]
    model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], initializers))
    if config is not None:
        onnx.helper.set_model_props(model, {"config": json.dumps(config)})
    onnx.save(model, str(path))
    return path


KINDS: list[tuple[str, Callable[..., Path]]] = [
    ("npz", save_npz),
    ("pt", save_pytorch),
    ("pyt", save_legacy),
    ("safetensors", save_safetensors),
    ("onnx", save_onnx),
]


@pytest.fixture
def expected(tmp_path: Path) -> bytes:
    """The voice that every kind of checkpoint must give."""
    export(save_npz(tmp_path / "a.npz", TENSORS, CONFIG), tmp_path / "a.linnet", name="tiny")
    return (tmp_path / "a.linnet").read_bytes()


@pytest.mark.parametrize(("suffix", "save"), KINDS, ids=[suffix for suffix, _ in KINDS])
@pytest.mark.parametrize("with_config", [True, False])
def test_every_kind_of_checkpoint_gives_the_same_voice(
    tmp_path: Path, expected: bytes, suffix: str, save: Callable[..., Path], with_config: bool
) -> None:
    path = save(tmp_path / f"model.{suffix}", TENSORS, CONFIG if with_config else None)
    config = None
    if not with_config:
        config = tmp_path / "config.json"
        config.write_text(json.dumps(CONFIG))
    out = tmp_path / "out.linnet"
    report = export(path, out, config=config, name="tiny")
    assert out.read_bytes() == expected
    assert report.file_bytes == len(expected) and "gru.recurrent" in str(report)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_tensors_of_every_width_are_read(tmp_path: Path, dtype: str, suffix: str) -> None:
    torch = pytest.importorskip("torch")
    tensors = {name: torch.from_numpy(t).to(getattr(torch, dtype)) for name, t in TENSORS.items()}
    path = tmp_path / f"model.{suffix}"
    if suffix == "pt":
        torch.save({"state_dict": tensors, "config": CONFIG}, path)
    else:
        save = pytest.importorskip("safetensors.torch").save_file
        save(tensors, path, {"config": json.dumps(CONFIG)})
    export(path, tmp_path / "a.linnet", dtype="float32")
    weights = tensors["O2.weight"].to(torch.float32).numpy()
    np.testing.assert_array_equal(format.read(tmp_path / "a.linnet").tensor("O2").dense, weights)


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch owned",)


def test_pickles_that_call_something_are_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("evil.pt", "w") as archive:
        archive.writestr("evil/data.pkl", pickle.dumps({"state_dict": Hostile()}, protocol=2))
    with pytest.raises(ValueError, match="posix.system; arbitrary pickles are refused"):
        export("evil.pt", "a.linnet")
    start = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
    saved = pickle.dumps({"little_endian": True}, 2) + pickle.dumps(Hostile(), 2)
    Path("legacy.pt").write_bytes(start + saved)
    with pytest.raises(ValueError, match="posix.system; arbitrary pickles are refused"):
        export("legacy.pt", "a.linnet")
    Path("bare.pt").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(ValueError, match="arbitrary pickles are refused"):
        export("bare.pt", "a.linnet")
    np.savez("evil.npz", x=np.array([Hostile()], dtype=object))
    with pytest.raises(ValueError, match="x.npy holds Python objects; arbitrary pickles"):
        export("evil.npz", "a.linnet")
    assert not Path("owned").exists() and not Path("a.linnet").exists()


def test_tensors_that_leave_their_storage_are_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"x": torch.zeros(4)}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "b.pt", "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data[:8] if name.endswith("data/0") else data)
    with pytest.raises(ValueError, match="leaves its storage"):
        export(tmp_path / "b.pt", tmp_path / "a.linnet")


@pytest.mark.parametrize("size", [0, 3, 100, 5000])
@pytest.mark.parametrize("suffix", ["npz", "pt", "pyt", "safetensors", "onnx"])
def test_truncated_checkpoints_are_refused(tmp_path: Path, suffix: str, size: int) -> None:
    whole = dict(KINDS)[suffix](tmp_path / f"whole.{suffix}", TENSORS, CONFIG)
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(whole.read_bytes()[:size])
    with pytest.raises(ValueError):
        export(path, tmp_path / "a.linnet")
    assert not (tmp_path / "a.linnet").exists()


def test_missing_and_unknown_tensors_are_listed_together(tmp_path: Path) -> None:
    tensors = dict(TENSORS)
    tensors["head.weight"] = tensors.pop("O2.weight")
    path = save_npz(tmp_path / "a.npz", tensors, CONFIG)
    with pytest.raises(ValueError) as error:
        export(path, tmp_path / "a.linnet")
    for part in ("missing tensors: O2.weight", "unknown tensors: head.weight", "the nearest is"):
        assert part in str(error.value)
    path = save_npz(tmp_path / "b.npz", TENSORS, None)
    with pytest.raises(ValueError, match="nearest is wavernn-dual-softmax"):
        export(path, tmp_path / "a.linnet")


def test_names_map_serves_other_names(tmp_path: Path, expected: bytes) -> None:
    theirs = {f"module.{name}": tensor for name, tensor in TENSORS.items()}
    path = save_npz(tmp_path / "theirs.npz", theirs, CONFIG)
    names = tmp_path / "map.toml"
    names.write_text("".join(f'"{name}" = "module.{name}"\n' for name in TENSORS))
    export(path, tmp_path / "b.linnet", names=names, name="tiny")
    assert (tmp_path / "b.linnet").read_bytes() == expected
    with pytest.raises(ValueError, match="nowhere"):
        export(path, tmp_path / "c.linnet", names={"O1.weight": "nowhere"})


def test_zeros_that_do_not_fit_the_blocks_are_refused_with_the_costs(tmp_path: Path) -> None:
    path = save_npz(tmp_path / "a.npz", TENSORS, CONFIG)
    with pytest.raises(ValueError, match=r"gru.recurrent.*do not fit") as error:
        export(path, tmp_path / "a.linnet", block="16x1")
    for block in BLOCKS:
        assert f"{block} " in str(error.value)
    assert "4x4 1.00" in str(error.value)


def test_a_weight_beyond_the_range_names_tensor_and_value(tmp_path: Path) -> None:
    tensors = {name: tensor.copy() for name, tensor in TENSORS.items()}
    tensors["O2.weight"][0, 0] = -70000
    path = save_npz(tmp_path / "a.npz", tensors, CONFIG)
    with pytest.raises(ValueError, match=r"O2: the largest weight, -70000, .*float16"):
        export(path, tmp_path / "a.linnet")
    export(path, tmp_path / "a.linnet", dtype="bfloat16")


def test_the_first_half_may_not_see_the_current_coarse_byte(tmp_path: Path) -> None:
    tensors = {name: tensor.copy() for name, tensor in TENSORS.items()}
    tensors["gru.weight_ih_l0"][3, 2] = 1
    path = save_npz(tmp_path / "a.npz", tensors, CONFIG)
    with pytest.raises(ValueError, match="current coarse byte"):
        export(path, tmp_path / "a.linnet")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signal": {"bits": 8}}, "bits is 8"),
        ({"signal": {"companding": "a-law"}}, "companding"),
        ({"signal": {"pre_emphasis": 1.0}}, "pre_emphasis"),
        ({"features": {"hop_length": 0}}, "hop_length"),
        ({"conditioning_padding": "same"}, "conditioning_padding"),
    ],
)
def test_configs_that_make_no_sense_name_the_key(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = save_npz(tmp_path / "a.npz", TENSORS, tiny_config(**change))
    with pytest.raises(ValueError, match=message):
        export(path, tmp_path / "a.linnet")


@pytest.mark.parametrize("block", ["4x4", "8x4"])
def test_one_shot_pruning_is_exact(tmp_path: Path, block: str) -> None:
    tensors = tiny_tensors(CONFIG, hidden=32, block=None)
    path = save_npz(tmp_path / "a.npz", tensors, CONFIG)
    export(path, tmp_path / "a.linnet", block=block, sparsity=0.75, dtype="float32")
    voice = format.read(tmp_path / "a.linnet")
    gates = np.stack(
        [prune(gate, block, 0.75) for gate in tensors["gru.weight_hh_l0"].reshape(3, 32, 32)]
    )
    reset, update, candidate = gates
    halves = [g[half] for half in (slice(0, 16), slice(16, 32)) for g in (update, reset, candidate)]
    recurrent = voice.tensor("gru.recurrent")
    assert recurrent.layout == block and recurrent.packed.stored_weights == 3 * 32 * 32 // 4
    np.testing.assert_array_equal(recurrent.dense, np.concatenate(halves))
    for name in ("O1", "O2", "O3", "O4"):
        expected = prune(tensors[f"{name}.weight"], block, 0.75)
        np.testing.assert_array_equal(voice.tensor(name).dense, expected)
    assert voice.tensor("gru.coarse_conditioning").layout == "dense"
    # What was pruned so is found again in the zeros.
    zeros = {**tensors, "gru.weight_hh_l0": np.concatenate([reset, update, candidate])}
    export(save_npz(tmp_path / "b.npz", zeros, CONFIG), tmp_path / "b.linnet")
    assert format.read(tmp_path / "b.linnet").tensor("gru.recurrent").layout == block
    with pytest.raises(ValueError, match="needs a block shape"):
        export(path, tmp_path / "a.linnet", sparsity=0.5)


def conditioning_in_float64(tensors: Tensors, features: npt.NDArray[np.float64]) -> Any:
    """As training computes it: pad once, convolve without padding, relu. (n_mels, T) -> (C, T)."""
    kernels = [t.shape[2] for name, t in tensors.items() if name.startswith("cond") and t.ndim == 3]
    reach = sum((k - 1) // 2 for k in kernels)
    x = np.pad(features, ((0, 0), (reach, reach)))
    for i, k in enumerate(kernels):
        windows = np.lib.stride_tricks.sliding_window_view(x, k, axis=1)
        x = np.einsum("oik,itk->ot", tensors[f"conditioning.{i}.weight"].astype(float), windows)
        x = np.maximum(x + tensors[f"conditioning.{i}.bias"].astype(float)[:, None], 0)
    return x


def run_frame_program(voice: format.VoiceFile, features: npt.NDArray[np.float64]) -> Any:
    """The output of the last relu for every frame, by the schedule of FORMAT.md, in float64."""
    header = voice.header
    arena = np.zeros(header.arena_size)
    outputs = []

    def run(frame: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        arena[header.features_at : header.features_at + header.n_features] = frame
        last = arena[:0]
        for op in voice.frame_program:
            if isinstance(op, History):
                size = op.size * op.frames
                window = arena[op.out.offset : op.out.offset + size]
                window[: size - op.size] = window[op.size :].copy()
                window[size - op.size :] = arena[op.input.offset : op.input.offset + op.size]
            elif isinstance(op, Linear) and op.activation == 1 and op.bias is not None:
                weights = voice.tensors[op.weights].dense.astype(float)
                x = arena[op.input.offset : op.input.offset + weights.shape[1]]
                last = np.maximum(weights @ x + voice.tensors[op.bias].dense, 0)
                arena[op.out.offset : op.out.offset + len(last)] = last
        return last

    silence = np.zeros(header.n_features)
    for _ in range(header.priming):
        run(silence)
    for frame in [*features.T, *[silence] * header.lookahead]:
        outputs.append(run(frame))
    return np.stack(outputs[header.lookahead :], axis=1)


@pytest.mark.parametrize(
    ("kernels", "lookahead", "priming"),
    [
        ((1,), 0, 0),
        ((3,), 1, 0),
        ((5, 1), 2, 0),
        ((1, 3), 1, 1),
        ((3, 3, 3), 3, 1),
        ((3, 5, 1, 7), 6, 4),
    ],
)
def test_look_ahead_and_priming_give_the_conditioning_of_training(
    tmp_path: Path, kernels: tuple[int, ...], lookahead: int, priming: int
) -> None:
    tensors = tiny_tensors(CONFIG, kernels=kernels)
    export(save_npz(tmp_path / "a.npz", tensors, CONFIG), tmp_path / "a.linnet", dtype="float32")
    voice = format.read(tmp_path / "a.linnet")
    assert (voice.header.lookahead, voice.header.priming) == (lookahead, priming)
    features = np.random.default_rng(1).standard_normal((10, 9))
    found, expected = run_frame_program(voice, features), conditioning_in_float64(tensors, features)
    assert found.shape == expected.shape
    # float64 sums of at most some hundred products each.
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


def test_one_priming_frame_less_would_be_wrong(tmp_path: Path) -> None:
    tensors = tiny_tensors(CONFIG, kernels=(3, 3, 3))
    export(save_npz(tmp_path / "a.npz", tensors, CONFIG), tmp_path / "a.linnet", dtype="float32")
    voice = format.read(tmp_path / "a.linnet")
    header = format.Header(**{**vars(voice.header), "priming": 0})
    unprimed = format.VoiceFile(
        header, {}, voice.tensors, voice.frame_program, voice.sample_program
    )
    features = np.random.default_rng(1).standard_normal((10, 4))
    expected = conditioning_in_float64(tensors, features)
    assert np.abs(run_frame_program(unprimed, features) - expected)[:, 0].max() > 1e-3


@pytest.mark.parametrize("failing", ["fsync", "replace"])
@pytest.mark.parametrize("before", [b"the old file", None])
def test_an_interrupted_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, before: bytes | None
) -> None:
    target = tmp_path / "voice.linnet"
    if before is not None:
        target.write_bytes(before)

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="No space"):
        write_atomic(target, b"new" * 1000)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == (["voice.linnet"] if before else [])
    assert before is None or target.read_bytes() == before
    write_atomic(target, b"new")
    assert target.read_bytes() == b"new"


def test_layers_are_kept_in_types_of_their_own(tmp_path: Path) -> None:
    config = {**CONFIG, "dtype": "bf16", "keep": {"O2": "float16", "O*": "fp32"}}
    path = save_npz(tmp_path / "a.npz", TENSORS, config)
    report = export(path, tmp_path / "a.linnet")
    voice = format.read(tmp_path / "a.linnet")
    types = {layer.name: layer.dtype for layer in report.layers}
    for name, dtype in types.items():
        assert voice.tensor(name).dtype == dtype
        assert dtype == ("float16" if name == "O2" else "float32" if "O" in name else "bfloat16")
    assert {"O1", "O2", "gru.recurrent", "conditioning.0"} <= set(types)
    # What is asked for goes over the config.
    report = export(path, tmp_path / "a.linnet", dtype="float32", keep={"O2": "bf16"})
    types = {layer.name: layer.dtype for layer in report.layers}
    assert types["O2"] == "bfloat16" and types["gru.recurrent"] == "float32"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keep": {"O9": "fp32"}}, "keep names no layer 'O9'; there are .*gru.recurrent.*O2"),
        ({"keep": {"O2": "fp8"}}, "'fp8' is none of float16, bfloat16, float32"),
        ({"dtype": "half"}, "'half' is none of float16"),
        ({"config": {"dtype": 16}}, "config dtype must be the name of a type, not 16"),
        ({"config": {"keep": {"O2": 1}}}, "config keep.O2 must be the name of a type, not 1"),
    ],
)
def test_unknown_layers_and_types_are_refused(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    path = save_npz(tmp_path / "a.npz", TENSORS, CONFIG)
    with pytest.raises(ValueError, match=message):
        export(path, tmp_path / "a.linnet", **arguments)
    assert not (tmp_path / "a.linnet").exists()
