"""Samples brought to their features: what that promises, and who refuses it."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("numba", reason="the reference needs Numba")
pytest.importorskip("librosa", reason="features need librosa")

import linnet  # noqa: E402
from linnet import _core  # noqa: E402
from linnet.audio import read_wav  # noqa: E402
from linnet.cli import main  # noqa: E402
from linnet.features import complete, log_mel, mel_basis  # noqa: E402
from linnet.format.reading import read  # noqa: E402
from linnet.reference import matching as reference  # noqa: E402
from linnet.reference.engine import ReferenceVoice  # noqa: E402
from linnet_export import export, rematch  # noqa: E402
from linnet_export.matching import PREFIX, matched  # noqa: E402
from linnet_export.writing.writer import to_bytes  # noqa: E402
from varied_voices import varied_voices, with_match  # noqa: E402
from voices import tiny_config, tiny_tensors, tiny_voice  # noqa: E402

REPOSITORY = Path(__file__).parent.parent
EPS = np.finfo(np.float32).eps
Floats = npt.NDArray[np.float32]


def twiddles(n: int) -> Floats:
    angles = 2 * np.pi * np.arange(n // 2) / n
    return np.concatenate([np.cos(angles), np.sin(angles)]).astype(np.float32)


@given(st.integers(4, 14), st.integers(0, 2**32 - 1))
def test_the_transform_is_fouriers(log_n: int, seed: int) -> None:
    n = 1 << log_n
    x = np.random.default_rng(seed).normal(0, 1, n).astype(np.float32)
    re, im = reference.forwards(twiddles(n), x)
    exact = np.fft.rfft(x.astype(np.float64))
    # Each of log2(n) stages, of which the last joins even and odd numbers, rounds a turn, a
    # product, a sum of two products and a difference: at most 4 eps of what it holds, whose norm
    # grows by the square root of 2 from stage to stage, as the result's does.
    bound = 4 * EPS * log_n * np.sqrt(n) * np.linalg.norm(x)
    assert np.linalg.norm(re + 1j * im - exact) <= bound
    again = reference.backwards(twiddles(n), re, im)
    assert np.linalg.norm(again - n * x) <= 2 * np.sqrt(n) * bound


def visited(samples: Floats, mel: Floats, **features: Any) -> Floats:
    """Samples (T hop,) after one visit of every frame, by the reference."""
    config = {"features": {"clip_min": None, "clip_max": None, **features, "kind": "log-mel"}}
    file = matched(read(tiny_voice(config=config)), 1)
    voice = ReferenceVoice(to_bytes(file))
    match = file.match
    assert match is not None
    return reference.run(match, samples, mel, voice.parts(match))


DEFINITIONS: list[dict[str, Any]] = [
    {},
    {"log": "log10", "mel_scale": "slaney", "n_mels": 4, "mel_triangles": "mel"},
    {"log": "db", "power": 2.0, "floor": 1e-10, "n_fft": 128},
    {"hop_length": 25, "win_length": 60, "fmin": 300.0, "fmax": 7000.0, "offset": 2.0},
]


def band_ends(definition: dict[str, Any]) -> tuple[float, float]:
    """Hz between which the bands see every bin."""
    seen = np.flatnonzero(mel_basis(definition).sum(axis=0))
    width = definition["sample_rate"] / definition["n_fft"]
    return width * float(seen[0]), width * float(seen[-1])


def between(samples: Any, low: float, high: float) -> Any:
    """What samples at 16 kHz hold between two frequencies."""
    spectrum = np.fft.rfft(samples)
    frequencies = np.fft.rfftfreq(len(samples), 1 / 16000)
    spectrum[(frequencies < low) | (frequencies > high)] = 0
    return np.fft.irfft(spectrum, len(samples)).astype(np.float32)


def inside(samples: Any, definition: dict[str, Any]) -> Any:
    """What samples hold within the bands, further from their ends than a window blurs."""
    low, high = band_ends(definition)
    blur = 6 * 16000 / definition["win_length"]
    return between(samples, low + blur, high - blur)


@pytest.mark.parametrize("features", DEFINITIONS)
def test_what_no_band_sees_does_not_grow(features: dict[str, Any]) -> None:
    definition = complete(
        {**tiny_config()["features"], "fmin": 400.0, "clip_min": None, "clip_max": None, **features}
    )
    random = np.random.default_rng(2)
    n = 60 * definition["hop_length"]
    samples = random.normal(0, 0.02, n).astype(np.float32)
    louder = log_mel(random.normal(0, 0.2, n).astype(np.float32), 16000, definition)
    low, high = band_ends(definition)
    blur = 3 * 16000 / definition["win_length"]  # windows spread what is within the bands so far
    again = samples
    for _ in range(4):
        again = visited(again, louder, **{**features, "fmin": definition["fmin"]})
    assert np.square(again).sum() > 9 * np.square(samples).sum()
    for ends in ((0, low - blur), (high + blur, 8000)):
        if ends[0] < ends[1]:
            energies = [np.square(between(x, *ends)).sum() for x in (again, samples)]
            assert energies[0] <= energies[1]


@pytest.mark.parametrize("features", DEFINITIONS)
def test_samples_that_have_the_features_stay_as_they_are(features: dict[str, Any]) -> None:
    definition = complete(
        {**tiny_config()["features"], "clip_min": None, "clip_max": None, **features}
    )
    n = 40 * definition["hop_length"]
    samples = inside(np.random.default_rng(0).normal(0, 0.1, n), definition)
    again = visited(samples, log_mel(samples, 16000, definition), **features)
    # The bands' weights are float16: both sides of a band agree to a few 2^-11; so do the gains.
    edge = definition[
        "win_length"
    ]  # frames at both ends see a step, which is outside the bands too
    middle = slice(edge, -edge)
    np.testing.assert_allclose(again[middle], samples[middle], atol=4 * 2**-11 * 0.5)


@pytest.mark.parametrize("features", DEFINITIONS)
def test_a_visit_brings_the_bands_nearer_to_the_features(features: dict[str, Any]) -> None:
    definition = complete(
        {**tiny_config()["features"], "clip_min": None, "clip_max": None, **features}
    )
    random = np.random.default_rng(1)
    n = 60 * definition["hop_length"]
    loudness = np.exp(np.sin(np.arange(n) / 150))
    target = log_mel((random.normal(0, 0.05, n) * loudness).astype(np.float32), 16000, definition)
    samples = random.normal(0, 0.1, n).astype(np.float32)
    distances = [np.abs(log_mel(samples, 16000, definition) - target).mean()]
    for _ in range(3):
        samples = visited(samples, target, **features)
        distances.append(np.abs(log_mel(samples, 16000, definition) - target).mean())
    assert distances[1] < 0.5 * distances[0]
    assert distances[3] < distances[2] < distances[1]


def test_the_bundled_voice_comes_nearer_to_the_features_visit_by_visit() -> None:
    audio, rate = read_wav(str(REPOSITORY / "voices" / "slt-heldout.wav"))
    file = read(str(REPOSITORY / "voices" / "slt.linnet"))
    distances = []
    for iterations in range(4):
        voice = linnet.load(to_bytes(matched(file, iterations)))
        mel = voice.features(audio, rate)[:, :100]
        distances.append(np.abs(voice.features(voice.synthesize(mel), rate) - mel).mean())
    assert distances == sorted(distances, reverse=True) and distances[1] < 0.7 * distances[0]


DATA = Path(os.environ.get("LINNET_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
GENEING = DATA / "geneing-wavernn"


@pytest.mark.skipif(not GENEING.exists(), reason=f"no third-party weights in {GENEING}")
def test_a_third_partys_voice_comes_nearer_to_its_recording(tmp_path: Path) -> None:
    audio, rate = read_wav(str(GENEING / "mel.wav"))
    export(GENEING / "model.bin", tmp_path / "plain")
    rematch(tmp_path / "plain", tmp_path / "matched", 4)
    distances = []
    for name in ("plain", "matched"):
        voice = linnet.load(tmp_path / name)
        mel = voice.features(audio, rate)[:, :200]
        samples = voice.synthesize(mel)
        distances.append(np.abs(voice.features(samples, rate) - mel).mean())
    assert distances[1] < 0.5 * distances[0]


def test_what_a_clipped_feature_does_not_tell_is_left_alone() -> None:
    """Noise below the least feature is neither raised to it nor lowered."""
    features = {"floor": 1e-9, "log": "db", "scale": 0.01, "clip_min": -0.5}  # -55 dB
    definition = complete({**tiny_config()["features"], "clip_max": None, **features})
    samples = inside(np.random.default_rng(0).normal(0, 1e-4, 800), definition)
    mel = log_mel(samples, 16000, definition)
    assert (mel == -0.5).all()
    # Gains of exp(0) = 1; the spread's halves of float16 and the transform round.
    np.testing.assert_allclose(visited(samples, mel, **features), samples, atol=1e-4 * 2**-8)


def test_a_voice_out_of_step_with_its_frames_is_refused() -> None:
    file = read(tiny_voice())
    lagging = replace(file, metadata={**file.metadata, "architecture": "lyra-wavegru"})
    with pytest.raises(ValueError, match="in step with their frames"):
        matched(lagging, 1)


def test_silence_stays_silent() -> None:
    voice = linnet.load((REPOSITORY / "voices" / "slt.linnet").read_bytes())
    mel = voice.features(np.zeros(16000, np.int16), 16000)
    for iterations in (1, 4):
        samples = linnet.load(to_bytes(matched(voice.file(), iterations))).synthesize(mel)
        assert not samples.any()


@pytest.mark.parametrize("iterations", [1, 3, 16])
@pytest.mark.parametrize("n_frames", [0, 1, 2, 7])
def test_utterances_shorter_than_the_delay_are_whole(iterations: int, n_frames: int) -> None:
    data = with_match(tiny_voice(seed=3), iterations)
    mel = np.random.default_rng(0).normal(0, 1, (10, n_frames)).astype(np.float32)
    samples = linnet.load(data).synthesize(mel)
    assert samples.shape == (20 * n_frames,)
    np.testing.assert_array_equal(samples, ReferenceVoice(data).synthesize(mel))


@pytest.mark.parametrize("rounds", [2, 5])
def test_rounds_and_momentum_have_the_bits_of_the_reference(rounds: int) -> None:
    file = matched(read(tiny_voice(seed=3)), 3, rounds)
    assert file.match is not None and file.match.momentum > 0 and file.minor == 2
    data = to_bytes(file)
    mel = np.random.default_rng(0).normal(0, 1, (10, 7)).astype(np.float32)
    samples = linnet.load(data).synthesize(mel)
    np.testing.assert_array_equal(samples, ReferenceVoice(data).synthesize(mel))
    once = linnet.load(to_bytes(matched(file, 3))).synthesize(mel)
    assert (samples != once).any() and file.delay == matched(file, 3).delay


def test_threads_change_no_bit() -> None:
    data = varied_voices()["matched-thrice"]
    mel = np.random.default_rng(0).normal(0, 1, (10, 9)).astype(np.float32)
    np.testing.assert_array_equal(
        linnet.load(data, threads=3).synthesize(mel), linnet.load(data).synthesize(mel)
    )


class Pushed:
    """A stream fed one frame after the other."""

    def __init__(self, data: bytes, n_frames: int = 40) -> None:
        self.voice = linnet.load(data)
        self.mel = np.random.default_rng(0).normal(0, 1, (10, n_frames)).astype(np.float32)
        self.whole = self.voice.synthesize(self.mel)
        self.stream = _core.Stream(_core.Model.from_buffer(data))
        self.pushed = 0

    def push(self, n: int) -> int:
        """How many of the next n frames are taken."""
        taken = self.stream.push(np.ascontiguousarray(self.mel.T[self.pushed : self.pushed + n]))
        self.pushed += taken
        return taken

    def pull(self, n: int) -> npt.NDArray[np.int16]:
        samples = np.empty(n, np.int16)
        return samples[: self.stream.pull(samples)]


def test_frames_are_taken_until_a_sample_waits_and_available_keeps_its_word() -> None:
    run = Pushed(varied_voices()["matched-thrice"])
    lookahead = run.voice.lookahead
    assert lookahead == 1 + 2 * 2 - 2 + 3  # its own, a window of 64 at hops of 20, three iterations
    assert run.push(40) == lookahead + 1
    made: list[npt.NDArray[np.int16]] = []
    random, run_pushed = np.random.default_rng(0), run.pushed
    while len(run.whole) > sum(map(len, made)):
        available = run.stream.available
        assert available == 20 * (run.pushed - lookahead) - sum(map(len, made))
        asked = int(random.integers(1, 50))
        made.append(run.pull(asked))
        assert len(made[-1]) == min(available, asked)
        hops = sum(map(len, made)) // 20
        assert run.push(2) == min(2, hops + lookahead + 1 - run_pushed)
        run_pushed = run.pushed
        if run.pushed == 40:
            break
    run.stream.finish()
    assert run.stream.available == 800 - sum(map(len, made))
    while len(chunk := run.pull(7)):
        made.append(chunk)
    np.testing.assert_array_equal(np.concatenate(made), run.whole)


def test_a_reset_forgets_what_was_heard() -> None:
    run = Pushed(varied_voices()["matched-once"])
    run.push(40)
    run.pull(30)
    run.stream.reset(0, 0)
    samples = np.empty(800, np.int16)
    assert run.stream.synthesize(np.ascontiguousarray(run.mel.T), samples) == 800
    np.testing.assert_array_equal(samples, run.whole)


def test_a_score_is_the_networks_own() -> None:
    plain = linnet.load(tiny_voice(seed=8))
    voice = linnet.load(varied_voices()["matched-once"])
    mel = np.random.default_rng(0).normal(0, 1, (10, 12)).astype(np.float32)
    pcm = np.random.default_rng(0).integers(-3000, 3000, 240).astype(np.int16)
    assert voice.score(mel, pcm) == plain.score(mel, pcm)
    assert not np.array_equal(voice.synthesize(mel), plain.synthesize(mel))


def test_what_was_matched_cannot_be_scored() -> None:
    run = Pushed(varied_voices()["matched-once"])
    run.push(40)
    run.pull(5)
    frames = np.ascontiguousarray(run.mel.T[run.pushed :])
    with pytest.raises(RuntimeError, match="not in a state"):
        run.stream.score(frames, np.zeros(20, np.uint16))


def test_without_its_match_a_voice_is_the_same_file_again() -> None:
    plain = tiny_voice()
    for iterations in (1, 3, 16):
        assert to_bytes(matched(read(with_match(plain, iterations)), 0)) == with_match(plain, 0)


def test_info_tells_of_the_delay() -> None:
    info = linnet.load(varied_voices()["matched-once"]).info()
    assert (info["matching"], info["lookahead_frames"]) == (1, 2 + 3)
    assert info["latency_ms"] == 1000 * 5 * 20 / 16000


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"center": False}, "frames that are centred"),
        ({"pre_emphasis": 0.5}, "without pre-emphasis"),
        ({"power": 1.5}, "a power of 1 or 2"),
        ({"n_fft": 100}, "a power of two, not 100"),
        ({"win_length": 63}, "an even win_length"),
        ({"win_length": 32}, r"two hops \(40\) or more, not 32"),
        ({"kind": "external"}, "log-mel features"),
    ],
)
def test_features_that_no_samples_can_be_brought_to_are_refused(
    features: dict[str, Any], message: str
) -> None:
    file = read(tiny_voice())
    definition = {**tiny_config()["features"], **features}
    voice = replace(file, metadata={**file.metadata, "features": definition})
    with pytest.raises(ValueError, match=message):
        matched(voice, 1)


def test_the_exporter_takes_visits_from_config_and_argument(tmp_path: Path) -> None:
    config = tiny_config(matching=2)
    np.savez(tmp_path / "a.npz", **tiny_tensors(config))  # type: ignore[arg-type]
    report = export(tmp_path / "a.npz", tmp_path / "two", config=config)
    assert linnet.load(tmp_path / "two").info()["matching"] == 2
    assert report.lookahead == 2 + 2 + 2
    export(tmp_path / "a.npz", tmp_path / "one", config=config, matching=1)
    assert linnet.load(tmp_path / "one").info()["matching"] == 1
    rematch(tmp_path / "one", tmp_path / "one", 2)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    for wrong in (17, -1, 1.5, True):
        with pytest.raises(ValueError, match="matching"):
            export(tmp_path / "a.npz", tmp_path / "b", config={**config, "matching": wrong})
    assert not (tmp_path / "b").exists()


def test_the_command_line_changes_the_match_of_a_voice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "voice.linnet"
    path.write_bytes(tiny_voice())
    options = ["--matching", "2", "--rounds", "3", "-o", str(path)]
    assert main(["export", str(path), *options]) == 0
    assert "look-ahead 6 frames" in capsys.readouterr().out
    assert main(["inspect", "--no-speed", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "2 frames at each hop, rounds: 3" in shown and "match" in shown
    assert main(["export", str(path), "--sparsity", "0.5", "-o", str(path)]) == 1
    assert "--sparsity is for checkpoints" in capsys.readouterr().err
    assert main(["export", str(path), "--dtype", "bfloat16", "-o", str(path)]) == 1
    assert "is an input itself" in capsys.readouterr().err
    assert main(["export", str(path), "-o", str(path)]) == 1
    assert "is a voice already" in capsys.readouterr().err


def damaged(**words: Any) -> bytes:
    """A voice whose match has other words."""
    file = read(with_match(tiny_voice(), 1))
    names = {tensor.name.removeprefix(PREFIX): i for i, tensor in enumerate(file.tensors)}
    values = {k: names[v] if isinstance(v, str) else v for k, v in words.items()}
    assert file.match is not None
    return to_bytes(replace(file, match=replace(file.match, **values)))


@pytest.mark.parametrize(
    "words",
    [
        {"window": "gru.recurrent.bias", "synthesis": "gru.recurrent.bias"},
        {"synthesis": "O1.bias"},
        {"twiddles": "O1.bias"},
        {"twiddles": "bands"},
        {"window": 10_000},
        {"to_bands": "spread"},
        {"to_bins": "bands"},
        {"power": 0},
        {"power": 3},
        {"floor": 0.0},
        {"floor": float("inf")},
        {"scale": float("nan")},
        {"strength": float("inf")},
        {"limit": -1.0},
        {"limit": 81.0},
        {"iterations": 0},
        {"iterations": 17},
    ],
)
def test_a_match_that_does_not_fit_is_a_format_error(words: dict[str, Any]) -> None:
    data = damaged(**words)
    for open_voice in (read, linnet.load):
        with pytest.raises(linnet.FormatError):
            open_voice(data)


def test_what_is_no_match_or_comes_too_late_is_a_format_error() -> None:
    twice = bytearray(with_match(tiny_voice(), 1))
    struct.pack_into("<I", twice, 120, 2)
    other = bytearray(with_match(tiny_voice(), 1))
    (operations,) = struct.unpack_from("<Q", other, 104)
    counts = struct.unpack_from("<2I", other, 68)
    struct.pack_into("<I", other, operations + 64 * sum(counts), 5)
    long = {"n_fft": 2048, "win_length": 2048, "hop_length": 1, "kind": "log-mel"}
    every = tiny_voice(config={"features": {**tiny_config()["features"], **long}})
    late = bytearray(to_bytes(matched(read(every), 2)))
    for data in (twice, other, late):
        struct.pack_into("<I", data, 24, zlib.crc32(bytes(data[32:])))
        for open_voice in (read, linnet.load):
            with pytest.raises(linnet.FormatError):
                open_voice(bytes(data))
