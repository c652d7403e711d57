// Waveforms and spectrograms on canvases, piece by piece as the samples come.

import { Fourier } from "./fourier.js";

const SIZE = 512; // of a transform
const LOUDEST = -10; // dB of a bin's amplitude
const RANGE = 75; // dB
const fourier = new Fourier(SIZE);
const window = Float64Array.from({ length: SIZE }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / SIZE));

/** One sound's two pictures; `total` samples fill their width. */
export class Picture {
  #wave;
  #spectrogram;
  #samples;
  #known = 0;
  #drawn = 0; // columns of the spectrogram

  constructor(wave, spectrogram, total) {
    this.#wave = wave;
    this.#spectrogram = spectrogram;
    this.#samples = new Float32Array(total);
    for (const canvas of [wave, spectrogram]) {
      canvas.width = canvas.clientWidth * devicePixelRatio;
      canvas.height = canvas.clientHeight * devicePixelRatio;
    }
    this.add(new Float32Array(0));
  }

  /** More samples in [-1, 1]. */
  add(samples) {
    this.#samples.set(samples.subarray(0, this.#samples.length - this.#known), this.#known);
    this.#known = Math.min(this.#known + samples.length, this.#samples.length);
    this.#drawWave();
    this.#drawSpectrogram();
  }

  #drawWave() {
    const { width, height } = this.#wave;
    const context = this.#wave.getContext("2d");
    const perColumn = this.#samples.length / width;
    context.clearRect(0, 0, width, height);
    context.fillStyle = getComputedStyle(this.#wave).color;
    for (let x = 0; x < width && x * perColumn < this.#known; ++x) {
      let low = 0;
      let high = 0;
      for (const sample of this.#samples.subarray(x * perColumn, (x + 1) * perColumn + 1)) {
        low = Math.min(low, sample);
        high = Math.max(high, sample);
      }
      const top = ((1 - high) * height) / 2;
      context.fillRect(x, top, 1, Math.max(1, ((1 - low) * height) / 2 - top));
    }
  }

  #drawSpectrogram() {
    const { width, height } = this.#spectrogram;
    const context = this.#spectrogram.getContext("2d");
    const column = context.createImageData(1, height);
    const re = new Float64Array(SIZE);
    const im = new Float64Array(SIZE);
    const whole = this.#known === this.#samples.length;
    for (; this.#drawn < width; ++this.#drawn) {
      const start = Math.round(((this.#drawn + 0.5) / width) * this.#samples.length) - SIZE / 2;
      if (!whole && start + SIZE > this.#known) break;
      for (let i = 0; i < SIZE; ++i) re[i] = window[i] * (this.#samples[start + i] ?? 0);
      im.fill(0);
      fourier.forwards(re, im);
      for (let y = 0; y < height; ++y) {
        const bin = Math.floor(((height - 1 - y) / height) * (SIZE / 2));
        const level = 10 * Math.log10((16 * (re[bin] ** 2 + im[bin] ** 2)) / SIZE ** 2 + 1e-12);
        column.data.set(colour(Math.min(1, Math.max(0, 1 + (level - LOUDEST) / RANGE))), 4 * y);
      }
      context.putImageData(column, this.#drawn, 0);
    }
  }
}

// From black by violet and orange to white, ever lighter.
const COLOURS = [
  [0, 0, 8],
  [62, 18, 92],
  [158, 40, 98],
  [233, 98, 52],
  [252, 190, 62],
  [255, 252, 228],
];

function colour(level) {
  const place = level * (COLOURS.length - 1);
  const below = Math.min(Math.floor(place), COLOURS.length - 2);
  return [...COLOURS[below].map((c, i) => c + (COLOURS[below + 1][i] - c) * (place - below)), 255];
}
