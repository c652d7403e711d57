"""Vocode the bundled clip with the bundled voice: out/demo.wav, out/demo.png, a table of figures.

python bench/demo.py [VOICE] [CLIP.wav] [--lag SAMPLES]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

import linnet
import linnet_bench
from linnet.audio import read_wav, write_wav
from linnet.speed import Watch, against_limit, against_real_time, busy
from linnet.table import facts
from linnet_training.measures.audio import log_spectral_distance, log_spectrum_correlation

Pcm = npt.NDArray[np.int16]

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "out"


def main(voice_path: Path, clip_path: Path, lag: int) -> None:
    step(f"loading {voice_path.name}")
    voice = linnet.load(voice_path)
    original, rate = read_wav(clip_path)
    if rate != voice.sample_rate or original.dtype != np.int16:
        raise ValueError(f"{clip_path}: not 16-bit at {voice.sample_rate} Hz")
    step(f"computing features of {clip_path.name}, {original.size / rate:.1f} s")
    mel = voice.features(original, rate)
    step("making samples")
    again = voice.synthesize(mel, progress=True)[: original.size]

    step("comparing and drawing")
    OUT.mkdir(exist_ok=True)
    write_wav(OUT / "demo.wav", again, rate)
    draw({"original": original, "resynthesis": again}, rate, OUT / "demo.png")
    pair = original[: original.size - lag], again[lag:]
    correlation = log_spectrum_correlation(*pair, rate)
    distance = log_spectral_distance(*pair, rate)
    likeness = [
        ("log-spectrum correlation", f"{correlation:.2f}"),
        ("log-spectral distance", f"{distance:.1f} dB"),
    ]
    step("measuring the speed, for some seconds")
    print()
    print(facts([*figures(voice), *likeness]))
    print("wrote out/demo.wav and out/demo.png")


def step(text: str) -> None:
    """Say what comes next."""
    print(text, flush=True)


def figures(voice: linnet.Voice) -> list[tuple[str, object]]:
    """What the voice is and how fast it runs here."""
    info = voice.info()
    with Watch() as watch:
        times = linnet_bench.time_voice(voice)
    speed = against_real_time(1 / times.real_time_factor)
    recurrent = [
        ("hidden size", info["hidden_size"]),
        ("sparsity", f"{info['sparsity']:.1%} of the recurrent matrix"),
        ("block", f"{info['block']} {info['dtype']}"),
    ]
    rows: list[tuple[str, object]] = [
        ("voice", f"{info['name']} ({info['architecture']})"),
        *(recurrent if info["hidden_size"] else []),
        ("file", f"{info['file_bytes']:,} bytes"),
        ("bytes per stored weight", f"{info['bytes_per_weight']:.2f}, everything included"),
        ("cpu", linnet_bench.cpu_name()),
        ("kernels", voice.kernels),
        (
            "real-time factor",
            f"{times.real_time_factor:.3f} on one thread ({speed})",
        ),
        *([("note", busy(watch.ran))] if busy(watch.ran) else []),
    ]
    matrix = linnet_bench.voice_matrix(voice)
    if matrix is not None:
        product = linnet_bench.time_products(matrix)
        rows += [
            (
                f"product {product.rows} x {product.cols}",
                f"sparse {product.sparse * 1e6:.2f} us, dense {product.dense * 1e6:.2f} us"
                f" ({product.dense / product.sparse:.1f} x)",
            ),
            (
                "stream limit",
                f"{product.stream_limit * 1e6:.2f} us; sparse takes {against_limit(product.ratio)}",
            ),
        ]
    return rows


def spectrogram(pcm: Pcm, rate: int) -> npt.NDArray[np.float64]:
    """Decibels below full scale (frequencies, frames): 25 ms Hann windows every 5 ms."""
    window, hop = round(0.025 * rate), round(0.005 * rate)
    padded = np.pad(pcm / 32768.0, window // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop] * np.hanning(window)
    level = np.abs(np.fft.rfft(frames, 1024, axis=1)).T * (4 / window)
    decibels: npt.NDArray[np.float64] = 20 * np.log10(np.maximum(level, 1e-5))
    return decibels


def draw(recordings: dict[str, Pcm], rate: int, path: Path) -> None:
    """One row per recording: waveform and spectrogram, on common scales."""
    figure = Figure(figsize=(12, 6), layout="constrained")
    axes = figure.subplots(len(recordings), 2, sharex=True, squeeze=False)
    loudest = max(np.abs(pcm / 32768.0).max() for pcm in recordings.values())
    image: Any = None
    for (wave, spectrum), (name, pcm) in zip(axes, recordings.items(), strict=True):
        seconds = pcm.size / rate
        wave.plot(np.arange(pcm.size) / rate, pcm / 32768.0, linewidth=0.4, color="#1f4e79")
        wave.set(title=name, ylabel="amplitude", xlim=(0, seconds), ylim=(-loudest, loudest))
        image = spectrum.imshow(
            spectrogram(pcm, rate),
            origin="lower",
            aspect="auto",
            extent=(0, seconds, 0, rate / 2000),
            cmap="magma",
            vmin=-90,
            vmax=-10,
        )
        spectrum.set(title=name, ylabel="frequency (kHz)")
    for axis in axes[-1]:
        axis.set_xlabel("time (s)")
    figure.colorbar(image, ax=axes[:, 1], label="level (dB of full scale)")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("voice", type=Path, nargs="?", default=ROOT / "voices" / "tiny.linnet")
    parser.add_argument("clip", type=Path, nargs="?", default=ROOT / "voices" / "human.wav")
    parser.add_argument("--lag", type=int, default=0, help="samples by which the voice comes late")
    options = parser.parse_args()
    main(options.voice, options.clip, options.lag)
