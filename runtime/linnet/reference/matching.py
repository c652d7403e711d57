"""The reference's matching of samples to features (export/FORMAT.md, "match"): whole utterances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from linnet.format.operations import Match
from linnet.reference import functions
from linnet.reference.exact import compiled, fma

Floats = npt.NDArray[np.float32]
Product = Callable[[Floats], Floats]


@compiled
def transform(twiddles: Any, re: Any, im: Any) -> Any:
    """The discrete Fourier transform of (n,) + i (n,); twiddles (2 n,) of twice as many numbers:
    cosines, then sines."""
    n = len(re)
    half, stride = n // 2, 1
    while half > 0:
        new_re, new_im = np.empty_like(re), np.empty_like(im)
        for p in range(half):
            c, s = twiddles[2 * p * stride], twiddles[n + 2 * p * stride]
            for q in range(stride):
                a, b = q + stride * p, q + stride * (p + half)
                to = q + stride * 2 * p
                difference_re, difference_im = re[a] - re[b], im[a] - im[b]
                new_re[to], new_im[to] = re[a] + re[b], im[a] + im[b]
                new_re[to + stride] = difference_re * c + difference_im * s
                new_im[to + stride] = difference_im * c - difference_re * s
        re, im = new_re, new_im
        half, stride = half // 2, stride * 2
    return re, im


@compiled
def forwards(twiddles: Any, x: Any) -> Any:
    """The bins (n / 2 + 1,), real and imaginary parts, of real numbers (n,)."""
    m = len(x) // 2
    z_re, z_im = transform(twiddles, x[0::2].copy(), x[1::2].copy())
    re, im = np.zeros(m + 1, np.float32), np.zeros(m + 1, np.float32)
    re[0], re[m] = z_re[0] + z_im[0], z_re[0] - z_im[0]
    half = np.float32(0.5)
    for k in range(1, m // 2 + 1):
        c, s = twiddles[k], twiddles[m + k]
        e_re, e_im = z_re[k] + z_re[m - k], z_im[k] - z_im[m - k]
        d_re, d_im = z_re[k] - z_re[m - k], z_im[k] + z_im[m - k]
        t_re, t_im = d_im * c - d_re * s, d_re * c + d_im * s
        re[k], im[k] = half * (e_re + t_re), half * (e_im - t_im)
        re[m - k], im[m - k] = half * (e_re - t_re), -half * (e_im + t_im)
    return re, im


@compiled
def backwards(twiddles: Any, re: Any, im: Any) -> Any:
    """n times the real numbers (n,) of bins (n / 2 + 1,)."""
    m = len(re) - 1
    z_re, z_im = re[:m].copy(), im[:m].copy()
    z_re[0], z_im[0] = re[0] + re[m], re[0] - re[m]
    for k in range(1, m // 2 + 1):
        c, s = twiddles[k], twiddles[m + k]
        e_re, e_im = re[k] + re[m - k], im[k] - im[m - k]
        d_re, d_im = re[k] - re[m - k], im[k] + im[m - k]
        t_re, t_im = d_re * c - d_im * s, d_im * c + d_re * s
        z_re[k], z_im[k] = e_re - t_im, e_im + t_re
        z_re[m - k], z_im[m - k] = e_re + t_im, t_re - e_im
    z_im, z_re = transform(twiddles, z_im, z_re)
    x = np.empty(2 * m, np.float32)
    x[0::2], x[1::2] = z_re, z_im
    return x


@compiled
def sizes(re: Any, im: Any, power: int) -> Any:
    """Magnitudes of bins to the power of 1 or 2."""
    result = np.empty_like(re)
    for k in range(len(re)):
        square = re[k] * re[k] + im[k] * im[k]
        result[k] = np.sqrt(square) if power == 1 else square
    return result


@compiled
def corrections(
    own: Any, wanted: Any, scale: Any, offset: Any, floor: Any, strength: Any, limit: Any
) -> Any:
    """The logarithms of the gains that bring bands (n,) to features (n,)."""
    result = np.empty_like(own)
    for b in range(len(own)):
        size = own[b] if own[b] > floor else floor
        level = fma(scale, wanted[b], offset)
        d = (level - functions.log(size)) * strength
        d = d if d > -limit else -limit
        result[b] = d if d < limit else limit
    return result


class Parts(NamedTuple):
    """The tensors of a match; to_bands and to_bins give the products with its matrices."""

    window: Floats
    synthesis: Floats
    twiddles: Floats
    to_bands: Product
    to_bins: Product


@compiled
def moved(piece: Any, before: Any, momentum: Any) -> Any:
    """A piece (n,) that goes on in the direction in which it has changed."""
    result = np.empty_like(piece)
    for j in range(len(piece)):
        result[j] = fma(momentum, piece[j] - before[j], piece[j])
    return result


def corrected(match: Match, parts: Parts, windowed: Floats, wanted: Floats) -> Floats:
    """The piece (size) of the signal that brings a windowed frame (size) to its features."""
    n, size = len(parts.twiddles), len(windowed)
    first = (n - size) // 2
    frame = np.zeros(n, np.float32)
    frame[first : first + size] = windowed
    re, im = forwards(parts.twiddles, frame)
    own = parts.to_bands(sizes(re, im, match.power))
    numbers = (match.scale, match.offset, match.floor, match.strength, match.limit)
    gains = corrections(own, wanted, *(np.float32(number) for number in numbers))
    functions.activate(4, gains)
    gain = parts.to_bins(gains)
    frame = backwards(parts.twiddles, re * gain, im * gain)
    piece: Floats = frame[first : first + size] * np.float32(1 / n) * parts.synthesis
    return piece


def run(match: Match, samples: Floats, features: Floats, parts: Parts) -> Floats:
    """The samples (T hop,) brought to the features (n_features, T)."""
    n_frames = features.shape[1]
    hop, size = len(samples) // n_frames, len(parts.window)
    edge = np.zeros(size, np.float32)  # what lies before and behind the utterance
    made = np.concatenate([edge, samples, edge])
    signal = made.copy()
    pieces: dict[int, Floats] = {}
    wanted: dict[int, Floats] = {}  # the pieces without momentum
    momentum = np.float32(match.momentum)
    for newest in range(n_frames + match.iterations - 1):
        turn = range(newest, newest - match.iterations, -1)
        for n, t in enumerate(list(turn) * max(match.rounds, 1)):
            if not 0 <= t < n_frames:
                continue
            place = slice(size + t * hop - size // 2, size + t * hop + size // 2)
            if n == 0:
                pieces[t] = made[place] * parts.window * parts.synthesis
            frame = np.ascontiguousarray(features[:, t])
            piece = corrected(match, parts, signal[place] * parts.window, frame)
            if momentum:
                before = piece if n == 0 else wanted[t]
                wanted[t] = piece
                piece = moved(piece, before, momentum)
            signal[place] += piece - pieces[t]
            pieces[t] = piece
    return signal[size:-size]
