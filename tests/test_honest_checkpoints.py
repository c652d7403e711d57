"""Checkpoints as people have them: wrapped, in parts, with other things beside the weights."""

from __future__ import annotations

import argparse
import collections
import copy
import json
import pathlib
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geneing_files import random_model, to_bytes
from linnet import format
from linnet.cli import main
from linnet_export import CheckpointError, describe, export, suggest_names
from linnet_export.config import load_table
from test_export import CONFIG as DUAL_CONFIG
from test_export import TENSORS as DUAL_TENSORS
from test_export import save_npz
from voices import tiny_config, tiny_tensors

torch = pytest.importorskip("torch", reason="the checkpoints are PyTorch's")

CONFIG = tiny_config("wavernn-softmax")
TENSORS = tiny_tensors(CONFIG, kernels=(3,))
EXACT: dict[str, Any] = {"dtype": "float32", "name": "x"}


class Network(torch.nn.Module):  # type: ignore[misc,name-defined]
    """A wavernn-softmax under the family's names."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        shapes = {name: tensor.shape for name, tensor in TENSORS.items()}
        c, n_mels, k = shapes["conditioning.0.weight"]
        hidden = shapes["gru.weight_hh_l0"][1]
        self.conditioning = torch.nn.ModuleList([torch.nn.Conv1d(n_mels, c, k)])
        self.gru = torch.nn.GRU(1 + c, hidden, bias=bias)
        self.fc1 = torch.nn.Linear(hidden, shapes["fc1.weight"][0])
        self.fc2 = torch.nn.Linear(shapes["fc1.weight"][0], shapes["fc2.weight"][0])
        known = {name: torch.from_numpy(tensor) for name, tensor in TENSORS.items()}
        self.load_state_dict(
            {n: t for n, t in known.items() if bias or not n.startswith("gru.bias")}
        )


def tensors_of(network: Any) -> dict[str, Any]:
    """What the network computes with, under the family's names."""
    return {name: getattr_path(network, name).detach().numpy().copy() for name in TENSORS}


def getattr_path(module: Any, path: str) -> Any:
    for part in path.split("."):
        module = module[int(part)] if part.isdigit() else getattr(module, part)
    return module


def voice(path: Path, **options: Any) -> bytes:
    out = path.with_suffix(".linnet")
    export(path, out, config=CONFIG, **EXACT, **options)
    return out.read_bytes()


@pytest.fixture
def expected(tmp_path: Path) -> bytes:
    """The voice of TENSORS."""
    return voice(save_npz(tmp_path / "expected.npz", TENSORS, None))


def save(path: Path, saved: Any, **options: Any) -> Path:
    torch.save(saved, path, **options)
    return path


# Weights in parts.


def test_pruned_weights_are_exported_pruned(tmp_path: Path) -> None:
    network = Network()
    prune = pytest.importorskip("torch.nn.utils.prune")
    prune.l1_unstructured(network.fc1, "weight", 0.6)
    prune.ln_structured(network.conditioning[0], "weight", 0.3, 2, 1)
    prune.random_unstructured(network.gru, "weight_hh_l0", 0.5)
    wanted = tensors_of(network)
    assert (wanted["fc1.weight"] == 0).mean() > 0.5
    path = save(tmp_path / "a.pt", network.state_dict())
    assert voice(path) == voice(save_npz(tmp_path / "b.npz", wanted, None))
    assert {line.name for line in describe(path).tensors} == set(TENSORS)


def test_a_names_map_cannot_take_the_weights_from_before_pruning(tmp_path: Path) -> None:
    network = Network()
    prune = pytest.importorskip("torch.nn.utils.prune")
    prune.l1_unstructured(network.fc1, "weight", 0.6)
    path = save(tmp_path / "a.pt", network.state_dict())
    with pytest.raises(CheckpointError, match="lacks:.*fc1.weight_orig; it has .*fc1.weight"):
        voice(path, names={"fc1.weight": "fc1.weight_orig", "ignore": ["*_mask"]})


@pytest.mark.parametrize("style", ["weight_g", "original0"])
def test_weight_norm_is_computed(tmp_path: Path, style: str) -> None:
    network = Network()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)  # a row of zeros has no direction
    dense = tensors_of(network)
    utils = pytest.importorskip("torch.nn.utils")
    new = utils.parametrizations.weight_norm
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older form is deprecated
        norm = new if style == "original0" else utils.weight_norm
        norm(network.fc1)
        norm(network.fc2, dim=1)
        norm(network.conditioning[0], dim=None)
        norm(network.gru, "weight_ih_l0")
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(("_g", "original0")):
                parameter.mul_(1.5)
    path = save(tmp_path / "a.pt", network.state_dict())
    assert any(style in name for name in network.state_dict())
    voice(path)
    file = format.read(tmp_path / "a.linnet")
    for name in ("fc1", "fc2"):
        wanted = 1.5 * dense[f"{name}.weight"]
        # Two roundings of the norm and its quotient, of sums of some dozen squares.
        found = file.tensor(name).dense
        np.testing.assert_allclose(found, wanted, rtol=float(50 * np.finfo(np.float32).eps))
    lines = {line.name: line.shape for line in describe(path).tensors}
    assert lines == {name: tensor.shape for name, tensor in TENSORS.items()}


def test_masks_of_the_newer_pruning_are_computed(tmp_path: Path) -> None:
    state = {f"gru.{n}": t for n, t in Network().gru.state_dict().items()}
    state |= {n: torch.from_numpy(t) for n, t in TENSORS.items()}
    weight = state.pop("fc1.weight")
    mask = (torch.arange(weight.numel()).reshape(weight.shape) % 3 > 0).float()
    state |= {
        "fc1.parametrizations.weight.original": weight,
        "fc1.parametrizations.weight.0.mask": mask,
    }
    found = voice(save(tmp_path / "a.pt", state))
    wanted = {**TENSORS, "fc1.weight": TENSORS["fc1.weight"] * mask.numpy()}
    assert found == voice(save_npz(tmp_path / "b.npz", wanted, None))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"fc1.weight_orig": (3, 4), "fc1.weight_mask": (4, 3)}, "fc1.weight: a mask of shape"),
        ({"a_g": (3, 1), "a_v": (3, 4), "a": (3, 4)}, "a is there as a whole, and in parts"),
        ({"a._orig_mod.b": (3, 4), "a.b": (3, 4)}, "two tensors have one name"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    tmp_path: Path, parts: dict[str, Any], message: str
) -> None:
    tensors = {name: np.ones(shape, np.float32) for name, shape in parts.items()}
    with pytest.raises(CheckpointError, match=message):
        describe(save_npz(tmp_path / "a.npz", tensors, None))


@pytest.mark.parametrize(
    "shapes", [((3, 5), (3, 4)), ((3, 4), (3, 4)), ((3,), (3, 4)), ((3, 1), (4, 5)), ((3,), (3,))]
)
def test_names_that_only_look_like_weight_norm_are_left_alone(
    tmp_path: Path, shapes: tuple[tuple[int, ...], ...]
) -> None:
    tensors = {n: np.ones(s, np.float32) for n, s in zip(("a.w_g", "a.w_v"), shapes, strict=True)}
    found = describe(
        save_npz(tmp_path / "a.npz", {**tensors, "b": np.ones((2, 2), np.float32)}, None)
    )
    assert {line.name for line in found.tensors} == {*tensors, "b"}


# Prefixes.


@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "net.generator."],
)
def test_prefixes_common_to_all_names_are_taken_off(
    tmp_path: Path, expected: bytes, prefix: str
) -> None:
    state = {prefix + name: torch.from_numpy(tensor) for name, tensor in TENSORS.items()}
    path = save(tmp_path / "a.pt", {"state_dict": state})
    assert voice(path) == expected
    found = describe(path)
    assert (found.family, found.unknown) == ("wavernn-softmax", ())


def test_the_wrappers_of_torch_are_taken_off(tmp_path: Path, expected: bytes) -> None:
    network = Network()
    compiled = torch.compile(network, backend="eager")
    parallel = torch.nn.DataParallel(network)
    averaged = torch.optim.swa_utils.AveragedModel(network)
    inner = copy.deepcopy(network)
    inner.fc1 = torch.compile(inner.fc1, backend="eager")
    for wrapped in (compiled, parallel, averaged, torch.nn.DataParallel(compiled), inner):
        state = wrapped.state_dict()
        assert set(state) != set(TENSORS)
        assert voice(save(tmp_path / "a.pt", state)) == expected


def test_a_names_map_about_the_prefix_keeps_it(tmp_path: Path, expected: bytes) -> None:
    theirs = {f"model.{name}": tensor for name, tensor in TENSORS.items()}
    path = save_npz(tmp_path / "a.npz", theirs, None)
    assert voice(path, names={"*": "model.*"}) == expected
    assert voice(path, names={name: f"model.{name}" for name in TENSORS}) == expected


# Which of several.


def state_of(scale: float = 1.0) -> dict[str, Any]:
    return {name: scale * torch.from_numpy(tensor) for name, tensor in TENSORS.items()}


@pytest.mark.parametrize(
    "key",
    ["state_dict", "model_state", "model", "model_state_dict", "generator", "params_ema", "ema"],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_the_only_dict_of_weights_is_found(
    tmp_path: Path, expected: bytes, key: str, legacy: bool
) -> None:
    saved = {key: state_of(), "step": torch.tensor(7), "mean": torch.ones(80), "lr": 1e-3}
    path = tmp_path / "a.pt"
    save(path, saved, _use_new_zipfile_serialization=not legacy)
    assert voice(path) == expected


def test_of_several_dicts_a_key_chooses(tmp_path: Path, expected: bytes) -> None:
    other = {"conv.weight": torch.ones(3, 4, 5)}
    saved = {"model": state_of(2), "ema": {"shadow": state_of()}, "discriminator": other}
    path = save(tmp_path / "a.pt", saved)
    n = len(TENSORS)
    listed = rf"model \({n} tensors\), discriminator \(1 tensors\), ema.shadow \({n} tensors\)"
    with pytest.raises(CheckpointError, match=f"several dicts.*--key: {listed}"):
        voice(path)
    with pytest.raises(CheckpointError, match=f"under the key 'nowhere'; it has {listed}"):
        voice(path, key="nowhere")
    assert voice(path, key="ema.shadow") == expected
    assert voice(path, key="model") != expected
    assert describe(path, key="discriminator").family is None
    assert main(["export", str(path), "--describe", "--key", "model"]) == 0


@pytest.mark.parametrize("kind", ["npz", "pt"])
def test_a_key_chooses_by_the_beginning_of_names(
    tmp_path: Path, expected: bytes, kind: str
) -> None:
    tensors = {f"generator.{name}": tensor for name, tensor in TENSORS.items()}
    tensors |= {"discriminator.conv.weight": np.ones((3, 4, 5), np.float32)}
    path = tmp_path / f"a.{kind}"
    if kind == "npz":
        save_npz(path, tensors, None)
    else:
        save(path, {"state_dict": {n: torch.from_numpy(t) for n, t in tensors.items()}})
    key = "generator" if kind == "npz" else "state_dict.generator"
    assert voice(path, key=key) == expected
    with pytest.raises(CheckpointError, match="nothing|nowhere"):
        voice(path, key="nowhere")


# What stands beside.


class Own:
    """A class of somebody's training code."""

    def __init__(self) -> None:
        self.value = [1, 2]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_inert_things_are_skipped(tmp_path: Path, expected: bytes, protocol: int) -> None:
    network = Network()
    optimizer = torch.optim.Adam(network.parameters())
    sum(parameter.sum() for parameter in network.parameters()).backward()
    optimizer.step()
    saved = {
        "model": state_of(),
        "optimizer": optimizer.state_dict(),
        "args": argparse.Namespace(lr=1.0, path=pathlib.Path("x")),
        "losses": collections.defaultdict(list, {"train": [1.0, np.float32(2)]}),
        "path": pathlib.Path("a/b"),
        "shape": torch.Size([1, 2]),
        "best": np.float64(3.0),
        "array": np.arange(5),
        "device": torch.device("cpu"),
        "dtype": torch.float32,
        "seen": {1, 2},
        "frozen": frozenset([(1, 2)]),
        "by_pair": {(1, 2): 3, None: 4},
        "counter": collections.Counter("abc"),
        "own": Own(),
        "sparse": torch.eye(3).to_sparse(),
        "random": torch.get_rng_state(),
        "number": 1 << 100,
        "bytes": b"abc",
    }
    path = save(tmp_path / "a.pt", saved, pickle_protocol=protocol)
    assert voice(path) == expected


def test_a_config_keeps_what_is_plain(tmp_path: Path) -> None:
    config = copy.deepcopy(CONFIG)
    config["features"]["sample_rate"] = np.int64(config["features"]["sample_rate"])
    config["signal"]["pre_emphasis"] = np.float32(0.5)
    config["training"] = {"at": pathlib.Path("x"), "sizes": torch.Size([1, 2]), "own": Own()}
    path = save(tmp_path / "a.pt", {"model": state_of(), "config": config})
    export(path, tmp_path / "a.linnet")
    metadata = format.read(tmp_path / "a.linnet").metadata
    assert metadata["signal"]["pre_emphasis"] == 0.5
    assert metadata["training"] == {"sizes": [1, 2]}


@pytest.mark.parametrize("family", ["wavernn-softmax", "wavernn-dual-softmax"])
@pytest.mark.parametrize("kind", ["npz", "pt"])
def test_layers_without_biases_have_zeros(tmp_path: Path, family: str, kind: str) -> None:
    config, tensors = (CONFIG, TENSORS) if "dual" not in family else (DUAL_CONFIG, DUAL_TENSORS)
    absent = {name for name in tensors if name.startswith("gru.bias")} | {"conditioning.0.bias"}
    kept = {name: tensor for name, tensor in tensors.items() if name not in absent}
    zeros = {name: np.zeros_like(tensors[name]) for name in absent}
    save_npz(tmp_path / "b.npz", {**tensors, **zeros}, None)
    path = tmp_path / f"a.{kind}"
    if kind == "npz":
        save_npz(path, kept, None)
    else:
        save(path, {name: torch.from_numpy(tensor) for name, tensor in kept.items()})
    for source in (path, tmp_path / "b.npz"):
        export(source, source.with_suffix(".linnet"), config=config, **EXACT)
    assert (tmp_path / "a.linnet").read_bytes() == (tmp_path / "b.linnet").read_bytes()
    del kept["gru.weight_ih_l0"]
    save_npz(path := tmp_path / "c.npz", kept, None)
    with pytest.raises(CheckpointError, match=r"missing tensors: .*gru.weight_ih_l0.*bias_ih_l0"):
        export(path, tmp_path / "c.linnet", config=config)


def test_half_of_a_grus_biases_are_not_made_up(tmp_path: Path) -> None:
    kept = {name: tensor for name, tensor in TENSORS.items() if name != "gru.bias_hh_l0"}
    with pytest.raises(CheckpointError, match="missing tensors: gru.bias_hh_l0"):
        voice(save_npz(tmp_path / "a.npz", kept, None))


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "int8", "bool", "complex64", "uint16"])
def test_the_type_of_a_tensor_that_is_ignored_does_not_matter(
    tmp_path: Path, expected: bytes, suffix: str, dtype: str
) -> None:
    state = state_of() | {"odd": torch.zeros(4, 3).to(getattr(torch, dtype))}
    path = tmp_path / f"a.{suffix}"
    if suffix == "pt":
        save(path, state)
    else:
        pytest.importorskip("safetensors.torch").save_file(state, path)
    assert voice(path, names={"ignore": ["odd"]}) == expected
    (line,) = (line for line in describe(path).tensors if line.name == "odd")
    assert line.shape == (4, 3)
    with pytest.raises(CheckpointError, match="unknown tensors: odd"):
        voice(path)
    state["fc1.weight"] = state["fc1.weight"].to(getattr(torch, dtype))
    del state["odd"]
    if suffix == "pt":
        save(path, state)
    else:
        pytest.importorskip("safetensors.torch").save_file(state, path)
    with pytest.raises(CheckpointError, match="fc1.weight is of type .*; voices are made of float"):
        voice(path)


def test_a_whole_network_is_not_a_state_dict(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", Network())
    with pytest.raises(
        CheckpointError, match=r"holds a .*Network, not a state dict; save .*state_"
    ):
        describe(path)


def test_errors_survive_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(CheckpointError("a.pt", "why")))
    assert (str(error), error.path, error.what) == ("a.pt: why", "a.pt", "why")


# Families, configs and names.


def test_describe_and_export_agree_that_a_network_is_of_no_family(tmp_path: Path) -> None:
    denoiser = {"encoder.weight": np.ones((8, 4), np.float32), "mask.bias": np.ones(3, np.float32)}
    path = save_npz(tmp_path / "a.npz", denoiser, None)
    assert "no family" in str(describe(path))
    for config in (None, {"architecture": "denoiser"}, CONFIG):
        with pytest.raises(CheckpointError, match="is of no family that linnet knows"):
            export(path, tmp_path / "a.linnet", config=config)


def test_all_missing_keys_of_a_config_come_in_one_error(tmp_path: Path) -> None:
    path = save_npz(tmp_path / "a.npz", TENSORS, None)
    keys = "features.sample_rate, features.hop_length, features.n_mels, signal.bits"
    with pytest.raises(
        CheckpointError, match=rf"lacks architecture, {keys}; .* nearest is wavernn"
    ):
        export(path, tmp_path / "a.linnet")
    with pytest.raises(CheckpointError, match=rf"lacks {keys}$"):
        export(path, tmp_path / "a.linnet", config={"architecture": "wavernn-softmax"})
    excitation = {"architecture": "lpc-wavernn", "signal": {"companding": "excitation"}}
    with pytest.raises(CheckpointError, match=r"signal.bits, signal.mu, signal.range, signal.le"):
        export(path, tmp_path / "a.linnet", config=excitation)


@pytest.mark.parametrize(
    ("config", "tensors"), [(CONFIG, TENSORS), (DUAL_CONFIG, DUAL_TENSORS)], ids=["one", "dual"]
)
def test_a_suggested_names_map_serves_a_network_of_other_names(
    tmp_path: Path, config: dict[str, Any], tensors: dict[str, Any]
) -> None:
    theirs: dict[str, Any] = {}
    for name, tensor in tensors.items():
        module, _, role = name.rpartition(".")
        theirs[f"net.{module.replace('.', '_')}_of_mine.{role}"] = tensor
    theirs["tracker.momentum"] = np.ones(3, np.float32)
    path = save_npz(tmp_path / "a.npz", theirs, None)
    suggested = tmp_path / "map.toml"
    command = ["export", str(path), "--describe", "--suggest-names", str(suggested)]
    assert main(command) == 0
    text = suggested.read_text()
    assert '#    "net.tracker.momentum"' in text or '#    "tracker.momentum"' in text
    edited = text.replace('#    "', '    "')
    suggested.write_text(edited)
    assert load_table(suggested)["ignore"]
    whole = save_npz(tmp_path / "b.npz", tensors, None)
    for source, names in ((path, suggested), (whole, None)):
        export(source, source.with_suffix(".linnet"), config=config, names=names, **EXACT)
    assert (tmp_path / "a.linnet").read_bytes() == (tmp_path / "b.linnet").read_bytes()
    assert main(["export", str(path), "-o", str(tmp_path / "c"), *command[3:]]) == 1
    with pytest.raises(CheckpointError, match="suggested for"):
        suggest_names(path, "lyra-wavegru")


# What trained the network.


def test_geneings_features_and_samples_may_be_others(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(to_bytes(random_model(factors=(5, 5, 8), features=80)))
    config = {
        "features": {"clip_min": 0.0, "clip_max": 1.0, "offset": 100.0, "scale": 0.01},
        "signal": {"pre_emphasis": 0.97},
    }
    export(path, tmp_path / "a.linnet", config=config)
    metadata = format.read(tmp_path / "a.linnet").metadata
    assert metadata["features"]["clip_max"] == 1 and metadata["features"]["n_fft"] == 2048
    assert metadata["signal"]["pre_emphasis"] == 0.97
    with pytest.raises(CheckpointError, match="pre_emphasis must be within"):
        export(path, tmp_path / "b.linnet", config={"signal": {"pre_emphasis": 1.5}})


def test_a_score_far_beyond_chance_is_said_aloud(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from linnet.audio import write_wav

    noise = (3000 * np.random.default_rng(0).standard_normal(1000)).astype(np.int16)
    write_wav(tmp_path / "a.wav", noise, 16000)
    tensors = {**TENSORS, "fc2.weight": TENSORS["fc2.weight"] * 100}
    path = save_npz(tmp_path / "a.npz", tensors, CONFIG)
    report = export(path, tmp_path / "a.linnet", score=tmp_path / "a.wav")
    assert report.cost is not None and report.cost.before > 1.25 * report.cost.chance
    assert "WARNING: far beyond chance (5.55 nats) even with its own weights" in str(report)
    path = save_npz(
        tmp_path / "b.npz", {**TENSORS, "fc2.weight": 0 * TENSORS["fc2.weight"]}, CONFIG
    )
    report = export(path, tmp_path / "b.linnet", score=tmp_path / "a.wav")
    assert "WARNING" not in str(report)
    command = ["export", str(tmp_path / "a.npz"), "-o", str(tmp_path / "c.linnet")]
    assert main([*command, "--score", str(tmp_path / "a.wav")]) == 0
    assert "far beyond chance" in capsys.readouterr().out


def test_configs_of_json_and_of_torch_are_the_same(tmp_path: Path) -> None:
    save(tmp_path / "a.pt", {"model": state_of(), "config": CONFIG})
    save_npz(tmp_path / "b.npz", TENSORS, json.loads(json.dumps(CONFIG)))
    for name in ("a.pt", "b.npz"):
        export(tmp_path / name, (tmp_path / name).with_suffix(".linnet"), **EXACT)
    assert (tmp_path / "a.linnet").read_bytes() == (tmp_path / "b.linnet").read_bytes()
