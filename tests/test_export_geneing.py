"""The third-party voice: its file, its folded network, its score."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from geneing_files import random_model, to_bytes
from linnet import format
from linnet_export import export
from linnet_export.building.batch_norm import BatchNorm
from linnet_export.families.residual_mel import upsampling_matrix
from linnet_export.readers.geneing_file import (
    Conv,
    Gru,
    Layer,
    Linear,
    ModelFile,
    Smoothing,
    Stretch,
    read_model,
)

Float64 = npt.NDArray[np.float64]
ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("LINNET_TEST_DATA", ROOT.parent / "shared" / "data")) / "geneing-wavernn"
needs_data = pytest.mark.skipif(
    not (DATA / "model.bin").exists(), reason=f"no third-party weights in {DATA}"
)


def smooth(signal: Float64, weight: npt.NDArray[np.float32]) -> Float64:
    """A zero-padded filter over the last axis, as torch's conv2d: a correlation."""
    k = len(weight)
    padded = np.pad(signal, ((0, 0), (k // 2, k // 2)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, k, axis=1)
    return np.asarray(windows @ weight.astype(np.float64))


def conv(x: Float64, layer: Conv) -> Float64:
    windows = np.lib.stride_tricks.sliding_window_view(x, layer.weight.shape[2], axis=1)
    y = np.einsum("oik,itk->ot", layer.weight.astype(np.float64), windows)
    return np.asarray(y if layer.bias is None else y + layer.bias[:, None])


def norm(x: Float64, layer: BatchNorm) -> Float64:
    scaled = (x - layer.mean[:, None]) / np.sqrt(layer.variance[:, None] + np.float64(layer.eps))
    return scaled * layer.weight[:, None] + layer.bias[:, None]


def sigmoid(x: Float64) -> Float64:
    return 1 / (1 + np.exp(-x))


class Direct:
    """The network as its authors wrote it down, layer after layer, in float64; nothing is
    folded."""

    def __init__(self, model: ModelFile, mel: Float64) -> None:
        layers = iter(model.layers)
        pad, hop = model.padding, model.hop_length
        m = np.pad(mel, ((0, 0), (pad, pad)))

        def convolve(x: Float64) -> Float64:
            layer = next(layers)
            assert isinstance(layer, Conv)
            return conv(x, layer)

        def normalise(x: Float64) -> Float64:
            layer = next(layers)
            assert isinstance(layer, BatchNorm)
            return norm(x, layer)

        a = np.maximum(normalise(convolve(m)), 0)
        for _ in range(model.residual_blocks):
            inner = np.maximum(normalise(convolve(a)), 0)
            a = a + normalise(convolve(inner))
        self.aux = np.repeat(convolve(a), hop, axis=1)
        assert isinstance(next(layers), Stretch)
        for _ in range(model.upsampling_layers):
            stretch, smoothing = next(layers), next(layers)
            assert isinstance(stretch, Stretch) and isinstance(smoothing, Smoothing)
            m = smooth(np.repeat(m, stretch.time, axis=1), smoothing.weight)
        self.m = m[:, pad * hop : -pad * hop]
        inputs, gru, fc1, fc2 = layers
        assert isinstance(inputs, Linear) and isinstance(gru, Gru)
        assert isinstance(fc1, Linear) and isinstance(fc2, Linear)
        self.inputs, self.gru, self.fc1, self.fc2 = inputs, gru, fc1, fc2

    def score(
        self, tokens: npt.NDArray[np.int64], start: int, stop: int, mu_law: bool = False
    ) -> float:
        """Teacher-forced nats per sample, from a zero state and a zero sample at `start`.

        mu_law: as the files' own program runs networks of that kind, whose last sample it expands.
        """
        mu = len(self.fc2.bias) - 1
        half = len(self.aux) // 2
        h, x, nats = np.zeros(len(self.inputs.bias)), 0.0, 0.0
        w_i, w_h = self.gru.input.astype(np.float64), self.gru.recurrent.astype(np.float64)
        w1, w2 = self.fc1.weight.astype(np.float64), self.fc2.weight.astype(np.float64)
        for t in range(start, stop):
            v = np.concatenate([[x], self.m[:, t], self.aux[: half - 1, t]])
            y = self.inputs.weight.astype(np.float64) @ v + self.inputs.bias
            i = w_i @ y + self.gru.input_bias
            r = w_h @ h + self.gru.recurrent_bias
            z = sigmoid(i[1] + r[1])
            h = (1 - z) * np.tanh(i[2] + sigmoid(i[0] + r[0]) * r[2]) + z * h
            hidden = w1 @ np.concatenate([y + h, self.aux[half:, t]]) + self.fc1.bias
            logits = w2 @ np.maximum(hidden, 0) + self.fc2.bias
            greatest = logits.max()
            nats += greatest + np.log(np.exp(logits - greatest).sum()) - logits[tokens[t]]
            x = 2 * tokens[t] / mu - 1
            if mu_law:
                x = np.sign(x) * np.expm1(abs(x) * np.log1p(mu)) / mu
        return float(nats / (stop - start))


def recording() -> tuple[Float64, Float64, npt.NDArray[np.int64]]:
    """Mel (80, n_frames), samples in [-1, 1] and tokens of the recording beside the weights."""
    mel = np.load(DATA / "mel.npy").astype(np.float64).T
    audio, _ = soundfile.read(DATA / "mel.wav")
    return mel, audio, np.rint((audio + 1) * 1023 / 2).astype(np.int64)


@needs_data
def test_the_network_as_read_scores_its_own_recording() -> None:
    """The recording is this network's own output: it cannot score much above its own entropy.

    Over the whole recording the score is 1.880 nats per sample and the mean entropy of the
    predictions 1.881; over these 4000 samples 2.271 and 2.246.
    """
    mel, _, tokens = recording()
    direct = Direct(read_model((DATA / "model.bin").read_bytes()), mel)
    score = direct.score(tokens, 20000, 24000)
    print(f"teacher-forced, samples 20000..23999, float64: {score:.4f} nats per sample")
    assert abs(score - 2.27) <= 0.01


@needs_data
def test_upsampling_matrix_is_the_chain_of_stretching_and_smoothing() -> None:
    mel, _, _ = recording()
    model = read_model((DATA / "model.bin").read_bytes())
    mel = mel[:, :30]
    direct = Direct(model, mel).m
    stages = []
    for stretch, layer in zip(model.layers, model.layers[1:], strict=False):
        if isinstance(stretch, Stretch) and isinstance(layer, Smoothing):
            stages.append((stretch.time, layer.weight))
    matrix = upsampling_matrix(stages, model.padding)
    padded = np.pad(mel, ((0, 0), (model.padding, model.padding)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * model.padding + 1, axis=1)
    folded = np.einsum("hw,ctw->cth", matrix, windows).reshape(len(mel), -1)
    # Both are float64 sums of a few hundred products of weights below 1.
    assert np.abs(folded - direct).max() < 1e-12 * np.abs(mel).max()


@needs_data
def test_the_exported_network_scores_as_the_one_read(tmp_path: Path) -> None:
    reference = pytest.importorskip("linnet.reference.engine", reason="the reference needs numba")
    mel, _, tokens = recording()
    mel, tokens = mel[:, 100:103], tokens[20000:20600]
    export(DATA / "model.bin", tmp_path / "voice.linnet", dtype="float32")
    found = reference.ReferenceVoice(tmp_path / "voice.linnet").score(mel, tokens).mean()
    direct = Direct(read_model((DATA / "model.bin").read_bytes()), mel).score(tokens, 0, 600)
    # float32 sums of some hundred products; a gate or tap out of place changes the first digit.
    assert abs(found - direct) < 1e-3 * direct


@needs_data
def test_sparsity_of_the_file_is_kept(tmp_path: Path) -> None:
    report = export(DATA / "model.bin", tmp_path / "voice.linnet")
    voice = format.read(tmp_path / "voice.linnet")
    assert voice.header.lookahead == 2 and voice.header.priming == 0
    for name, stored in (("gru.recurrent", 3 * 9832), ("gru.input", 3 * 9832), ("fc2", 19664)):
        tensor = voice.tensor(name)
        assert tensor.layout == "1x4" and tensor.packed.stored_weights == stored
    print(report)


@needs_data
@pytest.mark.parametrize("cut", [10, 200, 30000, 617699])
def test_truncated_file_is_refused(cut: int) -> None:
    with pytest.raises(ValueError, match="model.bin"):
        read_model((DATA / "model.bin").read_bytes()[:cut])


@needs_data
def test_trailing_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="model.bin"):
        read_model((DATA / "model.bin").read_bytes() + b"\0")


@pytest.mark.parametrize(
    ("sizes", "mu_law"),
    [
        ({}, False),
        ({"hidden": 64, "sparsity": 0.8, "blocks": 3, "factors": (5, 3, 2), "bits": 10}, False),
        ({"hidden": 32, "width": 24, "aux": 16, "blocks": 0, "factors": (6,), "padding": 1}, True),
    ],
)
def test_files_of_every_size_compute_what_they_hold(
    tmp_path: Path, sizes: dict[str, Any], mu_law: bool
) -> None:
    reference = pytest.importorskip("linnet.reference.engine", reason="the reference needs numba")
    model = random_model(**sizes)
    path = tmp_path / "model.bin"
    path.write_bytes(to_bytes(model))
    config: dict[str, Any] = {"features": {"sample_rate": 22050}}
    if mu_law:
        config["signal"] = {"companding": "mu-law"}
    export(path, tmp_path / "voice.linnet", dtype="float32", config=config)
    voice = reference.ReferenceVoice(tmp_path / "voice.linnet")
    assert (voice.header.sample_rate, voice.header.hop_length) == (22050, model.hop_length)
    random = np.random.default_rng(1)
    mel = random.standard_normal((voice.header.n_features, 4))
    n = 4 * model.hop_length - 3
    tokens = random.integers(0, 1 << sizes.get("bits", 9), n)
    direct = Direct(read_model(path.read_bytes()), mel).score(tokens, 0, n, mu_law)
    # float32 sums of some hundred products; a gate or tap out of place changes the first digit.
    assert abs(voice.score(mel, tokens).mean() - direct) < 1e-3 * direct
    if "sparsity" in sizes:
        assert format.read(tmp_path / "voice.linnet").tensor("gru.recurrent").layout == "1x4"


def changed(model: ModelFile, **changes: Any) -> ModelFile:
    """The model with header fields, or with the first layer of a type, replaced."""
    layers = list(model.layers)
    for name in [name for name in changes if name[0].isupper()]:
        at = next(i for i, layer in enumerate(layers) if type(layer).__name__ == name)
        layers[at] = changes.pop(name)
    return replace(model, layers=tuple(layers), **changes)


def wide(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """The layers with filters so long that what the padding cuts off matters."""
    filters = Smoothing(np.ones(199, np.float32))
    return tuple(filters if isinstance(layer, Smoothing) else layer for layer in layers)


MODEL = random_model(hidden=16, width=8, aux=8, blocks=1, head=8, bits=4)
GRU = next(layer for layer in MODEL.layers if isinstance(layer, Gru))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (changed(MODEL, hop_length=21), "stretching of aux"),
        (changed(MODEL, residual_blocks=2), "Stretch where the network has its next"),
        (changed(MODEL, residual_blocks=0), "BatchNorm where the network has its next Stretch"),
        (changed(MODEL, upsampling_layers=1), "Stretch where the network has its next Linear"),
        (changed(MODEL, padding=3), "frames of the first convolution"),
        (changed(MODEL, Stretch=Stretch(10, 2)), "stretching of aux"),
        (changed(MODEL, Smoothing=Smoothing(np.ones(8, np.float32))), "8 samples has no centre"),
        (replace(MODEL, layers=wide(MODEL.layers)), "reaches beyond the padding of 2 frames"),
        (changed(MODEL, BatchNorm=BatchNorm(0.0, *[np.ones(9, np.float32)] * 4)), "9 channels"),
        (changed(MODEL, Linear=Linear(np.ones((16, 9), np.float32), np.ones(16))), "input layer"),
        (changed(MODEL, Gru=replace(GRU, input=GRU.input[:, :, :-4])), "inputs of the GRU"),
        (replace(MODEL, layers=MODEL.layers[:-1]), "the end where the network has its next"),
        (replace(MODEL, layers=MODEL.layers + MODEL.layers[-1:]), "layers after the last"),
        (random_model(hidden=16, width=8, aux=9, blocks=1, head=8, bits=4), "aux rows"),
    ],
)
def test_inconsistent_files_are_refused_by_what_does_not_fit(
    tmp_path: Path, model: ModelFile, message: str
) -> None:
    (tmp_path / "model.bin").write_bytes(to_bytes(model))
    with pytest.raises(ValueError, match=message):
        export(tmp_path / "model.bin", tmp_path / "voice.linnet")
    assert not (tmp_path / "voice.linnet").exists()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"features": {"hop_length": 21}}, "hop_length is 21; model.bin has 20"),
        ({"features": {"n_mels": 80}}, "n_mels is 80; model.bin has 12"),
        ({"features": {"sample_rate": "fast"}}, "sample_rate"),
        ({"signal": {"companding": "a-law"}}, "companding"),
        ({"signal": {"bits": 9}}, "model.bin says the rest itself"),
        ({"block": "4x4"}, "model.bin says the rest itself"),
    ],
)
def test_configs_that_contradict_the_file_are_refused(
    tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    (tmp_path / "model.bin").write_bytes(to_bytes(MODEL))
    with pytest.raises(ValueError, match=message):
        export(tmp_path / "model.bin", tmp_path / "voice.linnet", config=config)
