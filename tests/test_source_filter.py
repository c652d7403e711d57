"""Voices of a source and a filter: the operations against what they mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import linnet
from source_filter_voices import source_filter_checkpoint, source_filter_voice

pytest.importorskip("numba", reason="the reference needs Numba")

from linnet import _core, _hooks, kernels  # noqa: E402
from linnet.features import complete, mel_basis  # noqa: E402
from linnet.format.operations import AllPole  # noqa: E402
from linnet.format.reading import read  # noqa: E402
from linnet.reference import functions, source_filter  # noqa: E402
from linnet.reference.engine import ReferenceVoice  # noqa: E402
from linnet.reference.exact import compiled  # noqa: E402
from linnet_export.describing import describe  # noqa: E402
from linnet_export.exporting import build_voice  # noqa: E402
from linnet_export.families import source_filter as family  # noqa: E402
from linnet_export.onnx.networks import networks  # noqa: E402
from linnet_export.readers.checkpoint import Checkpoint  # noqa: E402
from linnet_export.writing.storage import Storage  # noqa: E402

Floats = np.ndarray

U = 2.0**-24
# Errors of sin(2 pi h) = h P(h h), |h| <= 1/4, relative to it, as P lies in 4 .. 6.3: the
# polynomial with its rounded coefficients; the last two of Horner's roundings (half an ulp of 8,
# then of 64, times h h, by 4); that of h h, as P' h h < 2.6; the product. What is below counts as
# another 0.1 u.
# For a cosine 1/4 - |x| may round by 2^-27 where it is above 1/8, and the sine's slope below 4.5.
CIRCLE_BOUND = 4.3e-8 + U * (1 + 0.5 + 0.65 + 1 + 0.1) + 4.5 * 2.0**-27
any_floats = st.floats(width=32)


@compiled
def reference_circle(turns: Floats) -> Floats:
    out = np.empty((2, len(turns)), np.float32)
    for i in range(len(turns)):
        out[0, i] = functions.cos_turns(turns[i])
        out[1, i] = functions.sin_turns(turns[i])
    return out


def test_cosine_and_sine_are_within_their_bound_and_the_same_everywhere() -> None:
    assert CIRCLE_BOUND < 4.6 * U
    for start in range(0, 2**24, 2**21):  # every multiple of 2^-24 in [0, 1)
        turns = (np.arange(start, start + 2**21) * 2.0**-24).astype(np.float32)
        found = reference_circle(turns)
        angles = 2 * np.pi * turns.astype(np.float64)
        assert np.abs(found - np.stack([np.cos(angles), np.sin(angles)])).max() <= CIRCLE_BOUND
        np.testing.assert_array_equal(_hooks.circle(turns).view(np.uint32), found.view(np.uint32))


@given(arrays.arrays(np.float32, 40, elements=any_floats))
def test_cosine_and_sine_of_any_number_are_of_its_part_of_a_turn(turns: Floats) -> None:
    found = reference_circle(turns)
    assert np.abs(found).max() <= 1 + CIRCLE_BOUND
    np.testing.assert_array_equal(_hooks.circle(turns).view(np.uint32), found.view(np.uint32))
    within = turns[np.abs(turns) <= 2**20].astype(np.float64)
    angles = 2 * np.pi * (within - np.rint(within))
    exact = np.stack([np.cos(angles), np.sin(angles)])
    assert np.abs(found[:, np.abs(turns) <= 2**20] - exact).max(initial=0) <= CIRCLE_BOUND


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), n=st.sampled_from([16, 32, 48, 64]), count=st.integers(1, 90)
)
def test_harmonics_are_those_of_float64_in_every_kernel_set(seed: int, n: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    turns = rng.random(n).astype(np.float32)
    cosine, sine = reference_circle(turns)
    at, out = rng.random(n).astype(np.float32), rng.normal(size=n).astype(np.float32)
    parts = rng.normal(size=(2, 2, count)).astype(np.float32)
    found = [_hooks.harmonics(name, cosine, sine, at, parts, out) for name in kernels()]
    for other in found[1:]:
        np.testing.assert_array_equal(other.view(np.uint32), found[0].view(np.uint32))
    k = np.arange(1, count + 1)[:, None]
    angles = 2 * np.pi * k * turns.astype(np.float64)
    c, s = ((1 - at) * parts[0, i][:, None] + at * parts[1, i][:, None] for i in range(2))
    exact = out + (c * np.cos(angles) + s * np.sin(angles)).sum(axis=0)
    # A rotation is off by the circle's error and three roundings, and k of them add up.
    sizes = np.abs(parts).sum(axis=(0, 1))
    bound = (sizes * (np.arange(1, count + 1) * (2 * CIRCLE_BOUND + 3 * U) + (count + 4) * U)).sum()
    assert np.abs(found[0] - exact).max() <= bound + (count + 1) * U * np.abs(out).max()


@given(arrays.arrays(np.float32, st.integers(2, 17), elements=st.floats(-0.9375, 0.9375, width=32)))
def test_levinson_finds_the_filter_that_made_an_autocorrelation(k: Floats) -> None:
    """That of the answer of a filter of these reflection coefficients to an impulse."""
    a, error = np.zeros(0), 1.0
    r = [1.0]
    for coefficient in k.astype(np.float64):
        r.append(-(a @ np.array(r[:0:-1])) - coefficient * error)
        a = np.append(a + coefficient * a[::-1], coefficient)
        error *= 1 - coefficient**2
    found = source_filter.levinson(np.array(r, np.float32), np.float32(2), np.float32(0))
    # Rounding of r is magnified by the inverse of the prediction error, again with every order.
    bound = 64 * len(k) * U * np.prod((1 + np.abs(k)) ** 2) / error
    assert np.abs(found[:-1] - a).max() <= bound
    assert abs(found[-1] ** 2 / 2 - error) <= bound


@given(arrays.arrays(np.float32, 9, elements=any_floats), any_floats, any_floats)
def test_levinson_of_anything_is_finite(r: Floats, power: float, least: float) -> None:
    words = [np.float32(abs(x) if np.isfinite(x) else 1) for x in (power, least)]
    with np.errstate(all="ignore"):
        found = source_filter.levinson(r, *words)
    assert np.isfinite(found[:-1]).all() and found[-1] >= 0


@given(
    st.floats(0.002, 0.3),
    arrays.arrays(np.float32, st.integers(1, 40), elements=st.floats(-2, 2, width=32)),
)
def test_harmonics_have_the_power_of_a_train_of_pulses(f: float, phases: Floats) -> None:
    frequency, top = np.float32(f), np.float32(0.49)
    parts = source_filter.harmonics(1024, frequency, np.float32(1), phases, top, np.float32(256))
    size = np.hypot(*parts.astype(np.float64))
    n = int((size > 0).sum())
    assert n * float(frequency) < 0.49 + 1e-6 and (n == 1024 or (n + 1) * frequency >= top - 1e-6)
    np.testing.assert_allclose(size[:n], 2 * np.sqrt(f), rtol=1e-5)
    assert not source_filter.harmonics(9, frequency, np.float32(0), phases, top, top).any()


def test_noise_is_near_to_normal() -> None:
    words = [functions.random_word(3, 1, i // 4, i % 4) for i in range(40_000)]
    noise = np.array([source_filter.noise_of(word) for word in words], np.float64)
    # Four bytes: mean 0, variance 1, kurtosis 3 - 0.3; each within five deviations of its estimate.
    n = len(noise)
    assert abs(noise.mean()) < 5 / np.sqrt(n)
    assert abs(noise.var() - 1) < 5 * np.sqrt(1.7 / n)
    assert abs((noise**4).mean() - 2.7) < 0.3


def test_a_pitch_is_the_mean_around_the_likeliest_bin() -> None:
    centres = np.log(np.linspace(0.01, 0.02, 20)).astype(np.float32)
    logits = np.full(20, -9, np.float32)
    logits[6:9] = [0, 1, 0]
    frequency, voiced = source_filter.pitch(logits, centres, 1, np.float32(0.5))
    weights = np.exp(logits[6:9].astype(np.float64))
    assert frequency == pytest.approx(np.exp(weights @ centres[6:9] / weights.sum()), rel=1e-5)
    assert voiced == 1
    assert source_filter.pitch(logits, centres, 1, np.float32(0))[1] == 0


@given(arrays.arrays(np.float32, 30, elements=any_floats), st.integers(0, 40), any_floats)
def test_a_pitch_of_anything_is_finite(logits: Floats, reach: int, voicing: float) -> None:
    centres = np.linspace(-5, -3, 30).astype(np.float32)
    with np.errstate(all="ignore"):
        found = source_filter.pitch(logits, centres, reach, np.float32(voicing))
    assert np.isfinite(found).all() and found[0] > 0


def test_the_envelope_of_white_noise_is_its_power() -> None:
    """Features of white noise, all bands at their expected size, tell the power that made them."""
    features = complete({"hop_length": 200, "n_mels": 80})
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(800) / 800)
    bins = 0.1 * np.sqrt((window**2).sum())
    level = np.log10(bins * mel_basis(features).astype(np.float64).sum(axis=1))
    mel = (level + features["offset"]) * features["scale"]
    weights, bias, cosines = family.envelope(features, family.DEFAULTS, 0.0)
    power = np.exp(weights @ mel + bias)
    np.testing.assert_allclose(power, 0.01, rtol=1e-6)
    autocorrelation = cosines @ power
    assert autocorrelation[0] == pytest.approx(0.01 * (1 + 1e-4))
    assert np.abs(autocorrelation[1:]).max() < 1e-9


def voice_with(**network: object) -> object:
    tensors, config = source_filter_checkpoint()
    config["network"] = {**config["network"], **network}
    return build_voice(Checkpoint(tensors), config, "v", Storage("float32"))


@pytest.mark.parametrize("hop", [20, 96, 200, 211])
def test_a_step_has_at_most_64_samples(hop: int) -> None:
    tensors, config = source_filter_checkpoint()
    config["features"] = {**config["features"], "hop_length": hop}
    voice = build_voice(Checkpoint(tensors), config, "v", Storage("float32"))
    header, output = voice.header, voice.sample_program[-1]
    assert isinstance(output, AllPole) and output.samples == header.samples_per_step <= 64
    assert hop % header.samples_per_step == 0 and voice.minor == 3


def test_silent_features_are_digital_silence() -> None:
    voice = linnet.load(source_filter_voice())
    assert not voice.synthesize(np.zeros((10, 40), np.float32)).any()


@settings(deadline=None, max_examples=20)
@given(
    arrays.arrays(
        np.float32, (10, 8), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
    ),
    st.integers(0, 99),
)
def test_any_features_give_the_same_samples_everywhere(mel: Floats, seed: int) -> None:
    """However loud: powers that overflow, filters at the edge of stability, pitches of any size."""
    data = source_filter_voice(seed=seed % 5)
    with np.errstate(all="ignore"):
        expected = ReferenceVoice(data).synthesize(mel, seed)
    frames = np.ascontiguousarray(mel.T)
    for name in kernels():
        samples = np.zeros(len(expected), np.int16)
        _core.Stream(_core.Model.from_buffer(data), seed, 0, 1.0, name).synthesize(frames, samples)
        np.testing.assert_array_equal(samples, expected)


@pytest.mark.parametrize("chunk", [1, 7, 20, 33])
def test_samples_do_not_depend_on_how_they_are_pulled(chunk: int) -> None:
    voice = linnet.load(source_filter_voice())
    mel = np.random.default_rng(chunk).normal(0, 1, (10, 30)).astype(np.float32)
    stream = _core.Stream(_core.Model.from_buffer(source_filter_voice()), 3, 0, 1.0)
    pulled = []

    def pull() -> None:
        while True:
            samples = np.zeros(chunk, np.int16)
            made = stream.pull(samples)
            pulled.append(samples[:made])
            if made == 0:
                return

    for frame in np.ascontiguousarray(mel.T):
        stream.push(frame[None])
        pull()
    stream.finish()
    pull()
    np.testing.assert_array_equal(np.concatenate(pulled), voice.synthesize(mel, seed=3))


def test_noise_grows_with_the_temperature_and_is_gone_at_none() -> None:
    tensors, config = source_filter_checkpoint()
    tensors["voicing.weight"] *= 0
    tensors["voicing.bias"][:] = -1
    voice = linnet.load(to_file(tensors, config))
    mel = np.full((10, 30), 0.5, np.float32)
    quiet, normal, loud = (voice.synthesize(mel, temperature=t).std() for t in (0, 0.5, 1))
    assert quiet == 0 and loud == pytest.approx(2 * normal, rel=0.1)


def test_a_voiced_sound_has_its_pitch() -> None:
    """Bins that all name one frequency: the energy is at its multiples."""
    tensors, config = source_filter_checkpoint()
    for name in ("pitch", "voicing"):
        tensors[f"{name}.weight"] *= 0
    tensors["voicing.bias"][:] = 1
    tensors["pitch.bias"][:] = -99
    tensors["pitch.bias"][10] = 0
    voice = linnet.load(to_file(tensors, config))
    samples = voice.synthesize(np.full((10, 200), 0.25, np.float32)).astype(np.float64)[400:]
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    wanted = np.exp(np.linspace(np.log(62), np.log(460), 20)[10]) * len(samples) / 16000  # in bins
    number = np.rint(np.arange(len(power)) / wanted)
    near = np.abs(np.arange(len(power)) - number * wanted) < 3
    assert power[near].sum() > 0.999 * power.sum()
    sizes = np.bincount(number[near].astype(int), power[near])
    assert (sizes[1:11] > 1e-4 * sizes.max()).all()


def to_file(tensors: dict[str, Floats], config: dict[str, object]) -> bytes:
    from linnet_export.writing.writer import to_bytes

    return to_bytes(build_voice(Checkpoint(tensors), config, "v", Storage("float32")))


@pytest.mark.parametrize(
    ("key", "value"),
    [("ahead", -1), ("order", 65), ("grid", 4), ("top", 9000.0), ("lowest", 500.0), ("odd", 1)],
)
def test_a_config_that_does_not_fit_is_named(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"network.*{key}"):
        voice_with(**{key: value})


def test_features_that_tell_no_envelope_are_refused() -> None:
    tensors, config = source_filter_checkpoint()
    config["features"] = {**config["features"], "pre_emphasis": 0.9}
    with pytest.raises(ValueError, match="pre-emphasis"):
        build_voice(Checkpoint(tensors), config, "v", Storage("float32"))


def test_there_is_no_score_and_no_onnx_form() -> None:
    data = source_filter_voice()
    voice = linnet.load(data)
    with pytest.raises(ValueError, match="no likelihood"):
        voice.score(np.zeros((10, 2), np.float32), np.zeros(40, np.int16))
    with pytest.raises(ValueError, match="'pitch' has no ONNX form"):
        networks(read(data))


def test_describe_knows_the_family(tmp_path: object) -> None:
    tensors, _ = source_filter_checkpoint()
    path = f"{tmp_path}/checkpoint.npz"
    np.savez(path, **tensors)  # type: ignore[arg-type]
    assert describe(path).verdict() == "looks like source-filter"
