// Other sample rates, as runtime/linnet/resampling.py does it: a long linear-phase filter, applied to blocks by Fourier
// transforms.

import { Fourier } from "./fourier.js";

const PASS = 0.913; // of the lower rate's band is kept; the filter falls from there to the band's end
const ATTENUATION = 120; // dB of what lies beyond
const BLOCK = 16384; // samples of the input, at least

/** Samples (Float64Array) at `rate` Hz -> ceil(n wanted / rate) samples at `wanted` Hz, without delay. */
export function resample(samples, rate, wanted) {
  for (const each of [rate, wanted]) {
    if (!Number.isInteger(each) || each < 1) {
      throw new RangeError(`a sample rate must be a positive whole number of Hz, not ${each}`);
    }
  }
  if (rate === wanted || samples.length === 0) return samples;
  const common = divisor(rate, wanted);
  const down = rate / common; // samples of a group, before and after
  const up = wanted / common;
  const taps = filter(rate, Math.min(rate, wanted) / 2);
  const half = taps.length >> 1;
  const margin = Math.ceil(half / down); // groups at both ends of a block that its edges disturb
  const groups = Math.max(4 * margin, Math.ceil(BLOCK / down));
  const nIn = groups * down;
  const nOut = groups * up;
  const step = groups - 2 * margin;

  const before = new Fourier(nIn);
  const after = new Fourier(nOut);
  const response = { re: new Float64Array(nIn), im: new Float64Array(nIn) };
  taps.forEach((tap, i) => (response.re[(i - half + nIn) % nIn] = (tap * up) / down));
  before.forwards(response.re, response.im);

  const n = Math.ceil((samples.length * up) / down);
  const blocks = Math.ceil(n / (step * up));
  const result = new Float64Array(blocks * step * up);
  const block = (number, into) => {
    const first = (number * step - margin) * down;
    for (let i = 0; i < nIn; ++i) into[i] = samples[first + i] ?? 0;
  };
  // Two blocks at a time, as the real and the imaginary part of one.
  for (let number = 0; number < blocks; number += 2) {
    const re = new Float64Array(nIn);
    const im = new Float64Array(nIn);
    block(number, re);
    if (number + 1 < blocks) block(number + 1, im);
    before.forwards(re, im);
    const [outRe, outIm] = carried(re, im, response, nIn, nOut);
    after.backwards(outRe, outIm);
    for (const [k, part] of [outRe, outIm].slice(0, blocks - number).entries()) {
      result.set(part.subarray(margin * up, (margin + step) * up), (number + k) * step * up);
    }
  }
  return result.subarray(0, n);
}

// The filtered spectra of two real blocks in one spectrum of another length. What lies beyond the lower rate's band is
// left out, or zeros are added.
function carried(re, im, response, nIn, nOut) {
  const outRe = new Float64Array(nOut);
  const outIm = new Float64Array(nOut);
  const last = Math.min(nIn >> 1, nOut >> 1);
  for (let k = 0; k <= last; ++k) {
    const mirrored = (nIn - k) % nIn;
    const c = response.re[k];
    const s = response.im[k];
    // The spectra of the two blocks, a and b.
    const ar = (re[k] + re[mirrored]) / 2;
    const ai = (im[k] - im[mirrored]) / 2;
    const br = (im[k] + im[mirrored]) / 2;
    const bi = (re[mirrored] - re[k]) / 2;
    const alone = k === 0 || 2 * k === nOut; // of which only the real part can be used
    const [xr, xi] = [ar * c - ai * s, alone ? 0 : ar * s + ai * c];
    const [yr, yi] = [br * c - bi * s, alone ? 0 : br * s + bi * c];
    outRe[k] = (xr - yi) / nIn;
    outIm[k] = (xi + yr) / nIn;
    if (alone) continue;
    outRe[nOut - k] = (xr + yi) / nIn;
    outIm[nOut - k] = (yr - xi) / nIn;
  }
  // Backwards is times nOut, and the response holds up / down = nOut / nIn.
  const scale = nIn / nOut;
  for (let k = 0; k < nOut; ++k) {
    outRe[k] *= scale;
    outIm[k] *= scale;
  }
  return [outRe, outIm];
}

function divisor(a, b) {
  return b === 0 ? a : divisor(b, a % b);
}

// A low-pass at `rate` Hz that ends at `band` Hz, an odd number of taps: Kaiser's design.
function filter(rate, band) {
  const falling = ((1 - PASS) * band) / rate;
  const half = Math.ceil((ATTENUATION - 7.95) / (14.36 * falling) / 2);
  const cutoff = (((1 + PASS) / 2) * band) / rate;
  const beta = 0.1102 * (ATTENUATION - 8.7);
  const taps = Float64Array.from({ length: 2 * half + 1 }, (_, i) => {
    const x = 2 * cutoff * (i - half);
    const sinc = x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
    return sinc * bessel(beta * Math.sqrt(Math.max(0, 1 - ((i - half) / half) ** 2)));
  });
  const sum = taps.reduce((a, b) => a + b);
  return taps.map((tap) => tap / sum);
}

// The modified Bessel function I0, by its series.
function bessel(x) {
  let sum = 1;
  let term = 1;
  for (let k = 1; term > 1e-17 * sum; ++k) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}
