"""What magnitudes do not tell: voicing, pitch, energy below the bands, pre-echo, and DNSMOS.

PESQ, STOI and log-spectral distance are partly what matching works towards; these are not. All take
mono int16 at any rate, the recording first.
"""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pcm = NDArray[np.int16]
Floats = NDArray[np.float64]

JUDGES = {
    "voicing": "V/UV errors",
    "cents": "F0 error, cents",
    "gross": "F0 errors of 300 cents and more",
    "below": "below 45 Hz, dB",
    "pre_echo": "pre-echo, dB",
    "dnsmos": "DNSMOS",
}
LOWEST, HIGHEST = 65.0, 450.0  # Hz, of F0
PERIOD = 5.0  # ms between values of F0, WORLD's own
# Of white noise that both signals get, against the recording's peak: DIO finds a pitch in digital
# silence and in what a matcher leaves of it. Without it a recording and the same recording
# high-passed at 60 Hz differ in .096 of all frames, with it in .060; noise that is matched to mels,
# .30 and .22; WORLD, .096 and .105; harmonics, .23 and .12.
DITHER = -50.0  # dB
RUMBLE = 45.0  # Hz: no band of linnet's features sees what is below
GROSS = 300.0  # cents
ONSET = 15.0  # dB within 10 ms, after 25 ms of quiet
DNSMOS_RATE, DNSMOS_SECONDS = 16000, 9.01  # what the network was trained on


def judge(reference: Pcm, other: Pcm, sample_rate: int) -> dict[str, float]:
    """All JUDGES of `other` (n,) against `reference` (n,); NaN where there is nothing to tell."""
    voicing, cents, gross = pitch_errors(reference, other, sample_rate)
    return {
        "voicing": voicing,
        "cents": cents,
        "gross": gross,
        "below": energy_growth(reference, other, sample_rate, 0.0, RUMBLE),
        "pre_echo": pre_echo(reference, other, sample_rate),
        "dnsmos": dnsmos(other, sample_rate),
    }


@functools.cache
def world() -> Any:
    """pyworld, which asks setuptools for its own version in a way that setuptools warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyworld
    return pyworld


def fundamental(pcm: Pcm, sample_rate: int, noise: float) -> Floats:
    """F0 in Hz every PERIOD, 0 where unvoiced, by WORLD's DIO and StoneMask (Morise et al. 2016,
    "WORLD: a vocoder-based high-quality speech synthesis system for real-time applications").

    noise: the RMS of added white noise, of full scale.
    """
    pyworld = world()
    audio = pcm.astype(np.float64) / 32768.0
    audio += noise * np.random.default_rng(0).standard_normal(len(audio))
    f0, times = pyworld.dio(
        audio, sample_rate, f0_floor=LOWEST, f0_ceil=HIGHEST, frame_period=PERIOD
    )
    return np.asarray(pyworld.stonemask(audio, f0, times, sample_rate), np.float64)


def pitch_errors(reference: Pcm, other: Pcm, sample_rate: int) -> tuple[float, float, float]:
    """The share of all frames that are voiced in one and unvoiced in the other; of frames voiced in
    both, the median difference of F0 in cents and the share of GROSS ones (NaN without any)."""
    peak = max(float(np.abs(reference.astype(np.float64)).max()) / 32768.0, 1e-3)
    noise = peak * 10 ** (DITHER / 20)
    a, b = (fundamental(pcm, sample_rate, noise) for pcm in (reference, other))
    n = min(len(a), len(b))
    a, b = a[:n], b[:n]
    voicing = float(np.mean((a > 0) != (b > 0)))
    both = (a > 0) & (b > 0)
    if not both.any():
        return voicing, float("nan"), float("nan")
    cents = 1200 * np.abs(np.log2(b[both] / a[both]))
    return voicing, float(np.median(cents)), float(np.mean(cents >= GROSS))


def energy_growth(reference: Pcm, other: Pcm, sample_rate: int, low: float, high: float) -> float:
    """dB by which the energy from `low` to `high` Hz is above the reference's. What is below a
    sixteenth of a 16-bit step, RMS, counts as that: silence has no level."""

    def energy(pcm: Pcm) -> float:
        spectrum = np.abs(np.fft.rfft(pcm.astype(np.float64) / 32768.0)) ** 2
        frequency = np.fft.rfftfreq(len(pcm), 1 / sample_rate)
        inside = (frequency > low) & (frequency < high)
        return 2 * float(spectrum[inside].sum()) / len(pcm) ** 2 + (2.0**-19) ** 2

    return 10 * float(np.log10(energy(other) / energy(reference)))


def onsets(pcm: Pcm, sample_rate: int) -> list[int]:
    """Samples at which a sound sets in: stretches of 5 ms whose level, or the next one's, is ONSET
    dB above all of the 25 ms before, and reaches -40 dB of full scale; 100 ms apart at least."""
    size = round(0.005 * sample_rate)
    audio = pcm.astype(np.float64) / 32768.0
    power = (audio[: len(audio) // size * size].reshape(-1, size) ** 2).mean(axis=1)
    level = 10 * np.log10(power + 1e-9)
    found: list[int] = []
    last = -100
    for i in range(8, len(level) - 4):
        before = level[i - 5 : i].max()
        rises = level[i : i + 2].max() > before + ONSET and level[i : i + 4].max() > -40.0
        if rises and i - last > 20:
            found.append((i if level[i] > before + ONSET / 2 else i + 1) * size)
            last = i
    return found


def pre_echo(reference: Pcm, other: Pcm, sample_rate: int) -> float:
    """dB by which `other` is above the reference, 25 to 5 ms before the reference's onsets, on
    average over onsets; NaN where there are none. -80 dB of full scale is the least level."""
    growth = []
    first, last = round(0.025 * sample_rate), round(0.005 * sample_rate)
    for at in onsets(reference, sample_rate):
        place = slice(at - first, at - last)
        power = [
            float(np.mean((pcm[place].astype(np.float64) / 32768.0) ** 2)) + 1e-8
            for pcm in (reference, other)
        ]
        growth.append(10 * float(np.log10(power[1] / power[0])))
    return float(np.mean(growth)) if growth else float("nan")


@functools.cache
def _dnsmos_network() -> Any:
    """DNSMOS's network for SIG, BAK and OVRL, on one thread; its weights are in speechmos."""
    import onnxruntime
    import speechmos

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    path = Path(speechmos.__path__[0]) / "dnsmos_models" / "sig_bak_ovr.onnx"
    return onnxruntime.InferenceSession(str(path), options)


def dnsmos(pcm: Pcm, sample_rate: int) -> float:
    """The overall quality, 1 .. 5, that DNSMOS predicts without a reference (Reddy, Gopal and
    Cutler 2022, "DNSMOS P.835"). As speechmos computes it (equal to 1e-6), but without its second
    network: short clips are repeated, a window of 9.01 s moves by 1 s."""
    import librosa

    audio = pcm.astype(np.float32) / np.float32(32768.0)
    if sample_rate != DNSMOS_RATE:
        audio = librosa.resample(audio, orig_sr=sample_rate, target_sr=DNSMOS_RATE)
    size = int(DNSMOS_SECONDS * DNSMOS_RATE)
    while len(audio) < size:
        audio = np.append(audio, audio)
    windows = int(np.floor(len(audio) / DNSMOS_RATE) - DNSMOS_SECONDS) + 1
    scores = []
    for i in range(windows):
        piece = audio[i * DNSMOS_RATE : i * DNSMOS_RATE + size]
        if len(piece) == size:
            raw = _dnsmos_network().run(None, {"input_1": piece[None]})[0][0][2]
            scores.append(np.polyval([-0.06766283, 1.11546468, 0.04602535], raw))
    return float(np.mean(scores))
