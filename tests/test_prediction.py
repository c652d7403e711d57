"""Linear prediction in the runtime against what it means."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from excitation_voices import excitation_checkpoint, excitation_voice
from linnet_export.exporting import build_voice
from linnet_export.readers.checkpoint import Checkpoint
from linnet_export.writing.storage import Storage
from linnet_export.writing.writer import to_bytes

pytest.importorskip("numba", reason="the reference needs Numba")

from linnet.format.operations import Output  # noqa: E402
from linnet.reference import prediction  # noqa: E402
from linnet.reference.engine import ReferenceVoice, Run  # noqa: E402

U = 2.0**-24
VOICE = ReferenceVoice(excitation_voice())
REFLECTIONS = arrays.arrays(
    np.float32, st.integers(1, 16), elements=st.floats(-0.984375, 0.984375, width=32)
)


@given(REFLECTIONS)
def test_step_up_gives_the_inverse_filter_of_the_lattice(k: np.ndarray) -> None:
    # The lattice's answer to an impulse is 1, a[0], a[1], ...; each of the order's steps multiplies
    # the sum of the absolute values by at most 1 + |k|, and adds a rounding to each term.
    order = len(k)
    backward, response = np.zeros(order), []
    for n in range(order + 1):
        f = behind = 1.0 if n == 0 else 0.0
        for i in range(order):
            f, backward[i], behind = (
                f + k[i] * backward[i],
                behind,
                backward[i] + k[i] * f,
            )
        response.append(f)
    bound = 2 * order * U * np.prod(1 + np.abs(k.astype(np.float64)))
    assert np.abs(prediction.step_up(k) - response[1:]).max() <= bound


@given(arrays.arrays(np.float32, 16, elements=st.floats(width=32)))
def test_step_up_of_anything_is_finite_and_a_stable_filter_stays_one(k: np.ndarray) -> None:
    a = prediction.step_up(k).astype(np.float64)
    assert np.isfinite(a).all()
    # |k| <= 1 puts no root outside the unit circle; a product of 16 roots within it is a[15].
    assert abs(a[-1]) <= 1


@settings(deadline=None, max_examples=6)
@given(
    arrays.arrays(np.float32, (10, 3), elements=st.floats(-1e4, 1e4, width=32)),
    st.integers(0, 99),
)
def test_any_features_keep_the_state_finite_and_the_signal_bounded(
    mel: np.ndarray, seed: int
) -> None:
    voice = VOICE
    run = Run(voice, seed, 0, 1.0)
    for frame in mel.T:
        run.frame(np.ascontiguousarray(frame))
        for _ in range(voice.header.steps):
            run.step(0)
        assert np.isfinite(run.arena).all()
        # Clamped samples are within 2; the filter of the de-emphasis multiplies by 1 / (1 - 0.85).
        assert isinstance(run.output, Output)
        assert abs(run.arena[run.output.state.offset]) <= 2 / (1 - 0.85) * (1 + 20 * U)


def test_what_is_scored_is_followed_to_within_half_a_step() -> None:
    # A voice that predicts nothing, in gains of 1/8: the excitation is the pre-emphasised signal.
    tensors, config = excitation_checkpoint()
    for part in ("reflection", "gain"):
        tensors[f"envelope.{part}.weight"][:] = 0
        tensors[f"envelope.{part}.bias"][:] = 0 if part == "reflection" else np.log(1 / 8)
    voice = ReferenceVoice(
        to_bytes(build_voice(Checkpoint(tensors), config, "flat", Storage("float32")))
    )
    pcm = np.random.default_rng(0).integers(-20000, 20000, 100)
    run = Run(voice, 0, 0, 1.0, list(pcm + 32768))
    heard = np.array(voice._samples(run, np.zeros((10, 5), np.float32)))
    # Half a step of 1/128 in v = log(1 + mu u / range) / log(1 + mu), u up to 1.85 * 8 gains.
    growth = 512 ** (1 / 256)
    step = (1.85 * 8 * 20000 / 32768 + 32 / 511) * (growth - 1) / 8
    assert np.abs(heard - pcm).max() <= 32768 * step / (1 - 0.85) + 1
    assert np.abs(heard - pcm).max() > 0  # it is quantised


def test_silence_is_silent_where_the_voice_predicts_it() -> None:
    tensors, config = excitation_checkpoint()
    tensors["O2.weight"][:] = 0
    tensors["O2.bias"][:] = -100
    tensors["O2.bias"][128] = 100
    voice = ReferenceVoice(
        to_bytes(build_voice(Checkpoint(tensors), config, "silent", Storage("float32")))
    )
    assert not voice.synthesize(np.zeros((10, 8), np.float32)).any()
