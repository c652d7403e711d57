// Fourier transforms of any length in double precision: by halves where it is a power of two, else by a convolution
// (Bluestein 1970, "A linear filtering approach to the computation of discrete Fourier transform").

export class Fourier {
  #n;
  #cosines; // of the n-th part of a turn, half a turn
  #sines;
  #bluestein = null;

  constructor(n) {
    this.#n = n;
    if ((n & (n - 1)) === 0) {
      this.#cosines = Float64Array.from({ length: n / 2 }, (_, k) => Math.cos((2 * Math.PI * k) / n));
      this.#sines = Float64Array.from({ length: n / 2 }, (_, k) => Math.sin((2 * Math.PI * k) / n));
    } else {
      this.#bluestein = new Bluestein(n);
    }
  }

  /** Transform n complex numbers in place: the sum over j of x[j] exp(-2 pi i j k / n). */
  forwards(re, im) {
    if (this.#bluestein) this.#bluestein.forwards(re, im);
    else this.#halves(re, im);
  }

  /** Back again, times n. */
  backwards(re, im) {
    this.forwards(im, re);
  }

  #halves(re, im) {
    const n = this.#n;
    for (let i = 1, j = 0; i < n; ++i) {
      let bit = n >> 1;
      for (; j & bit; bit >>= 1) j ^= bit;
      j ^= bit;
      if (i < j) {
        [re[i], re[j]] = [re[j], re[i]];
        [im[i], im[j]] = [im[j], im[i]];
      }
    }
    for (let size = 2; size <= n; size *= 2) {
      const half = size / 2;
      const stride = n / size;
      for (let start = 0; start < n; start += size) {
        for (let k = 0; k < half; ++k) {
          const c = this.#cosines[k * stride];
          const s = this.#sines[k * stride];
          const a = start + k;
          const b = a + half;
          const r = re[b] * c + im[b] * s;
          const i = im[b] * c - re[b] * s;
          re[b] = re[a] - r;
          im[b] = im[a] - i;
          re[a] += r;
          im[a] += i;
        }
      }
    }
  }
}

class Bluestein {
  #n;
  #m; // a power of two that holds the convolution
  #fourier;
  #cosines; // of k^2 half turns by n
  #sines;
  #chirp; // its spectrum

  constructor(n) {
    this.#n = n;
    this.#m = 1;
    while (this.#m < 2 * n - 1) this.#m *= 2;
    this.#fourier = new Fourier(this.#m);
    // k^2 modulo 2 n, which keeps the angle exact.
    const angle = (k) => (Math.PI * ((k * k) % (2 * n))) / n;
    this.#cosines = Float64Array.from({ length: n }, (_, k) => Math.cos(angle(k)));
    this.#sines = Float64Array.from({ length: n }, (_, k) => Math.sin(angle(k)));
    const re = new Float64Array(this.#m);
    const im = new Float64Array(this.#m);
    for (let k = 0; k < n; ++k) {
      re[k] = re[(this.#m - k) % this.#m] = this.#cosines[k];
      im[k] = im[(this.#m - k) % this.#m] = this.#sines[k];
    }
    this.#fourier.forwards(re, im);
    this.#chirp = { re, im };
  }

  forwards(re, im) {
    const m = this.#m;
    const xr = new Float64Array(m);
    const xi = new Float64Array(m);
    for (let k = 0; k < this.#n; ++k) {
      xr[k] = re[k] * this.#cosines[k] + im[k] * this.#sines[k];
      xi[k] = im[k] * this.#cosines[k] - re[k] * this.#sines[k];
    }
    this.#fourier.forwards(xr, xi);
    for (let k = 0; k < m; ++k) {
      const r = xr[k] * this.#chirp.re[k] - xi[k] * this.#chirp.im[k];
      xi[k] = (xr[k] * this.#chirp.im[k] + xi[k] * this.#chirp.re[k]) / m;
      xr[k] = r / m;
    }
    this.#fourier.backwards(xr, xi);
    for (let k = 0; k < this.#n; ++k) {
      re[k] = xr[k] * this.#cosines[k] + xi[k] * this.#sines[k];
      im[k] = xi[k] * this.#cosines[k] - xr[k] * this.#sines[k];
    }
  }
}
