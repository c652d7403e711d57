// Fourier's transform of a frame and back (export/FORMAT.md, "Match"), once for all sets. Its stages are made two by
// two, of four numbers in registers: the same sums and products as one by one. Beside F, kWidth, all, load, store, add,
// sub and mul, as in functions.h, a struct V of wrappers has here:
//
//   root                              the square root
//   reverse                           the last lane first
//   load_pairs(p, &a, &b)             p[0], p[2], ... and p[1], p[3], ...
//   store_pairs(p, a, b)              a[0], b[0], a[1], b[1], ...
//   store_turned<k>(p, a, b, c, d)    a[0 .. k), b[0 .. k), c[0 .. k), d[0 .. k), a[k .. 2 k), ...; k: 1, and 4
//                                     where kWidth is more
//
// To be included within a target region, once per file.
#pragma once

#include <math.h>
#include <string.h>

#include "kernels/arithmetic.h"
#include "kernels/contract.h"
#include "kernels/fourier.h"

namespace linnet {
namespace {

// One number at a time: the definition, and frames that are too short for registers.
struct OneLane {
  using F = float;
  static constexpr uint32_t kWidth = 1;
  static F all(float v) { return v; }
  static F load(const float* p) { return *p; }
  static void store(float* p, F v) { *p = v; }
  static F add(F a, F b) { return a + b; }
  static F sub(F a, F b) { return a - b; }
  static F mul(F a, F b) { return a * b; }
  static F root(F v) { return sqrtf(v); }
  static F reverse(F v) { return v; }
  static void load_pairs(const float* p, F* a, F* b) {
    *a = p[0];
    *b = p[1];
  }
  static void store_pairs(float* p, F a, F b) {
    p[0] = a;
    p[1] = b;
  }
};

template <class V>
struct Complex {
  typename V::F re, im;
};

template <class V>
LINNET_INLINE Complex<V> load_complex(const float* re, const float* im) {
  return {V::load(re), V::load(im)};
}

template <class V>
LINNET_INLINE void store_complex(float* re, float* im, Complex<V> v) {
  V::store(re, v.re);
  V::store(im, v.im);
}

template <class V>
LINNET_INLINE Complex<V> plus(Complex<V> a, Complex<V> b) {
  return {V::add(a.re, b.re), V::add(a.im, b.im)};
}

// (a - b) (c - i s)
template <class V>
LINNET_INLINE Complex<V> rotated_difference(Complex<V> a, Complex<V> b, Complex<V> w) {
  const typename V::F re = V::sub(a.re, b.re), im = V::sub(a.im, b.im);
  return {V::add(V::mul(re, w.re), V::mul(im, w.im)), V::sub(V::mul(im, w.re), V::mul(re, w.im))};
}

template <class V>
struct Four {
  Complex<V> a, b, c, d;
};

// Of the two butterflies of a first stage, and of both of a second.
template <class V>
struct Twiddles {
  Complex<V> first, first_too, second;
};

// Two stages of four numbers that stand m / 4 apart; the results stand a stride apart.
template <class V>
LINNET_INLINE Four<V> two_stages(Four<V> x, Twiddles<V> w) {
  const Complex<V> a = plus<V>(x.a, x.c), b = rotated_difference<V>(x.a, x.c, w.first);
  const Complex<V> c = plus<V>(x.b, x.d), d = rotated_difference<V>(x.b, x.d, w.first_too);
  return {plus<V>(a, c), plus<V>(b, d), rotated_difference<V>(a, c, w.second), rotated_difference<V>(b, d, w.second)};
}

// Rows of m complex numbers.
struct Rows {
  float *re, *im;
};

// What a pass reads: rows, or pairs of real and imaginary parts.
template <class V>
struct FromRows {
  const float *re, *im;
  LINNET_INLINE Complex<V> at(uint32_t i) const { return load_complex<V>(re + i, im + i); }
};

template <class V>
struct FromPairs {
  const float* x;
  LINNET_INLINE Complex<V> at(uint32_t i) const {
    Complex<V> v;
    V::load_pairs(x + 2 * size_t{i}, &v.re, &v.im);
    return v;
  }
};

template <class V, class From>
LINNET_INLINE Four<V> four_of(From from, uint32_t i, uint32_t quarter) {
  return {from.at(i), from.at(i + quarter), from.at(i + 2 * quarter), from.at(i + 3 * quarter)};
}

// The pass whose stride is kStride, less than a register's width; w (6, m / 4).
template <class V, uint32_t kStride, class From>
void pass_within(uint32_t m, const float* w, From from, Rows y) {
  const uint32_t quarter = m / 4;
  for (uint32_t i = 0; i < quarter; i += V::kWidth) {
    const auto both = [&](uint32_t k) { return load_complex<V>(w + k * quarter + i, w + (k + 1) * quarter + i); };
    const Four<V> made = two_stages<V>(four_of<V>(from, i, quarter), {both(0), both(2), both(4)});
    V::template store_turned<kStride>(y.re + 4 * size_t{i}, made.a.re, made.b.re, made.c.re, made.d.re);
    V::template store_turned<kStride>(y.im + 4 * size_t{i}, made.a.im, made.b.im, made.c.im, made.d.im);
  }
}

// A pass whose stride is a register's width or more; twiddles as a Fourier's.
template <class V, class From>
void pass_between(uint32_t m, uint32_t stride, const float* twiddles, From from, Rows y) {
  const uint32_t quarter = m / 4;
  const auto both = [&](uint32_t k) { return Complex<V>{V::all(twiddles[k]), V::all(twiddles[m + k])}; };
  for (uint32_t first = 0; first < quarter; first += stride) {
    const Twiddles<V> w = {both(2 * first), both(2 * first + m / 2), both(4 * first)};
    float *re = y.re + 3 * first, *im = y.im + 3 * first;
    for (uint32_t i = first; i < first + stride; i += V::kWidth) {
      const Four<V> made = two_stages<V>(four_of<V>(from, i, quarter), w);
      store_complex<V>(re + i, im + i, made.a);
      store_complex<V>(re + i + stride, im + i + stride, made.b);
      store_complex<V>(re + i + 2 * stride, im + i + 2 * stride, made.c);
      store_complex<V>(re + i + 3 * stride, im + i + 3 * stride, made.d);
    }
  }
}

// Where the number of stages is odd, the last of them, in place.
template <class V>
void last_stage(uint32_t m, const float* twiddles, Rows y) {
  const Complex<V> w = {V::all(twiddles[0]), V::all(twiddles[m])};
  for (uint32_t i = 0; i < m / 2; i += V::kWidth) {
    const Complex<V> a = load_complex<V>(y.re + i, y.im + i), b = load_complex<V>(y.re + m / 2 + i, y.im + m / 2 + i);
    store_complex<V>(y.re + i, y.im + i, plus<V>(a, b));
    store_complex<V>(y.re + m / 2 + i, y.im + m / 2 + i, rotated_difference<V>(a, b, w));
  }
}

// From `from` to y and back and forth between y and `other`; returns where the result is.
template <class V, class From>
Rows transform(const Fourier& fourier, From from, Rows y, Rows other) {
  const uint32_t m = fourier.n / 2;
  const auto next = [&](uint32_t stride) {
    pass_between<V>(m, stride, fourier.twiddles, FromRows<V>{y.re, y.im}, other);
    const Rows made = other;
    other = y;
    y = made;
  };
  uint32_t stride = 4;
  if constexpr (V::kWidth == 1) {
    pass_between<V>(m, 1, fourier.twiddles, from, y);
  } else {
    pass_within<V, 1>(m, fourier.first_twiddles, from, y);
    if constexpr (V::kWidth > 4) {
      pass_within<V, 4>(m, fourier.first_twiddles + 6 * size_t{m / 4}, FromRows<V>{y.re, y.im}, other);
      const Rows made = other;
      other = y;
      y = made;
      stride = 16;
    }
  }
  for (; stride <= m / 4; stride *= 4) next(stride);
  if (stride < m) last_stage<V>(m, fourier.twiddles, y);
  return y;
}

template <class V>
LINNET_INLINE typename V::F size_of(Complex<V> v, uint32_t power) {
  const typename V::F square = V::add(V::mul(v.re, v.re), V::mul(v.im, v.im));
  return power == 1 ? V::root(square) : square;
}

template <class V>
LINNET_INLINE Complex<V> reversed(Complex<V> v) {
  return {V::reverse(v.re), V::reverse(v.im)};
}

// From the transform of the complex numbers to bins, and their sizes. Bins k on and m - k down: where both meet, at
// m / 2, the latter stays.
template <class V>
void find_bins(const Fourier& fourier, Rows z, uint32_t power, float* sizes) {
  using F = typename V::F;
  const uint32_t m = fourier.n / 2;
  float *re = fourier.re, *im = fourier.im;
  const float first_re = z.re[0], first_im = z.im[0];
  for (uint32_t k = 1; k <= m / 2; k += V::kWidth) {
    const uint32_t l = m - k - (V::kWidth - 1);
    const Complex<V> a = load_complex<V>(z.re + k, z.im + k), b = reversed<V>(load_complex<V>(z.re + l, z.im + l));
    const Complex<V> w = load_complex<V>(fourier.twiddles + k, fourier.twiddles + m + k);
    const F er = V::add(a.re, b.re), ei = V::sub(a.im, b.im);  // twice the transform of the even numbers
    const F dr = V::sub(a.re, b.re), di = V::add(a.im, b.im);  // 2 i times that of the odd ones
    const F tr = V::sub(V::mul(di, w.re), V::mul(dr, w.im)), ti = V::add(V::mul(dr, w.re), V::mul(di, w.im));
    const F half = V::all(0.5f);
    const Complex<V> up = {V::mul(half, V::add(er, tr)), V::mul(half, V::sub(ei, ti))};
    const Complex<V> down = {V::mul(half, V::sub(er, tr)), V::mul(V::all(-0.5f), V::add(ei, ti))};
    store_complex<V>(re + k, im + k, up);
    V::store(sizes + k, size_of<V>(up, power));
    store_complex<V>(re + l, im + l, reversed<V>(down));
    V::store(sizes + l, V::reverse(size_of<V>(down, power)));
  }
  re[0] = first_re + first_im;
  re[m] = first_re - first_im;
  im[0] = im[m] = 0.0f;
  sizes[0] = size_of<OneLane>({re[0], im[0]}, power);
  sizes[m] = size_of<OneLane>({re[m], im[m]}, power);
}

// The other way, with a gain for every bin.
template <class V>
void gather_bins(const Fourier& fourier, const float* gain) {
  using F = typename V::F;
  const uint32_t m = fourier.n / 2;
  float *re = fourier.re, *im = fourier.im;
  const float first = re[0] * gain[0], last = re[m] * gain[m];
  for (uint32_t k = 1; k <= m / 2; k += V::kWidth) {
    const uint32_t l = m - k - (V::kWidth - 1);
    const F up = V::load(gain + k), down = V::load(gain + l);
    Complex<V> a = load_complex<V>(re + k, im + k), b = load_complex<V>(re + l, im + l);
    a = {V::mul(a.re, up), V::mul(a.im, up)};
    b = reversed<V>({V::mul(b.re, down), V::mul(b.im, down)});
    const Complex<V> w = load_complex<V>(fourier.twiddles + k, fourier.twiddles + m + k);
    const F er = V::add(a.re, b.re), ei = V::sub(a.im, b.im);
    const F dr = V::sub(a.re, b.re), di = V::add(a.im, b.im);
    const F tr = V::sub(V::mul(dr, w.re), V::mul(di, w.im)), ti = V::add(V::mul(di, w.re), V::mul(dr, w.im));
    store_complex<V>(re + k, im + k, {V::sub(er, ti), V::add(ei, tr)});
    store_complex<V>(re + l, im + l, reversed<V>({V::add(er, ti), V::sub(tr, ei)}));
  }
  re[0] = first + last;
  im[0] = first - last;
}

template <class V>
void apply_window(const Fourier& fourier, uint32_t size, const float* signal, const float* window) {
  const uint32_t edge = (fourier.n - size) / 2;
  float* frame = fourier.frame + edge;
  memset(fourier.frame, 0, edge * sizeof *frame);
  uint32_t j = 0;
  for (; j + V::kWidth <= size; j += V::kWidth) V::store(frame + j, V::mul(V::load(signal + j), V::load(window + j)));
  for (; j < size; ++j) frame[j] = signal[j] * window[j];
  memset(frame + size, 0, edge * sizeof *frame);
}

// Registers take a quarter of the complex numbers at least.
template <class V>
LINNET_INLINE bool too_short(const Fourier& fourier) {
  return fourier.n < 8 * V::kWidth;
}

template <class V>
void spectrum(const Fourier& fourier, uint32_t power, uint32_t size, const float* signal, const float* window,
              float* sizes) {
  if constexpr (V::kWidth > 1) {
    if (too_short<V>(fourier)) return spectrum<OneLane>(fourier, power, size, signal, window, sizes);
  }
  apply_window<V>(fourier, size, signal, window);
  const Rows z =
      transform<V>(fourier, FromPairs<V>{fourier.frame}, {fourier.re, fourier.im}, {fourier.re2, fourier.im2});
  find_bins<V>(fourier, z, power, sizes);
}

template <class V>
void from_spectrum(const Fourier& fourier, const float* gain) {
  if constexpr (V::kWidth > 1) {
    if (too_short<V>(fourier)) return from_spectrum<OneLane>(fourier, gain);
  }
  gather_bins<V>(fourier, gain);
  // Real and imaginary parts exchanged, it is the inverse.
  const Rows z =
      transform<V>(fourier, FromRows<V>{fourier.im, fourier.re}, {fourier.re2, fourier.im2}, {fourier.re, fourier.im});
  for (uint32_t j = 0; j < fourier.n / 2; j += V::kWidth)
    V::store_pairs(fourier.frame + 2 * size_t{j}, V::load(z.im + j), V::load(z.re + j));
}

}  // namespace
}  // namespace linnet
