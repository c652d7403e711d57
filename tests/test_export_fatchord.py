"""fatchord/WaveRNN's family: the exported voice computes what the network does."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch", reason="the oracle is a PyTorch module")
reference = pytest.importorskip("linnet.reference.engine", reason="the reference needs numba")

import linnet  # noqa: E402
from fatchord import CONFIG, WaveRNN, save  # noqa: E402
from fatchord_rounding import logit_bounds  # noqa: E402
from linnet import _core, kernels  # noqa: E402
from linnet.audio import write_wav  # noqa: E402
from linnet.cli import main  # noqa: E402
from linnet_export import export  # noqa: E402

Float64 = npt.NDArray[np.float64]
Tokens = npt.NDArray[np.int64]


def engine_logits(path: Path, mel: npt.NDArray[np.float32], tokens: Tokens) -> Float64:
    """(n, K) of the reference; that the engine's are the same bits shows in its scores."""
    voice = reference.ReferenceVoice(path)
    run = reference.Run(voice, 0, 0, 1.0, tokens.tolist())
    logits, forced, draw_logistic = [], run.forced, run.draw_logistic

    def record(draw: Any, values: npt.NDArray[np.float32], i: int) -> int:
        logits.append(values.copy())
        return int(forced(draw, values, i))

    def record_mixture(op: Any, i: int, band: int) -> np.float32:
        parts = (run.at(part, i, op.mixtures) for part in (op.input, op.means, op.scales))
        logits.append(np.concatenate(list(parts)))
        return np.float32(draw_logistic(op, i, band))

    run.forced, run.draw_logistic = record, record_mixture
    voice._samples(run, mel)
    for name in kernels():
        stream = _core.Stream(_core.Model.from_buffer(path.read_bytes()), kernels=name)
        found = stream.score(np.ascontiguousarray(mel.T), tokens.astype(np.uint16))
        assert found == pytest.approx(sum(run.nats), abs=1e-9)
        free = linnet.load(path, kernels=name).synthesize(mel[:, :3], seed=1)
        np.testing.assert_array_equal(free, voice.synthesize(mel[:, :3], seed=1))
    return np.array(logits, np.float64)


def teacher(bits: int, n: int) -> tuple[npt.NDArray[np.float32], Tokens, Any]:
    """Features, tokens, and the previous samples as the network sees them."""
    random = np.random.default_rng(0)
    mel = random.standard_normal((10, -(-n // 20))).astype(np.float32)
    tokens = random.integers(0, 1 << bits, n)
    x = np.concatenate([[0.0], 2 * tokens[:-1] / (2**bits - 1) - 1])
    return mel, tokens, torch.from_numpy(x)


@pytest.mark.parametrize(
    ("sizes", "bits", "n"),
    [
        ({}, 5, 200),
        ({"pad": 1, "res_blocks": 1, "n_outputs": 64, "factors": (2, 5, 2)}, 6, 50),
        ({"n_outputs": 30, "rnn_dims": 16}, 16, 50),
    ],
)
def test_logits_are_the_networks_within_the_bound_of_rounding(
    tmp_path: Path, sizes: dict[str, Any], bits: int, n: int
) -> None:
    network = WaveRNN(**sizes)
    path = save(tmp_path / "a.pt", network.state_dict())
    mode = "MOL" if bits == 16 else "RAW"
    config = {**CONFIG, "hparams": {**CONFIG["hparams"], "voc_mode": mode}}
    export(path, tmp_path / "a.linnet", config=config, dtype="float32")
    mel, tokens, x = teacher(bits, n)
    found = engine_logits(tmp_path / "a.linnet", mel, tokens)
    network = network.double()
    with torch.no_grad():
        expected = network(x, torch.from_numpy(mel.astype(np.float64))).numpy()
        bounds = logit_bounds(network, torch.from_numpy(mel.astype(np.float64)), x)
    errors = np.abs(found - expected)
    print(f"largest error {errors.max():.1e}, bound there {bounds.flat[errors.argmax()]:.1e}")
    assert (errors <= bounds).all()
    # So the bound can tell this network from another.
    assert bounds.max() < 1e-2 * np.abs(expected).max()


def test_mixtures_score_as_the_project_trains_them(tmp_path: Path) -> None:
    """Its loss, for samples inside of [-0.999, 0.999]; nearer to the ends it takes the tails."""
    network = WaveRNN(n_outputs=30)
    path = save(tmp_path / "a.pt", network.state_dict())
    config = {**CONFIG, "hparams": {**CONFIG["hparams"], "voc_mode": "MOL"}}
    export(path, tmp_path / "a.linnet", config=config, dtype="float32")
    mel, _, _ = teacher(5, 40)
    tokens = np.random.default_rng(1).integers(40, 65496, 40)
    nats = reference.ReferenceVoice(tmp_path / "a.linnet").score(mel, tokens)
    y = torch.from_numpy(2 * tokens / 65535 - 1)
    x = torch.cat([torch.zeros(1, dtype=torch.float64), y[:-1]])
    parts = network.double()(x, torch.from_numpy(mel.astype(np.float64))).split(10, dim=1)
    weights, distances = torch.log_softmax(parts[0], dim=1), y[:, None] - parts[1]
    inverse = torch.exp(-parts[2].clamp(min=math.log(1e-14)))
    upper, lower = (torch.sigmoid(inverse * (distances + s / 65535)) for s in (1, -1))
    # Where the difference is small the loss takes the density times the width.
    middle = inverse * distances
    density = middle + torch.log(inverse) - 2 * torch.nn.functional.softplus(middle)
    density = density - math.log(65535 / 2)
    inside = torch.where(upper - lower > 1e-5, torch.log(upper - lower), density)
    expected = -torch.logsumexp(weights + inside, dim=1)
    np.testing.assert_allclose(nats, expected.numpy(), rtol=1e-3, atol=1e-3)


def test_relatives_names_and_wrappings_give_the_same_voice(tmp_path: Path) -> None:
    state = dict(WaveRNN().state_dict())
    export(save(tmp_path / "a.pt", state), tmp_path / "a.linnet", config=CONFIG, name="x")
    sequence, torchaudio = "upsample.resnet.melresnet_model", {}
    for name, tensor in state.items():
        start, _, rest = name.removeprefix("upsample.resnet.").partition(".")
        if start == "layers":
            block, layer, kind = rest.split(".")
            place = ["conv1", "batch_norm1", "", "conv2", "batch_norm2"].index(layer)
            name = f"{sequence}.{int(block) + 3}.resblock_model.{place}.{kind}"
        elif name.startswith("upsample.resnet."):
            name = f"{sequence}.{ {'conv_in': 0, 'batch_norm': 1, 'conv_out': 5}[start] }.{rest}"
        name = name.replace("upsample.up_layers", "upsample.upsample_layers")
        torchaudio[f"fc.{rest}" if start == "I" else name] = tensor
    assert len(torchaudio) == len(state) and f"{sequence}.5.bias" in torchaudio
    parallel = {f"module.{name}": tensor for name, tensor in torchaudio.items()}
    for saved in (torchaudio, {"state_dict": parallel, "epoch": 3}, {"model_state": state}):
        torch.save(saved, tmp_path / "b.pt")
        export(tmp_path / "b.pt", tmp_path / "b.linnet", config=CONFIG, name="x")
        assert (tmp_path / "b.linnet").read_bytes() == (tmp_path / "a.linnet").read_bytes()
    del torchaudio[f"{sequence}.4.resblock_model.0.weight"]
    with pytest.raises(ValueError, match="missing tensors: upsample.resnet.layers.1.conv1.weight"):
        export(save(tmp_path / "b.pt", torchaudio), tmp_path / "c.linnet", config=CONFIG)


def test_one_shot_pruning_tells_its_cost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = WaveRNN(rnn_dims=32, fc_dims=32)
    path = save(tmp_path / "a.pt", network.state_dict())
    random = np.random.default_rng(0)
    pcm = (random.standard_normal(3000) * 3000).astype(np.int16)
    write_wav(tmp_path / "a.wav", pcm, 16000)
    report = export(
        path, tmp_path / "a.linnet", config=CONFIG, sparsity=0.75, block="4x4",
        score=tmp_path / "a.wav",
    )  # fmt: skip
    cut = {layer.name: layer for layer in report.layers if layer.block == "4x4"}
    assert set(cut) == {"rnn1.recurrent", "rnn2.input", "rnn2.recurrent", "fc1", "fc2", "fc3"}
    assert all(layer.density == 0.25 for layer in cut.values())
    assert report.cost is not None
    voice = linnet.load(tmp_path / "a.linnet")
    assert report.cost.after == voice.score(voice.features(pcm, 16000), pcm)
    export(path, tmp_path / "b.linnet", config=CONFIG, dtype="float32")
    whole = linnet.load(tmp_path / "b.linnet")
    assert report.cost.before == whole.score(whole.features(pcm, 16000), pcm)
    assert report.cost.after != report.cost.before
    assert f"({report.cost.after - report.cost.before:+.4f})" in str(report)
    (tmp_path / "c.json").write_text(json.dumps({"hparams": CONFIG["hparams"]}))
    files = [str(tmp_path / name) for name in ("a.pt", "d.linnet", "c.json", "a.wav")]
    options = ["--preset", "fatchord", "--sparsity", "0.75", "--block", "4x4"]
    arguments = [files[0], "-o", files[1], "--config", files[2], "--score", files[3], *options]
    assert main(["export", *arguments]) == 0
    assert capsys.readouterr().out.rstrip().endswith(str(report.cost))
