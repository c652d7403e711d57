"""The reference of the voice `tiny`, not finished: features in, samples before the matching out.

    python reference.py synth tiny.npz IN.wav OUT.wav     # with the matching, 4 frames a hop, 2 rounds
    python reference.py export network.pt tiny.npz NEW.npz  # weights, fp16 where a voice stores fp16

float32 throughout; README.md gives the same equations. Shapes: T frames of HOP samples.
"""

from __future__ import annotations

import sys
from typing import Any

import numba
import numpy as np
from linnet.features import complete, log_mel, mel_basis, mel_centres

RATE, HOP = 16000, 200
FEATURES = complete({"sample_rate": RATE, "hop_length": HOP, "n_mels": 80})
F32 = np.float32
BINS, GRID = 96, 256  # bins of log F0; points of the circle at which the filter's power is known
ORDER, PIECES = 16, 4  # of the filter; filters a hop
PRE_EMPHASIS, GAIN, WHITE = 0.85, 1.3, 1e-4
TOP, PHASE_GRID = 7900.0, 62.5  # Hz: the highest harmonic; the distance of the constant phases
MOST = 128  # harmonics: TOP / 62 Hz


# ---- weights -------------------------------------------------------------------------------------


def envelope() -> tuple[Any, Any, Any]:
    """W (129, 80), b (129,), C (17, 129): power = exp(W mel + b), autocorrelation = C power."""
    m = GRID // 2 + 1
    centres = mel_centres(FEATURES) * GRID / RATE
    between = np.stack([np.interp(np.arange(m), centres, u) for u in np.eye(80)], axis=1)
    unit = np.log(10.0)  # of log10, the features' logarithm
    sums = mel_basis(FEATURES).astype(np.float64).sum(axis=1)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(800) / 800)
    tilt = np.abs(1 - PRE_EMPHASIS * np.exp(-2j * np.pi * np.arange(m) / GRID)) ** 2
    weights = 2 * unit / FEATURES["scale"] * between
    bias = between @ (-2 * unit * FEATURES["offset"] - 2 * np.log(sums))
    bias += np.log(tilt / (window**2).sum())
    twice = np.where((np.arange(m) == 0) | (np.arange(m) == m - 1), 1.0, 2.0) / GRID
    cosines = np.cos(2 * np.pi * np.outer(np.arange(ORDER + 1), np.arange(m)) / GRID) * twice
    cosines[0] *= 1 + WHITE
    return weights, bias, cosines


def export(path: str, before: str, out: str) -> None:
    import torch

    state = torch.load(path, weights_only=False)
    net = {k: v.double().numpy() for k, v in state["net"].items()}
    mean, std = net["mean"][:, 0], net["std"][:, 0]
    first = net["c.0.weight"] / std[None, :, None]  # (c, 80, 5): normalisation goes into the layer
    store: dict[str, Any] = {
        "conv0": first, "conv0_bias": net["c.0.bias"] - np.einsum("ock,c->o", first, mean),
        "conv1": net["c.1.weight"], "conv1_bias": net["c.1.bias"],
        "conv2": net["c.2.weight"], "conv2_bias": net["c.2.bias"],
        "dense": net["c.3.weight"][:, :, 0], "dense_bias": net["c.3.bias"],
        "out": net["o.weight"][: BINS + 1, :, 0], "out_bias": net["o.bias"][: BINS + 1],
        "ahead": np.int64(state["ahead"]), "phases": np.load(before)["phases"],
    }  # fmt: skip
    store["envelope"], store["envelope_bias"], store["cosines"] = envelope()
    for k, v in store.items():
        if k != "ahead":
            half = v.ndim > 1 and k != "cosines"
            store[k] = v.astype(np.float16) if half else v.astype(F32)
    np.savez_compressed(out, **store)
    bytes_ = sum(
        2 * int((v != 0).sum()) + int((v != 0).sum()) // 16 if v.dtype == np.float16 else v.nbytes
        for v in map(np.asarray, store.values())
    )
    print({k: v.shape for k, v in store.items()}, f"about {bytes_} bytes, zeros not counted")


# ---- per frame -----------------------------------------------------------------------------------


def frame_network(z: Any, mel: Any) -> tuple[Any, Any]:
    """mel (80, T) -> logits (97, T). Frames before the first and behind the last repeat it."""
    ahead = int(z["ahead"])
    x = np.pad(mel.astype(F32), ((0, 0), (12 - ahead, ahead)), mode="edge")
    for name in ("conv0", "conv1", "conv2"):
        w = z[name].astype(F32)
        n = x.shape[1] - 4
        windows = np.concatenate([x[:, k : k + n] for k in range(5)])  # oldest first
        flat = w.transpose(0, 2, 1).reshape(w.shape[0], -1)
        x = np.maximum(flat @ windows + z[name + "_bias"][:, None], 0)
    x = np.maximum(z["dense"].astype(F32) @ x + z["dense_bias"][:, None], 0)
    return z["out"].astype(F32) @ x + z["out_bias"][:, None]


def pitch(logits: Any) -> tuple[Any, Any]:
    """(97, T) -> F0 (T,) in cycles a sample, voiced (T,) 0 or 1."""
    first, last = np.log(62.0), np.log(460.0)
    centres = np.linspace(first, last, BINS).astype(F32)
    t_count = logits.shape[1]
    f0, voiced = np.zeros(t_count, F32), np.zeros(t_count, F32)
    for t in range(t_count):
        o = logits[:BINS, t]
        k = int(o.argmax())
        near = slice(max(0, k - 2), min(BINS, k + 3))
        p = np.exp(o[near] - o[k])
        f0[t] = np.exp((p * centres[near]).sum() / p.sum()) / F32(RATE)
        voiced[t] = logits[BINS, t] > 0
    return f0, voiced


@numba.njit(cache=True)
def levinson(r: Any, gain: Any, least: Any) -> Any:
    """Autocorrelations (N, order + 1) -> a (N, order), gains (N,): s[n] = g e[n] - sum a[i] s[n - 1 - i]."""
    n, order = r.shape[0], r.shape[1] - 1
    a, g, b = np.zeros((n, order), np.float32), np.zeros(n, np.float32), np.zeros(order, np.float32)
    for f in range(n):
        e = r[f, 0]
        for i in range(order):
            s = r[f, i + 1]
            for j in range(i):
                s += a[f, j] * r[f, i - j]
            k = -s / e
            for j in range(i):
                b[j] = a[f, j] + k * a[f, i - 1 - j]
            for j in range(i):
                a[f, j] = b[j]
            a[f, i] = k
            e = e * (np.float32(1) - k * k)
        g[f] = max(np.sqrt(max(e * gain, np.float32(0))) - least, np.float32(0))
    return a, g


def filters(z: Any, mel: Any) -> tuple[Any, Any]:
    """mel (80, T) -> a (4 T, 16), g (4 T,): of quarters of a hop, between the frames around them."""
    w, b, c = z["envelope"].astype(F32), z["envelope_bias"], z["cosines"]
    silent = c @ np.exp(b)
    least = levinson(silent[None].astype(F32), F32(GAIN), F32(0))[1][0]
    r = c @ np.exp(w @ mel.astype(F32) + b[:, None])  # (17, T)
    following = np.concatenate([r[:, 1:], r[:, -1:]], axis=1)
    pieces = [r + (following - r) * F32((q + 0.5) / PIECES) for q in range(PIECES)]
    return levinson(
        np.ascontiguousarray(np.stack(pieces, axis=2).reshape(ORDER + 1, -1).T), F32(GAIN), least
    )


# ---- per sample ----------------------------------------------------------------------------------


@numba.njit(cache=True)
def harmonics(f: Any, w: Any, phases: Any, cosine: Any, sine: Any) -> int:
    """Sizes and phases of one frame's harmonics, as cosine and sine parts (MOST,): their number."""
    count = 0
    for k in range(MOST):
        cosine[k] = sine[k] = np.float32(0)
    if w == 0:
        return 0
    size = w * np.float32(2) * np.sqrt(f)  # unit power: f = 1 / period
    top = np.float32(TOP / RATE)
    for k in range(MOST):
        at = np.float32(k + 1) * f
        if at >= top:
            break
        count = k + 1
        place = at * np.float32(RATE / PHASE_GRID)
        low = int(place)
        d = np.float32(0)
        if low + 1 < len(phases):
            d = phases[low] + (phases[low + 1] - phases[low]) * (place - np.float32(low))
        cosine[k], sine[k] = size * np.cos(d), size * np.sin(d)
    return count


@numba.njit(cache=True)
def synthesise(f0: Any, voiced: Any, phases: Any, a: Any, g: Any, noise: Any) -> Any:
    """Samples (T HOP,) of unit scale; noise (T HOP,) normal."""
    frames, order = len(f0), a.shape[1]
    y, past = np.zeros(frames * HOP, np.float32), np.zeros(order, np.float32)
    c0, s0, c1, s1 = (
        np.zeros(MOST, np.float32), np.zeros(MOST, np.float32),
        np.zeros(MOST, np.float32), np.zeros(MOST, np.float32),
    )  # fmt: skip
    phase, deemphasised = np.float32(0), np.float32(0)
    one, turn = np.float32(1), np.float32(2 * np.pi)
    for t in range(frames):
        u = min(t + 1, frames - 1)
        fa, fb, wa, wb = f0[t], f0[u], voiced[t], voiced[u]
        if wa == 0:
            fa = fb
        if wb == 0:
            fb = fa
        count = max(harmonics(fa, wa, phases, c0, s0), harmonics(fb, wb, phases, c1, s1))
        for i in range(HOP):
            x = np.float32(i) / np.float32(HOP)
            e = (one - (wa + (wb - wa) * x)) * noise[t * HOP + i]
            if count > 0:
                phase += fa + (fb - fa) * x
                phase -= np.floor(phase)
                rc, rs = np.cos(turn * phase), np.sin(turn * phase)
                c, s = one, np.float32(0)
                for k in range(count):
                    c, s = c * rc - s * rs, c * rs + s * rc
                    e += (c0[k] + (c1[k] - c0[k]) * x) * c - (s0[k] + (s1[k] - s0[k]) * x) * s
            n = (t * HOP + i) // (HOP // PIECES)
            v = e * g[n]
            for j in range(order):
                v -= a[n, j] * past[j]
            v = min(max(v, np.float32(-2)), np.float32(2))
            for j in range(order - 1, 0, -1):
                past[j] = past[j - 1]
            past[0] = v
            deemphasised = v + np.float32(PRE_EMPHASIS) * deemphasised
            y[t * HOP + i] = deemphasised
    return y


def voice(z: Any, mel: Any, seed: int, phases: bool = True) -> Any:
    f0, voiced = pitch(frame_network(z, mel))
    a, g = filters(z, mel)
    noise = np.random.default_rng(seed).standard_normal(len(f0) * HOP).astype(F32)
    constant = z["phases"] if phases else np.zeros(2, F32)
    return synthesise(f0, voiced, constant, a, g, noise)


def synth(path: str, source: str, target: str) -> None:
    """Resynthesise a recording, matched by the reference of linnet's matching."""
    import librosa
    import soundfile

    from linnet.reference.engine import ReferenceVoice
    from linnet.reference.matching import run
    from linnet_export.matching import matched
    from linnet_export.writing.writer import to_bytes

    z = dict(np.load(path))
    audio, rate = soundfile.read(source, dtype="float32")
    audio = librosa.resample(audio, orig_sr=rate, target_sr=RATE) if rate != RATE else audio
    mel = log_mel((audio * 32767).astype(np.int16), RATE, FEATURES)
    made = voice(z, mel, 0)
    # The bundled voice has the same features: its match serves here.
    import linnet

    file = matched(linnet.load("voices/slt.linnet").file(), 4, 2)
    reference = ReferenceVoice(to_bytes(file))
    made = run(reference.file.match, made, mel, reference.parts(reference.file.match))
    soundfile.write(target, np.clip(made, -1, 1), RATE)


if __name__ == "__main__":
    {"export": export, "synth": synth}[sys.argv[1]](*sys.argv[2:])
