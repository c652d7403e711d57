// Features: log-mel bands exactly as a voice stores their definition; runtime/linnet/features/ in JavaScript. All sums
// are in double precision, so that features are those of Python but for the rounding to single precision.

import { Fourier } from "./fourier.js";
import { resample } from "./resampling.js";

const LOUDEST = 8; // of floating-point audio: 18 dB above full scale is no recording, but other units

// As in features/definition.py, which says what they mean.
const DEFAULT = {
  kind: "log-mel",
  sample_rate: 16000,
  n_fft: 1024,
  win_length: 800,
  hop_length: 200,
  n_mels: 80,
  fmin: 50,
  fmax: 8000,
  mel_scale: "slaney",
  mel_norm: "slaney",
  mel_triangles: "hz",
  power: 1,
  log: "log10",
  floor: 1e-5,
  floor_by: "max",
  offset: 5,
  scale: 0.2,
  clip_min: null,
  clip_max: null,
  center: true,
  window: "periodic",
  pad_mode: "constant",
  pre_emphasis: 0,
};

/** `definition` with the defaults filled in. Throws RangeError for keys and kinds that are not known here. */
export function complete(definition) {
  const unknown = Object.keys(definition).filter((key) => !(key in DEFAULT));
  if (unknown.length > 0) throw new RangeError(`unknown feature keys: ${unknown.join(", ")}`);
  const full = { ...DEFAULT, ...definition };
  if (full.kind !== "log-mel") throw new RangeError(`features of kind ${full.kind} cannot be computed here`);
  return full;
}

/**
 * Mono audio, Float32Array or Float64Array in [-1, 1] or Int16Array, at `sampleRate` Hz -> Float32Array, n_mels floats
 * a frame, frame after frame. Frame t conditions samples t hop_length to (t + 1) hop_length - 1.
 */
export function logMel(audio, sampleRate, definition) {
  const wanted = complete(definition);
  const samples = resample(mono(audio), sampleRate, wanted.sample_rate);
  const { hop_length: hop, n_fft: size, n_mels: nMels } = wanted;
  const nFrames = Math.ceil(samples.length / hop);
  const features = new Float32Array(nFrames * nMels);
  if (nFrames === 0) return features;
  emphasise(samples, wanted.pre_emphasis);
  const padded = pad(samples, nFrames, wanted);
  const window = hann(wanted);
  const bands = melBands(wanted);
  const fourier = new Fourier(size);
  const re = new Float64Array(size);
  const im = new Float64Array(size);
  const bins = new Float64Array((size >> 1) + 1);
  for (let t = 0; t < nFrames; ++t) {
    for (let i = 0; i < size; ++i) re[i] = padded[t * hop + i] * window[i];
    im.fill(0);
    fourier.forwards(re, im);
    for (let k = 0; k < bins.length; ++k) bins[k] = raised(re[k] * re[k] + im[k] * im[k], wanted.power);
    bands.forEach(({ first, weights }, band) => {
      let sum = 0;
      for (let k = 0; k < weights.length; ++k) sum += weights[k] * bins[first + k];
      features[t * nMels + band] = toFeature(sum, wanted);
    });
  }
  return features;
}

function mono(audio) {
  if (audio instanceof Int16Array) return Float64Array.from(audio, (sample) => sample / 32768);
  if (!(audio instanceof Float32Array || audio instanceof Float64Array)) {
    throw new TypeError("audio must be a Float32Array, a Float64Array or an Int16Array");
  }
  if (!audio.every(Number.isFinite)) throw new RangeError("audio contains NaN or infinite samples");
  if (audio.some((sample) => Math.abs(sample) > LOUDEST)) {
    throw new RangeError("audio of floating point lies in [-1, 1]: divide 16-bit samples by 32768, or pass an Int16Array");
  }
  return Float64Array.from(audio);
}

function emphasise(samples, by) {
  if (by === 0) return;
  for (let i = samples.length - 1; i > 0; --i) samples[i] -= by * samples[i - 1];
}

// Samples with what the windows of all frames see before and behind them.
function pad(samples, nFrames, { hop_length: hop, n_fft: size, center, pad_mode: mode }) {
  const needed = (nFrames - 1) * hop + size;
  const padded = new Float64Array(Math.max(needed, samples.length + size));
  if (center === false) {
    padded.set(samples);
    return padded;
  }
  // Zeros behind the end give every hop its frame; only then comes what the mode says.
  const length = nFrames * hop;
  const before = center === true ? size >> 1 : (size - hop) >> 1;
  const behind = Math.max(0, needed - before - length);
  padded.set(samples, before);
  if (mode === "constant") return padded;
  if (mode === "reflect" && length <= Math.max(before, behind)) {
    throw new RangeError(`reflect padding needs more than ${Math.max(before, behind)} samples`);
  }
  const inside = padded.slice(before, before + length);
  const reflects = mode === "reflect";
  for (let i = 1; i <= before; ++i) padded[before - i] = inside[reflects ? i : 0];
  for (let i = 1; i <= behind; ++i) padded[before + length - 1 + i] = inside[length - 1 - (reflects ? i : 0)];
  return padded;
}

// Zeros, win_length of a Hann window, zeros.
function hann({ win_length: length, n_fft: size, window: kind }) {
  const period = kind === "periodic" ? length : Math.max(length - 1, 1);
  const window = new Float64Array(size);
  const before = (size - length) >> 1;
  for (let i = 0; i < length; ++i) window[before + i] = 0.5 - 0.5 * Math.cos(((2 * Math.PI) / period) * i);
  return window;
}

function raised(square, power) {
  if (power === 1) return Math.sqrt(square);
  return power === 2 ? square : square ** (power / 2);
}

function toFeature(mel, wanted) {
  const floored = wanted.floor_by === "max" ? Math.max(mel, wanted.floor) : mel + wanted.floor;
  let level = floored;
  if (wanted.log === "ln") level = Math.log(floored);
  else if (wanted.log !== "none") level = Math.log10(floored) * (wanted.log === "db" ? 20 / wanted.power : 1);
  const value = (level + wanted.offset) * wanted.scale;
  return Math.min(Math.max(value, wanted.clip_min ?? -Infinity), wanted.clip_max ?? Infinity);
}

// Slaney's scale (Auditory Toolbox, 1998): 15 mels per 1000 Hz, and from 1000 Hz on 27 per factor of 6.4.
const KNEE_HZ = 1000;
const KNEE_MEL = 15;
const PER_E = 27 / Math.log(6.4);

function hzToMel(hz, scale) {
  if (scale === "htk") return 2595 * Math.log10(1 + hz / 700);
  return hz < KNEE_HZ ? (hz * KNEE_MEL) / KNEE_HZ : KNEE_MEL + PER_E * Math.log(hz / KNEE_HZ);
}

function melToHz(mel, scale) {
  if (scale === "htk") return 700 * (10 ** (mel / 2595) - 1);
  return mel < KNEE_MEL ? (mel * KNEE_HZ) / KNEE_MEL : KNEE_HZ * Math.exp((mel - KNEE_MEL) / PER_E);
}

/** Of each band of a whole definition, the first bin that it has and the weights of its bins. */
function melBands(wanted) {
  const { n_mels: nMels, n_fft: size, mel_scale: scale } = wanted;
  const low = hzToMel(wanted.fmin, scale);
  const step = (hzToMel(wanted.fmax, scale) - low) / (nMels + 1);
  const mels = Array.from({ length: nMels + 2 }, (_, i) => low + step * i);
  const edges = mels.map((mel) => melToHz(mel, scale));
  const inHz = wanted.mel_triangles === "hz";
  const sides = inHz ? edges : mels;
  const places = Array.from({ length: (size >> 1) + 1 }, (_, k) => {
    const hz = k * (wanted.sample_rate / size);
    return inHz ? hz : hzToMel(hz, scale);
  });
  return Array.from({ length: nMels }, (_, band) => {
    const [left, middle, right] = sides.slice(band, band + 3);
    const area = wanted.mel_norm === "slaney" ? 2 / (edges[band + 2] - edges[band]) : 1;
    const weights = places.map((place) => {
      const triangle = Math.min((place - left) / (middle - left), (right - place) / (right - middle));
      return Math.fround(Math.max(0, triangle) * area);
    });
    const first = Math.max(0, weights.findIndex((weight) => weight !== 0));
    const last = weights.findLastIndex((weight) => weight !== 0);
    return { first, weights: Float64Array.from(weights.slice(first, last + 1)) };
  });
}
