"""Lyra v1's published generator: what its own code computed, to the tolerances of the arithmetic.

golden.npz was recorded from the original C++ code (float32); its fifth frame conditions the
teacher-forced steps. The tolerances that go with it: 1e-5 in the conditioning, 1e-4 in the state,
3e-4 in the mixtures' parameters. With weights in fp16 the network is another one: the engine must
compute that one to the same tolerances, and each layer may differ from the original by what the
rounding of its weights gives, |W16 - W| |x|.
"""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import linnet
from linnet import _core
from linnet.format.operations import Gates, Linear, Logistics
from linnet.format.reading import read
from linnet.format.voice_file import VoiceFile
from linnet_export import export
from linnet_export.describing import describe
from linnet_export.readers.lyra_files import read_folder
from lyra_oracle import FOLDER, Layers, conditioning, step, uniforms

pytestmark = [
    pytest.mark.skipif(not FOLDER.is_dir(), reason="Lyra's published files are not here"),
    pytest.mark.xdist_group("lyra"),
]

FRAME_LAYERS = (
    "conv1d",
    *(f"conditioning_stack_{i}" for i in range(3)),
    *(f"transpose_{i}" for i in range(3)),
    "conv_cond",
    "conv_to_gates",
)
GATES = ("conv_to_gates", "ar_to_gates", "gru_layer")
CONDITIONING, STATE, PARAMETERS = 1e-5, 1e-4, 3e-4
TOLERANCE = {
    **dict.fromkeys(FRAME_LAYERS, CONDITIONING),
    # Sums of the gates enter a state of at most 1 through slopes of at most 1.
    **dict.fromkeys(("ar_to_gates", "gru_layer", "state", "proj"), STATE),
    **dict.fromkeys(("mix", "means", "scales"), PARAMETERS),
}
GOLDEN = {
    **{name: "cond_" + name.replace("conditioning_", "") for name in FRAME_LAYERS},
    "ar_to_gates": "tf_gate_input",
    "gru_layer": "tf_gru_matvec",
    "state": "tf_h",
    **{name: f"tf_{name}" for name in ("proj", "mix", "means", "scales")},
}
N_FRAMES, N_STEPS, FORCED_FRAME = 5, 48, 4


@functools.cache
def golden() -> dict[str, npt.NDArray[Any]]:
    return dict(np.load(FOLDER / "golden.npz"))


@functools.cache
def voice_bytes(dtype: str, tmp: Path) -> bytes:
    export(FOLDER, tmp / "lyra.linnet", dtype=dtype)
    return (tmp / "lyra.linnet").read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lyra")


def by_file_order(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Sums of gates as the files have them: reset before update."""
    update, reset, cell = np.split(rows, 3, axis=-1)
    return np.concatenate([reset, update, cell], axis=-1)


def stored(file: VoiceFile) -> Layers:
    """The weights of a voice's file, in the files' order and without the zeros between frames."""
    layers = {}
    names = {tensor.name for tensor in file.tensors}
    for name in (*FRAME_LAYERS, "ar_to_gates", "gru_layer", "proj", "mix", "means", "scales"):
        weights = file.tensor(name).dense.astype(np.float64)
        if name.startswith("conditioning_stack"):
            width = weights.shape[0]
            weights = np.concatenate([weights[:, :width], weights[:, -width:]], axis=1)
        bias = np.zeros(len(weights))
        if f"{name}.bias" in names:
            bias = file.tensor(f"{name}.bias").dense.astype(np.float64)
        if name in GATES:
            weights, bias = by_file_order(weights.T).T, by_file_order(bias)
        layers[name] = weights, bias
    return layers


def run(data: bytes) -> dict[str, list[npt.NDArray[np.float32]]]:
    """Every layer's results: of N_FRAMES frames, and of N_STEPS teacher-forced steps of the last.

    The reference has the bits of every kernel set (test_the_engine_is_the_reference).
    """
    pytest.importorskip("numba", reason="the reference needs Numba")
    from linnet.reference.engine import ReferenceVoice, Run

    voice = ReferenceVoice(data)
    file = voice.file
    forced = golden()["forced_bands"].astype(int)[FORCED_FRAME * 160 :] + 32768
    run = Run(voice, 0, 0, 1.0, [int(token) for token in forced.ravel()])
    results: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in TOLERANCE}

    def note(program: tuple[Any, ...], row: int) -> None:
        found: dict[str, list[npt.NDArray[np.float32]]] = {}
        for op in program:
            if isinstance(op, Linear):
                tensor = file.tensors[op.weights]
                values = run.at(op.out, row, tensor.shape[0]).copy()
                values = by_file_order(values) if tensor.name in GATES else values
                found.setdefault(tensor.name, []).append(values)
            elif isinstance(op, Gates):
                found["state"] = [run.at(op.state, row, op.units).copy()]
        for name, values_ in found.items():
            results[name].append(np.concatenate(values_))

    for frame in golden()["features"][:N_FRAMES]:
        run.frame(frame)
        note(file.frame_program, 0)
    drawn = next(op for op in file.sample_program if isinstance(op, Logistics))
    for n in range(N_STEPS):
        bands = run.at(drawn.out, 0, 4)
        np.testing.assert_array_equal(bands, golden()["tf_ar_in"][n])
        run.step(n // 20)
        note(file.sample_program, n // 20)
    return results


def computed(layers: Layers) -> dict[str, list[npt.NDArray[np.float64]]]:
    """As `run`, in float64 with these weights."""
    results: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in TOLERANCE}
    for found in conditioning(layers, golden()["features"][:N_FRAMES].astype(np.float64)):
        for name, values in found.items():
            results[name].append(values.ravel())
    rows = results["conv_to_gates"][FORCED_FRAME].reshape(8, -1)
    h = np.zeros(1024)
    for n in range(N_STEPS):
        found = step(layers, rows[n // 20], golden()["tf_ar_in"][n].astype(np.float64), h)
        h = found["state"]
        for name, values in found.items():
            results[name].append(values)
    return results


def assert_within(results: dict[str, list[Any]], expected: dict[str, list[Any]]) -> None:
    for name, tolerance in TOLERANCE.items():
        assert len(results[name]) in (N_FRAMES, N_STEPS), name
        for got, want in zip(results[name], expected[name], strict=True):
            error = np.abs(got - np.ravel(want)).max()
            assert error <= tolerance, (name, error)


def test_float32_weights_give_the_golden_vectors(folder: Path) -> None:
    expected = {
        name: list(golden()[key][: N_FRAMES if name in FRAME_LAYERS else N_STEPS])
        for name, key in GOLDEN.items()
    }
    assert_within(run(voice_bytes("float32", folder)), expected)


def test_float16_weights_give_what_they_say(folder: Path) -> None:
    data = voice_bytes("float16", folder)
    assert_within(run(data), computed(stored(read(data))))


def test_rounding_moves_a_layer_by_no_more_than_its_weights(folder: Path) -> None:
    """Every layer on its own, given the golden input; 2^-11 is half an ulp of fp16 below 1."""
    rounded, exact = stored(read(voice_bytes("float16", folder))), read_folder(FOLDER)
    g = golden()
    p = g["tf_proj"]
    cases = {
        "proj": (g["tf_h"], g["tf_proj"]),
        **{name: (p, g[f"tf_{name}"]) for name in ("mix", "means", "scales")},
        "conv_cond": (g["cond_transpose_2"], g["cond_conv_cond"]),
        "conv_to_gates": (g["cond_conv_cond"][:6], g["cond_conv_to_gates"]),
        "gru_layer": (g["tf_h"][:-1], g["tf_gru_matvec"][1:]),
        "transpose_0": (g["cond_stack_2"], g["cond_transpose_0"]),
    }
    for name, (inputs, outputs) in cases.items():
        x = inputs.reshape(-1, inputs.shape[-1]).astype(np.float64)
        want = outputs.reshape(len(x), -1)
        weights, bias = rounded[name]
        change = np.abs(weights - exact[name].weights)
        np.testing.assert_array_less(change, 2.0**-11 * np.abs(exact[name].weights) + 2.0**-25)
        got = x @ weights.T + bias
        if name == "proj" or name == "transpose_0":
            got = np.maximum(got, 0)
        bound = np.abs(x) @ change.T + TOLERANCE[name]
        assert (np.abs(got - want) <= bound).all(), name


def test_the_original_random_numbers_draw_the_original_samples() -> None:
    pytest.importorskip("numba", reason="the reference needs Numba")
    from linnet.reference import functions, logistics

    g = golden()
    numbers = uniforms(8 * N_STEPS)
    np.testing.assert_array_equal(numbers[:16], g["rng_first_uniform"])
    drawn = np.empty((N_STEPS, 4), np.int16)
    for n in range(N_STEPS):
        mix, means, scales = (
            g[f"tf_{name}"][n].reshape(4, 8) for name in ("mix", "means", "scales")
        )
        for band, (choice, quantile) in enumerate(numbers[8 * n : 8 * n + 8].reshape(2, 4).T):
            _, e, groups = functions.exponentials(mix[band], np.float32(1))
            k = functions.draw(8, e, groups, choice)
            scale = logistics.scale_of(scales[band, k], np.float32(-86), 1)
            v = logistics.value(means[band, k], np.float32(scale), np.float32(1), quantile)
            drawn[n, band] = 32768 * logistics.rounded(np.float32(v), np.float32(256))
    np.testing.assert_array_equal(drawn, g["tf_sampled"])


def test_its_bands_of_a_recording_are_merged_to_the_recording(folder: Path) -> None:
    pytest.importorskip("numba", reason="the reference needs Numba")
    from linnet.format.operations import SubBands
    from linnet.reference import logistics

    file = read(voice_bytes("float32", folder))
    op = file.sample_program[-1]
    assert isinstance(op, SubBands)
    filters = file.tensor("bands").dense
    state = np.zeros(1 + 3 * 2 * 4, np.float32)
    merged = np.concatenate(
        [
            logistics.merge_bands(op, filters, (bands / 32768).astype(np.float32), state)
            for bands in golden()["forced_bands"]
        ]
    )
    wav = golden()["wav_pcm"].astype(np.float64)

    def spectrum(signal: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        frames = signal[: len(signal) // 512 * 512].reshape(-1, 512)
        return np.asarray(np.log(np.abs(np.fft.rfft(frames * np.hanning(512))) + 100))

    # All-pass filters keep magnitudes: the halves of every band stand where they were.
    assert np.corrcoef(spectrum(merged).ravel(), spectrum(wav).ravel())[0, 1] > 0.9


def test_the_engine_is_the_reference(folder: Path) -> None:
    pytest.importorskip("numba", reason="the reference needs Numba")
    from linnet.reference.engine import ReferenceVoice

    data = voice_bytes("float16", folder)
    reference = ReferenceVoice(data)
    mel = golden()["features"][:1].T
    samples = reference.synthesize(mel, seed=1)
    tokens = (golden()["forced_bands"][:64].astype(int) + 32768).astype(np.uint16).ravel()
    nats = reference.score(mel, tokens)
    for kernels in linnet.kernels():
        voice = linnet.load(data, kernels=kernels)
        assert voice.kernels == kernels
        np.testing.assert_array_equal(voice.synthesize(mel, seed=1), samples)
        stream = _core.Stream(_core.Model.from_buffer(data), kernels=kernels)
        # As in test_equality_voices.
        frames = np.ascontiguousarray(mel.T)
        assert stream.score(frames, tokens) == pytest.approx(nats.sum(), rel=1e-12)


def recording() -> npt.NDArray[np.int16]:
    """The published recording, twelve times as loud."""
    import wave

    with wave.open(str(FOLDER / "speech_16khz.wav")) as file:
        quiet = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return np.asarray(np.clip(12 * quiet.astype(int), -32768, 32767), np.int16)


def test_resynthesis_says_the_same_half_a_frame_later(folder: Path) -> None:
    voice = linnet.load(voice_bytes("float16", folder))
    mel = voice.features(recording(), 16000)
    # What the original computed of these frames is within a few ulps of float32 (values below 2).
    np.testing.assert_allclose(mel.T[37:49], golden()["features"], atol=16 * 2.0**-24)
    samples = voice.synthesize(mel)

    def distance(lag: int) -> float:
        again = voice.features(np.roll(samples, -lag), 16000)
        return float(np.abs(again - mel)[:, 5:-5].mean())

    distances = {lag: distance(lag) for lag in range(-1600, 1601, 320)}
    assert min(distances, key=distances.__getitem__) == 320
    silence = np.abs(np.log(500) / 10 - mel)[:, 5:-5].mean()
    assert distances[320] < silence / 3


def test_a_folder_is_described() -> None:
    description = describe(FOLDER)
    assert description.verdict() == "looks like lyra-wavegru"
    lines = {line.name: line for line in description.tensors}
    assert lines["gru_layer_weights"].shape == (3072, 1024)
    assert lines["gru_layer_weights"].fill == 1


def test_block_diagonal_zeros_are_not_stored(folder: Path) -> None:
    layers = {
        layer["name"]: layer
        for layer in linnet.load(voice_bytes("float16", folder)).info()["layers"]
    }
    assert layers["gru_layer"]["stored_weights"] == 3 * 16 * 64 * 64
    assert layers["gru_layer"]["density"] == 1 / 16


def test_what_does_not_fit_is_refused(folder: Path) -> None:
    copy = folder / "copy"
    copy.mkdir()
    with pytest.raises(ValueError, match="not one of Lyra's generators"):
        export(copy, folder / "out.linnet")
    for file in FOLDER.glob("*.raw.gz"):
        shutil.copyfile(file, copy / file.name)
    proj = copy / "lyra_16khz_proj_bias.raw.gz"
    proj.write_bytes((FOLDER / "lyra_16khz_mix_bias.raw.gz").read_bytes())
    with pytest.raises(ValueError, match="proj: 32 x 16384 weights, not"):
        export(copy, folder / "out.linnet")
    proj.write_bytes(proj.read_bytes()[:20])
    with pytest.raises(ValueError, match="proj_bias"):
        export(copy, folder / "out.linnet")
    proj.unlink()
    with pytest.raises(ValueError, match="missing files: lyra_16khz_proj_bias"):
        export(copy, folder / "out.linnet")
    assert not (folder / "out.linnet").exists()
