"""The third-party voice: its file, its folded network, its score."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from linnet import format
from linnet_export import export
from linnet_export.geneing_file import (
    Conv,
    Gru,
    Linear,
    ModelFile,
    Smoothing,
    Stretch,
    read_model,
)
from linnet_export.residual_mel import BatchNorm, upsampling_matrix

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

    def score(self, tokens: npt.NDArray[np.int64], start: int, stop: int) -> float:
        """Teacher-forced nats per sample, from a zero state and a zero sample at `start`."""
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
            x = 2 * tokens[t] / 1023 - 1
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
    reference = pytest.importorskip("linnet.reference", reason="the reference needs numba")
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
