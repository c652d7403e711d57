"""fatchord/WaveRNN's family: the exported voice computes what the network does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch", reason="the oracle is a PyTorch module")
reference = pytest.importorskip("linnet.reference", reason="the reference needs numba")

import linnet  # noqa: E402
from fatchord import WaveRNN  # noqa: E402
from linnet import _core, kernels  # noqa: E402
from linnet.audio import write_wav  # noqa: E402
from linnet_export import export  # noqa: E402
from rounding import gates_bound, output_bounds, product_bound  # noqa: E402
from test_functions import U  # noqa: E402

Float64 = npt.NDArray[np.float64]
Tokens = npt.NDArray[np.int64]
CONFIG: dict[str, Any] = {
    "preset": "fatchord",
    "hparams": {
        "sample_rate": 16000,
        "n_fft": 64,
        "win_length": 64,
        "hop_length": 20,
        "num_mels": 10,
        "voc_mode": "RAW",
    },
}


def save(path: Path, tensors: dict[str, Any]) -> Path:
    torch.save({name: torch.as_tensor(tensor) for name, tensor in tensors.items()}, path)
    return path


def engine_logits(path: Path, mel: npt.NDArray[np.float32], tokens: Tokens) -> Float64:
    """(n, K) of the reference; that the engine's are the same bits shows in its scores."""
    voice = reference.ReferenceVoice(path)
    run = reference._Run(voice, 0, 0, 1.0, tokens.tolist())
    logits, forced = [], run._forced

    def record(draw: Any, values: npt.NDArray[np.float32]) -> int:
        logits.append(values.copy())
        return int(forced(draw, values))

    run._forced = record
    voice._samples(run, mel)
    for name in kernels():
        stream = _core.Stream(_core.Model.from_buffer(path.read_bytes()), kernels=name)
        found = stream.score(np.ascontiguousarray(mel.T), tokens.astype(np.uint16))
        assert found == pytest.approx(sum(run.nats), abs=1e-9)
    return np.array(logits, np.float64)


def normalised(conv: Any, norm: Any) -> tuple[Any, Any]:
    """A convolution and its batch norm as one matrix (out, in k) and a bias."""
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    weight = (conv.weight * factor[:, None, None]).flatten(1)
    return weight, norm.bias - norm.running_mean * factor


def aux_bounds(network: WaveRNN, windows: Any) -> Any:
    """Bounds (T, A) on the errors of aux; windows (T, C (2 pad + 1))."""
    resnet = network.upsample.resnet
    first = normalised(resnet.conv_in, resnet.batch_norm)
    blocks = [
        (normalised(b.conv1, b.batch_norm1), normalised(b.conv2, b.batch_norm2))
        for b in resnet.layers
    ]
    last = resnet.conv_out.weight[:, :, 0], resnet.conv_out.bias
    width = len(first[1])
    sizes = [width] * (1 + 2 * len(blocks)) + [len(last[1])]
    rounding: list[Any] = []

    def run(window: Any, errors: Any) -> Any:
        e = iter(torch.split(errors, sizes, dim=-1))

        def linear(layer: tuple[Any, Any], x: Any, *added: Any) -> Any:
            weight, bias = layer
            rounding.append(product_bound(weight, x, bias.expand(*x.shape[:-1], -1), *added))
            return x @ weight.T + bias + sum(added) + next(e)

        a = torch.relu(linear(first, window))
        for one, two in blocks:
            a = linear(two, torch.relu(linear(one, a)), a)
        return linear(last, a)

    zeros = torch.zeros(len(windows), sum(sizes), dtype=torch.float64)
    run(windows, zeros)
    own = torch.cat(rounding, dim=1)
    slopes = torch.func.vmap(torch.func.jacrev(run, argnums=1))(windows, zeros)
    return (slopes.abs() @ own[:, :, None])[:, :, 0]


def logit_bounds(network: WaveRNN, mel: Any, x: Any) -> Float64:
    """Bounds (n, K) on the errors of the engine's logits; network and arguments in float64."""
    pad, a, n = network.pad, network.quarter, len(x)
    padded = torch.nn.functional.pad(mel, (pad, pad))
    m, aux = (part[:n] for part in network.upsample(padded))
    a1, a2, a3, a4 = (aux[:, i * a : (i + 1) * a] for i in range(4))
    hop = network.upsample.hop

    def per_sample(frames: Any) -> Any:
        return frames.repeat_interleave(hop, 0)[:n]

    # Conditioning: what the engine applies to frames, and upsamples.
    windows = padded.unfold(1, 2 * pad + 1, 1).transpose(0, 1).flatten(1)
    e1, e2, e3, e4 = torch.split(per_sample(aux_bounds(network, windows))[:, : 4 * a], a, dim=1)
    rnn1, rnn2, c = network.rnn1, network.rnn2, m.shape[1]
    weight = torch.cat([network.I.weight, rnn1.weight_ih_l0 @ network.I.weight])
    bias = torch.cat([network.I.bias, rnn1.weight_ih_l0 @ network.I.bias + rnn1.bias_ih_l0]).expand(
        n, -1
    )
    w_x, w_m, w_a = weight[:, :1], weight[:, 1 : 1 + c], weight[:, 1 + c :]

    def smooth(frames: Any) -> Any:
        """Upsampling of (T + 2 pad, size) by the magnitudes of the filters."""
        out = frames.T[None, None]
        for layer in network.upsample.up_layers:
            if hasattr(layer, "weight"):
                out = torch.nn.functional.conv2d(out, layer.weight.abs(), padding=layer.padding)
            else:
                out = layer(out)
        return out[0, 0, :, pad * hop : pad * hop + n].T

    per_frame, frame_error = padded.T @ w_m.T, product_bound(w_m, padded.T)
    constant = a1 @ w_a.T + bias
    start = m @ w_m.T + constant
    # One rounding for each weight of the upsampling, one for each of 2 pad + 2 products.
    terms = (2 * pad + 4) * U * (smooth(per_frame.abs()) + constant.abs())
    start_error = product_bound(w_a, a1, bias) + e1 @ w_a.abs().T + smooth(frame_error) + terms
    # x = fma(token, scale, -1): the scale is rounded, below 2 in all, and the result, below 1.
    start_error = start_error + 3 * U * w_x[:, 0].abs()

    hidden, size, k = rnn1.hidden_size, len(network.fc1.bias), len(network.fc3.bias)
    sizes = [hidden, *2 * [3 * hidden, 3 * hidden, hidden, hidden], size, size, k]
    rounding: list[Any] = []

    def run(state: Any, errors: Any, x: Any, m: Any, aux: Any, notes: bool = False) -> Any:
        e = iter(torch.split(errors, sizes, dim=-1))
        a1, a2, a3, a4 = torch.split(aux[..., : 4 * a], a, dim=-1)
        h1, h2 = state[..., :hidden], state[..., hidden:]

        def noted(value: Any, bound: Callable[[], Any]) -> Any:
            if notes:
                rounding.append(bound())
            return value + next(e)

        def linear(layer: Any, x: Any, extra: Any, extra_error: Any, add: Any = 0.0) -> Any:
            """W [x; extra] + b, the part of extra being given by the frame program."""
            weight, bias = layer
            w, w_extra = weight[:, : x.shape[-1]], weight[:, x.shape[-1] :]
            given = extra @ w_extra.T + bias
            value = x @ w.T + given + add
            return noted(
                value,
                lambda: (
                    product_bound(w, x, given.expand(*x.shape[:-1], -1))
                    + product_bound(w_extra, extra, bias.expand(*x.shape[:-1], -1))
                    + extra_error @ w_extra.abs().T
                ),
            )

        def gru(rnn: Any, h: Any, inputs: Any) -> Any:
            w, b = rnn.weight_hh_l0, rnn.bias_hh_l0
            sums = noted(h @ w.T + b, lambda: product_bound(w, h, b.expand(*h.shape[:-1], -1)))
            r, i = sums.unflatten(-1, (3, hidden)), inputs.unflatten(-1, (3, hidden))
            reset, update = (torch.sigmoid(r[..., j, :] + i[..., j, :]) for j in (0, 1))
            new = torch.tanh(i[..., 2, :] + reset * r[..., 2, :])
            order = [1, 0, 2]
            return noted(
                update * h + (1 - update) * new,
                lambda: gates_bound(r[..., order, :], i[..., order, :], h),
            )

        both = torch.cat([x, m, a1], dim=-1) @ weight.T + bias[0]
        both_error = [
            lambda part=part: (product_bound(w_x, x, start) + start_error)[..., part]
            for part in (slice(hidden), slice(hidden, None))
        ]
        y, inputs = (
            noted(both[..., :hidden], both_error[0]),
            noted(both[..., hidden:], both_error[1]),
        )
        h1 = gru(rnn1, h1, inputs)
        y = noted(y + h1, lambda: U * (y + h1).abs())
        inputs = linear((rnn2.weight_ih_l0, rnn2.bias_ih_l0), y, a2, e2)
        h2 = gru(rnn2, h2, inputs)
        y = noted(y + h2, lambda: U * (y + h2).abs())
        one = torch.relu(linear((network.fc1.weight, network.fc1.bias), y, a3, e3))
        two = torch.relu(linear((network.fc2.weight, network.fc2.bias), one, a4, e4))
        w, b = network.fc3.weight, network.fc3.bias
        logits = noted(two @ w.T + b, lambda: product_bound(w, two, b.expand(*two.shape[:-1], -1)))
        return torch.cat([h1, h2], dim=-1), logits

    states = [torch.zeros(2 * hidden, dtype=torch.float64)]
    none = torch.zeros(sum(sizes), dtype=torch.float64)
    inputs = (x[:, None], m, aux)
    for parts in zip(*inputs, strict=True):
        states.append(run(states[-1], none, *parts)[0])
    before = torch.stack(states[:-1])
    run(before, torch.zeros(n, sum(sizes), dtype=torch.float64), *inputs, notes=True)

    return output_bounds(run, before, torch.cat(rounding, dim=1), inputs)


def teacher(bits: int, n: int) -> tuple[npt.NDArray[np.float32], Tokens, Any]:
    """Features, tokens, and the previous samples as the network sees them."""
    random = np.random.default_rng(0)
    mel = random.standard_normal((10, -(-n // 20))).astype(np.float32)
    tokens = random.integers(0, 1 << bits, n)
    x = np.concatenate([[0.0], 2 * tokens[:-1] / (2**bits - 1) - 1])
    return mel, tokens, torch.from_numpy(x)


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"pad": 1, "res_blocks": 1, "n_outputs": 64, "factors": (2, 5, 2), "rnn_dims": 16},
    ],
)
def test_logits_are_the_networks_within_the_bound_of_rounding(
    tmp_path: Path, sizes: dict[str, Any]
) -> None:
    network = WaveRNN(**sizes)
    bits = len(network.fc3.bias).bit_length() - 1
    path = save(tmp_path / "a.pt", network.state_dict())
    export(path, tmp_path / "a.linnet", config=CONFIG, dtype="float32")
    mel, tokens, x = teacher(bits, 200)
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


@pytest.mark.parametrize(
    ("hparams", "message"),
    [
        ({"voc_mode": "MOL"}, "network.mode is 'MOL', but the tensors make it 'RAW'"),
        ({"bits": 9}, "signal.bits is 9, but fc3.weight has 32 rows"),
        ({"voc_pad": 1}, "network.pad is 1, but the tensors make it 2"),
        ({"voc_upsample_factors": [4, 5]}, r"upsample_factors is \[4, 5\], but .* \[5, 4\]"),
        ({"voc_rnn_dims": 512}, "network.rnn_dims is 512, but the tensors make it 24"),
        ({"voc_fc_dims": 512}, "fc_dims is 512"),
        ({"voc_compute_dims": 128}, "compute_dims is 128"),
        ({"voc_res_out_dims": 128}, "res_out_dims is 128"),
        ({"voc_res_blocks": 10}, "res_blocks is 10, but the tensors make it 2"),
        ({"hop_length": 25}, "hop_length is 25, but upsample.up_layers stretch by 5 x 4 = 20"),
        ({"num_mels": 80}, "upsample.resnet.conv_in.weight: shape"),
        ({"win_length": 65}, "a window of 65 samples is longer than n_fft, 64"),
        ({"fmin": 9000}, "fmin 9000 and fmax 8000.0 are no range"),
        ({"hop_length": "20"}, "hop_length must be"),
    ],
)
def test_hparams_that_are_not_the_checkpoints_are_refused(
    tmp_path: Path, hparams: dict[str, Any], message: str
) -> None:
    path = save(tmp_path / "a.pt", WaveRNN().state_dict())
    config = {**CONFIG, "hparams": {**CONFIG["hparams"], **hparams}}
    with pytest.raises(ValueError, match=message):
        export(path, tmp_path / "a.linnet", config=config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"I.weight": (24, 16)}, r"I.weight: shape \(24, 16\), not any x 15"),
        ({"rnn2.weight_ih_l0": (72, 24)}, "rnn2.weight_ih_l0: shape"),
        ({"fc2.weight": (20, 20)}, "fc2.weight: shape"),
        ({"upsample.up_layers.1.weight": (1, 1, 1, 10)}, "10 samples; it must span 2 s . 1"),
        ({"upsample.resnet.conv_in.weight": (12, 10, 4)}, "4 frames; it must span 2 pad . 1"),
        ({"upsample.resnet.layers.1.batch_norm2.running_var": (12,)}, "negative variance"),
        ({"upsample.resnet.layers.3.conv1.weight": (12, 12, 1)}, r"missing .*layers\.2\.conv1"),
        ({"fc3.weight": (30, 20), "fc3.bias": (30,)}, "fc3.weight has 30 rows"),
    ],
)
def test_tensors_of_other_sizes_are_refused_by_name(
    tmp_path: Path, change: dict[str, tuple[int, ...]], message: str
) -> None:
    wrong = {name: -np.ones(shape, np.float32) for name, shape in change.items()}
    path = save(tmp_path / "a.pt", {**WaveRNN().tensors(), **wrong})
    with pytest.raises(ValueError, match=message):
        export(path, tmp_path / "a.linnet", config=CONFIG)


def test_a_checkpoint_without_hparams_asks_for_a_preset(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", WaveRNN().state_dict())
    with pytest.raises(ValueError, match=r"nearest is fatchord-wavernn \(give its preset: fatch"):
        export(path, tmp_path / "a.linnet")


def test_one_shot_pruning_tells_its_cost(tmp_path: Path) -> None:
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
    assert report.cost.after != report.cost.before and str(report).endswith(
        f"({report.cost.after - report.cost.before:+.4f})"
    )
    with pytest.raises(ValueError, match="8000 Hz; the voice has 16000 Hz"):
        write_wav(tmp_path / "b.wav", pcm, 8000)
        export(path, tmp_path / "c.linnet", config=CONFIG, score=tmp_path / "b.wav")
    assert not (tmp_path / "c.linnet").exists()
