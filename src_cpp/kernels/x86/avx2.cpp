// AVX2 + FMA + F16C: 256-bit registers. Long, because one file holds all that is compiled for these instructions.
#include "kernels/sets.h"

#if defined(__x86_64__) || defined(_M_X64)

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "kernels/arithmetic.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

#include "kernels/x86/avx2_common.h"

namespace linnet {
namespace {

// Four rows of each of a quad's block rows.
inline void store_quad_rows4(const Quad& quad, size_t rows, F4x2 ab, F4x2 cd, const float* bias, float* y) {
  const size_t a = quad.block_rows[0], b = quad.block_rows[1], c = quad.block_rows[2], d = quad.block_rows[3];
  const size_t whole = rows / 4;
  if (a < whole && b < whole && c < whole && d < whole) {
    if (bias) {
      _mm_storeu_ps(y + 4 * a, _mm_add_ps(ab.a, _mm_loadu_ps(bias + 4 * a)));
      _mm_storeu_ps(y + 4 * b, _mm_add_ps(ab.b, _mm_loadu_ps(bias + 4 * b)));
      _mm_storeu_ps(y + 4 * c, _mm_add_ps(cd.a, _mm_loadu_ps(bias + 4 * c)));
      _mm_storeu_ps(y + 4 * d, _mm_add_ps(cd.b, _mm_loadu_ps(bias + 4 * d)));
    } else {  // + 0, which turns -0 into +0
      _mm_storeu_ps(y + 4 * a, _mm_add_ps(ab.a, _mm_setzero_ps()));
      _mm_storeu_ps(y + 4 * b, _mm_add_ps(ab.b, _mm_setzero_ps()));
      _mm_storeu_ps(y + 4 * c, _mm_add_ps(cd.a, _mm_setzero_ps()));
      _mm_storeu_ps(y + 4 * d, _mm_add_ps(cd.b, _mm_setzero_ps()));
    }
  } else {
    float t[16];
    _mm_storeu_ps(t, ab.a);
    _mm_storeu_ps(t + 4, ab.b);
    _mm_storeu_ps(t + 8, cd.a);
    _mm_storeu_ps(t + 12, cd.b);
    for (size_t q = 0; q < 4; ++q) store_rest(t + 4 * q, size_t{4} * quad.block_rows[q], 4, rows, bias, y);
  }
}

// One panel of 16 rows: two sets of sums, even and odd columns.
template <Dtype D>
inline void dense_panel(const Matrix& w, size_t panel, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename Weights<D>::Stored*>(w.values) + panel * 16 * w.cols;
  F8 p0 = zero8(), p1 = zero8(), q0 = zero8(), q1 = zero8();
  size_t c = 0;
  for (; c + 2 <= w.cols; c += 2, v += 32) {
    const F8 xa = all8(x[c]), xb = all8(x[c + 1]);
    const F8x2 a = Weights<D>::load_pair(v), b = Weights<D>::load_pair(v + 16);
    p0 = fma8(a.low, xa, p0);
    p1 = fma8(a.high, xa, p1);
    q0 = fma8(b.low, xb, q0);
    q1 = fma8(b.high, xb, q1);
  }
  if (c < w.cols) {
    const F8 xa = all8(x[c]);
    const F8x2 a = Weights<D>::load_pair(v);
    p0 = fma8(a.low, xa, p0);
    p1 = fma8(a.high, xa, p1);
  }
  store_rows16(16 * panel, w.rows, Weights<D>::sorted(add8(p0, q0), add8(p1, q1)), bias, y);
}

// A matrix of few columns, as those of a sample's own inputs: x stays in registers (a third of the time less than below).
template <Dtype D, int cols>
void matvec_narrow(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename Weights<D>::Stored*>(w.values);
  F8 xs[cols];
  LINNET_UNROLL
  for (int c = 0; c < cols; ++c) xs[c] = all8(x[c]);
  for (size_t row = 0; row < w.rows; row += 16, v += 16 * cols) {
    F8 low[2] = {zero8(), zero8()}, high[2] = {zero8(), zero8()};
    LINNET_UNROLL
    for (int c = 0; c < cols; ++c) {
      const F8x2 a = Weights<D>::load_pair(v + 16 * c);
      low[c % 2] = fma8(a.low, xs[c], low[c % 2]);
      high[c % 2] = fma8(a.high, xs[c], high[c % 2]);
    }
    store_rows16(row, w.rows, Weights<D>::sorted(add8(low[0], low[1]), add8(high[0], high[1])), bias, y);
  }
}

// Two panels at a time: eight chains hide the latency of the multiply-add, and x is broadcast once for both.
template <Dtype D>
void matvec_dense(const Matrix& w, const float* x, const float* bias, float* y) {
  switch (w.cols) {
    case 1:
      return matvec_narrow<D, 1>(w, x, bias, y);
    case 2:
      return matvec_narrow<D, 2>(w, x, bias, y);
    case 3:
      return matvec_narrow<D, 3>(w, x, bias, y);
    case 4:
      return matvec_narrow<D, 4>(w, x, bias, y);
    default:
      break;
  }
  using Stored = typename Weights<D>::Stored;
  const size_t panels = (size_t{w.rows} + 15) / 16;
  size_t panel = 0;
  for (; panel + 2 <= panels; panel += 2) {
    const Stored* v = static_cast<const Stored*>(w.values) + panel * 16 * w.cols;
    const Stored* u = v + size_t{16} * w.cols;
    F8 p0 = zero8(), p1 = zero8(), p2 = zero8(), p3 = zero8();
    F8 q0 = zero8(), q1 = zero8(), q2 = zero8(), q3 = zero8();
    size_t c = 0;
    for (; c + 2 <= w.cols; c += 2, v += 32, u += 32) {
      const F8 xa = all8(x[c]), xb = all8(x[c + 1]);
      const F8x2 va = Weights<D>::load_pair(v), ua = Weights<D>::load_pair(u);
      p0 = fma8(va.low, xa, p0);
      p1 = fma8(va.high, xa, p1);
      p2 = fma8(ua.low, xa, p2);
      p3 = fma8(ua.high, xa, p3);
      const F8x2 vb = Weights<D>::load_pair(v + 16), ub = Weights<D>::load_pair(u + 16);
      q0 = fma8(vb.low, xb, q0);
      q1 = fma8(vb.high, xb, q1);
      q2 = fma8(ub.low, xb, q2);
      q3 = fma8(ub.high, xb, q3);
    }
    if (c < w.cols) {
      const F8 xa = all8(x[c]);
      const F8x2 va = Weights<D>::load_pair(v), ua = Weights<D>::load_pair(u);
      p0 = fma8(va.low, xa, p0);
      p1 = fma8(va.high, xa, p1);
      p2 = fma8(ua.low, xa, p2);
      p3 = fma8(ua.high, xa, p3);
    }
    store_rows16(16 * panel, w.rows, Weights<D>::sorted(add8(p0, q0), add8(p1, q1)), bias, y);
    store_rows16(16 * panel + 16, w.rows, Weights<D>::sorted(add8(p2, q2), add8(p3, q3)), bias, y);
  }
  if (panel < panels) dense_panel<D>(w, panel, x, bias, y);
}

// The loops over quads have eight independent chains of multiply-adds, which hides their latency, and nothing is left
// over at a row's end. One such loop runs at the rate at which its loads do: two of weights and one of x per block.

// A register holds two rows of four columns; x[4j .. 4j+4) is broadcast to both halves, so nothing is shuffled per
// block.
template <Dtype D, class Index>
void matvec_4x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename Weights<D>::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  const size_t rows = w.rows;
  for (const Quad *quad = w.quads, *end = quad + w.n_quads; quad != end; ++quad) {
    F8 a0 = zero8(), a1 = zero8(), b0 = zero8(), b1 = zero8();
    F8 c0 = zero8(), c1 = zero8(), d0 = zero8(), d1 = zero8();
    for (uint32_t n = quad->steps; n != 0; --n, j += 4, v += 64) {
      const Columns at = load_columns(j);
      const F8 xa = twice4(x + 4 * at.a), xb = twice4(x + 4 * at.b);
      const F8x2 a = Weights<D>::load_pair(v), b = Weights<D>::load_pair(v + 16);
      a0 = fma8(a.low, xa, a0);
      a1 = fma8(a.high, xa, a1);
      b0 = fma8(b.low, xb, b0);
      b1 = fma8(b.high, xb, b1);
      const F8 xc = twice4(x + 4 * at.c), xd = twice4(x + 4 * at.d);
      const F8x2 c = Weights<D>::load_pair(v + 32), d = Weights<D>::load_pair(v + 48);
      c0 = fma8(c.low, xc, c0);
      c1 = fma8(c.high, xc, c1);
      d0 = fma8(d.low, xd, d0);
      d1 = fma8(d.high, xd, d1);
    }
    const F8 ab = sum_pairs(sum_pairs(a0, a1), sum_pairs(b0, b1));
    const F8 cd = sum_pairs(sum_pairs(c0, c1), sum_pairs(d0, d1));
    store_quad_rows4(*quad, rows, Weights<D>::sorted_rows(ab), Weights<D>::sorted_rows(cd), bias, y);
  }
}

template <Dtype D, class Index>
void matvec_16x1(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename Weights<D>::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  const size_t rows = w.rows;
  for (const Quad *quad = w.quads, *end = quad + w.n_quads; quad != end; ++quad) {
    F8 a0 = zero8(), a1 = zero8(), b0 = zero8(), b1 = zero8();
    F8 c0 = zero8(), c1 = zero8(), d0 = zero8(), d1 = zero8();
    for (uint32_t n = quad->steps; n != 0; --n, j += 4, v += 64) {
      const Columns at = load_columns(j);
      const F8 xa = all8(x[at.a]), xb = all8(x[at.b]);
      const F8x2 a = Weights<D>::load_pair(v), b = Weights<D>::load_pair(v + 16);
      a0 = fma8(a.low, xa, a0);
      a1 = fma8(a.high, xa, a1);
      b0 = fma8(b.low, xb, b0);
      b1 = fma8(b.high, xb, b1);
      const F8 xc = all8(x[at.c]), xd = all8(x[at.d]);
      const F8x2 c = Weights<D>::load_pair(v + 32), d = Weights<D>::load_pair(v + 48);
      c0 = fma8(c.low, xc, c0);
      c1 = fma8(c.high, xc, c1);
      d0 = fma8(d.low, xd, d0);
      d1 = fma8(d.high, xd, d1);
    }
    store_rows16(size_t{16} * quad->block_rows[0], rows, Weights<D>::sorted(a0, a1), bias, y);
    store_rows16(size_t{16} * quad->block_rows[1], rows, Weights<D>::sorted(b0, b1), bias, y);
    store_rows16(size_t{16} * quad->block_rows[2], rows, Weights<D>::sorted(c0, c1), bias, y);
    store_rows16(size_t{16} * quad->block_rows[3], rows, Weights<D>::sorted(d0, d1), bias, y);
  }
}

template <Dtype D, class Index>
void matvec_1x16(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename Weights<D>::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  const size_t rows = w.rows;
  for (const Quad *quad = w.quads, *end = quad + w.n_quads; quad != end; ++quad) {
    F8 a0 = zero8(), a1 = zero8(), b0 = zero8(), b1 = zero8();
    F8 c0 = zero8(), c1 = zero8(), d0 = zero8(), d1 = zero8();
    for (uint32_t n = quad->steps; n != 0; --n, j += 4, v += 64) {
      const Columns at = load_columns(j);
      const float *xa = x + 16 * at.a, *xb = x + 16 * at.b, *xc = x + 16 * at.c, *xd = x + 16 * at.d;
      const F8x2 a = Weights<D>::load16(v), b = Weights<D>::load16(v + 16);
      a0 = fma8(a.low, load8(xa), a0);
      a1 = fma8(a.high, load8(xa + 8), a1);
      b0 = fma8(b.low, load8(xb), b0);
      b1 = fma8(b.high, load8(xb + 8), b1);
      const F8x2 c = Weights<D>::load16(v + 32), d = Weights<D>::load16(v + 48);
      c0 = fma8(c.low, load8(xc), c0);
      c1 = fma8(c.high, load8(xc + 8), c1);
      d0 = fma8(d.low, load8(xd), d0);
      d1 = fma8(d.high, load8(xd + 8), d1);
    }
    const F8 ab = quarters(add8(a0, a1), add8(b0, b1)), cd = quarters(add8(c0, c1), add8(d0, d1));
    store_quad(*quad, rows, {0, 2, 1, 3}, sum_pairs(ab, cd), bias, y);
  }
}

// One step is a block of each of four rows: sixteen weights, and four pieces of x.
template <Dtype D, class Index>
inline void step_1x4(const typename Weights<D>::Stored* v, const Index* j, const float* x, F8* low, F8* high) {
  const F8x2 weights = Weights<D>::load_pair(v);
  const Columns at = load_offsets(j);
  const bool in_order = Weights<D>::kSecond == 1;
  *low = fma8(weights.low, two4(at_byte(x, at.a), at_byte(x, in_order ? at.b : at.c)), *low);
  *high = fma8(weights.high, two4(at_byte(x, in_order ? at.c : at.b), at_byte(x, at.d)), *high);
}

template <Dtype D, class Index>
void matvec_1x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename Weights<D>::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  const size_t rows = w.rows;
  for (const Quad *quad = w.quads, *end = quad + w.n_quads; quad != end; ++quad) {
    F8 even0 = zero8(), even1 = zero8(), odd0 = zero8(), odd1 = zero8();
    uint32_t n = quad->steps;
    for (; n >= 2; n -= 2, j += 8, v += 32) {
      step_1x4<D>(v, j, x, &even0, &even1);
      step_1x4<D>(v + 16, j + 4, x, &odd0, &odd1);
    }
    if (n != 0) {
      step_1x4<D>(v, j, x, &even0, &even1);
      j += 4;
      v += 16;
    }
    constexpr int second = Weights<D>::kSecond;
    store_quad(*quad, rows, {0, 3 - second, second, 3}, sum_pairs(add8(even0, odd0), add8(even1, odd1)), bias, y);
  }
}

// The functions of arithmetic.h, eight at a time.

inline F8 exp8(F8 x) {
  x = _mm256_max_ps(x, all8(kExpLow));  // maxps gives its second operand where x is a NaN
  x = _mm256_min_ps(x, all8(kExpHigh));
  const F8 t = fma8(x, all8(kLog2E), all8(kRound));
  const F8 n = _mm256_sub_ps(t, all8(kRound));
  F8 r = fma8(n, all8(-kLn2High), x);
  r = fma8(n, all8(-kLn2Low), r);
  F8 p = all8(kExp6);
  p = fma8(p, r, all8(kExp5));
  p = fma8(p, r, all8(kExp4));
  p = fma8(p, r, all8(kExp3));
  p = fma8(p, r, all8(kExp2));
  p = fma8(p, r, all8(1.0f));
  p = fma8(p, r, all8(1.0f));
  const __m256i power = _mm256_sub_epi32(_mm256_castps_si256(t), _mm256_castps_si256(all8(kRound)));
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(power, 23)));
}

inline F8 sigmoid8(F8 x) {
  const F8 e = exp8(_mm256_xor_ps(x, all8(-0.0f)));
  return _mm256_div_ps(all8(1.0f), add8(all8(1.0f), e));
}

inline F8 tanh8(F8 x) { return fma8(all8(2.0f), sigmoid8(add8(x, x)), all8(-1.0f)); }

inline F8 relu8(F8 x) { return _mm256_max_ps(x, zero8()); }

inline F8 activate8(Activation activation, F8 x) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return relu8(x);
    case Activation::tanh:
      return tanh8(x);
    case Activation::sigmoid:
      return sigmoid8(x);
    case Activation::exp:
      return exp8(x);
  }
  return x;
}

void finish(uint32_t n, Activation activation, const float* add, float* y) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const F8 v = add ? add8(load8(y + i), load8(add + i)) : load8(y + i);
    store8(y + i, activate8(activation, v));
  }
  if (i < n) {
    const F8 v = add ? add8(load_part(y + i, n - i), load_part(add + i, n - i)) : load_part(y + i, n - i);
    store_part(y + i, activate8(activation, v), n - i);
  }
}

// In pieces: a unit's candidate waits for its reset gate, and the units between are too many to fill that time from the
// reorder buffer (30 % of this kernel's time).
void gates(uint32_t units, uint32_t stride, const float* recurrent, const float* input, float* state) {
  const float *ru = recurrent, *rr = ru + stride, *re = rr + stride;
  const float *iu = input, *ir = iu + stride, *ie = ir + stride;
  constexpr uint32_t kPiece = 64;
  alignas(64) float update[kPiece], candidate[kPiece];
  for (uint32_t start = 0; start < units; start += kPiece) {
    const uint32_t left = units - start, n = left < kPiece ? left : kPiece;
    uint32_t k = 0;
    for (; k + 8 <= n; k += 8) {
      const uint32_t i = start + k;
      store8(update + k, sigmoid8(add8(load8(ru + i), load8(iu + i))));
      const F8 r = sigmoid8(add8(load8(rr + i), load8(ir + i)));
      store8(candidate + k, fma8(r, load8(re + i), load8(ie + i)));
    }
    if (k < n) {
      const uint32_t i = start + k;
      const size_t m = n - k;
      store8(update + k, sigmoid8(add8(load_part(ru + i, m), load_part(iu + i, m))));
      const F8 r = sigmoid8(add8(load_part(rr + i, m), load_part(ir + i, m)));
      store8(candidate + k, fma8(r, load_part(re + i, m), load_part(ie + i, m)));
    }
    float* s = state + start;
    for (k = 0; k + 8 <= n; k += 8) {
      const F8 e = tanh8(load8(candidate + k));
      store8(s + k, fma8(load8(update + k), _mm256_sub_ps(load8(s + k), e), e));
    }
    if (k < n) {
      const F8 e = tanh8(load8(candidate + k));
      store_part(s + k, fma8(load8(update + k), _mm256_sub_ps(load_part(s + k, n - k), e), e), n - k);
    }
  }
}

float exponentials(uint32_t n, float inverse_temperature, const float* logits, float* e, float* groups) {
  F8 most = all8(-INFINITY);
  uint32_t i = 0;
  for (; i + 8 <= n; i += 8) most = _mm256_max_ps(load8(logits + i), most);
  const F4 half = _mm_max_ps(low4(most), high4(most));
  const F4 pair = _mm_max_ps(half, _mm_movehl_ps(half, half));
  float greatest = _mm_cvtss_f32(_mm_max_ss(pair, _mm_movehdup_ps(pair)));
  for (; i < n; ++i) greatest = logits[i] > greatest ? logits[i] : greatest;

  const F8 m = all8(greatest), s = all8(inverse_temperature);
  uint32_t g = 0;
  for (; g + kGroup <= n; g += kGroup) {
    const F8 low = exp8(_mm256_mul_ps(_mm256_sub_ps(load8(logits + g), m), s));
    const F8 high = exp8(_mm256_mul_ps(_mm256_sub_ps(load8(logits + g + 8), m), s));
    store8(e + g, low);
    store8(e + g + 8, high);
    groups[g / kGroup] = fold16(low, high);
  }
  if (g < n) {
    F8 part[2];
    for (uint32_t h = 0; h < 2; ++h) {
      const uint32_t at = g + 8 * h;
      const size_t left = at < n ? n - at : 0;  // of 16 at most
      const F8 l = load_part(logits + at, left);
      part[h] = _mm256_and_ps(exp8(_mm256_mul_ps(_mm256_sub_ps(l, m), s)), _mm256_castsi256_ps(first_lanes(left)));
      store8(e + at, part[h]);
    }
    groups[g / kGroup] = fold16(part[0], part[1]);
  }
  return greatest;
}

void upsample(uint32_t n_rows, uint32_t window, uint32_t channels, const float* weights, const float* in,
              uint32_t row_stride, float* out) {
  for (uint32_t i = 0; i < n_rows; ++i) {
    const float* row = weights + size_t{i} * window;
    float* y = out + size_t{i} * row_stride;
    uint32_t c = 0;
    for (; c + 8 <= channels; c += 8) {
      F8 sum = zero8();
      for (uint32_t j = 0; j < window; ++j) sum = fma8(all8(row[j]), load8(in + size_t{j} * channels + c), sum);
      store8(y + c, sum);
    }
    for (; c < channels; ++c) {
      float sum = 0.0f;
      for (uint32_t j = 0; j < window; ++j) sum = fmaf(row[j], in[size_t{j} * channels + c], sum);
      y[c] = sum;
    }
  }
}

template <Dtype D>
void widen_as(uint32_t n, const void* values, float* out) {
  const auto* v = static_cast<const typename Weights<D>::Stored*>(values);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const F8x2 w = Weights<D>::load16(v + i);
    store8(out + i, w.low);
    store8(out + i + 8, w.high);
  }
  for (; i + 8 <= n; i += 8) store8(out + i, Weights<D>::load8(v + i));
  if (i < n) {
    typename Weights<D>::Stored rest[8] = {};
    memcpy(rest, v + i, (n - i) * sizeof *v);
    store_part(out + i, Weights<D>::load8(rest), n - i);
  }
}

void widen(uint32_t n, Dtype dtype, const void* values, float* out) {
  switch (dtype) {
    case Dtype::fp16:
      return widen_as<Dtype::fp16>(n, values, out);
    case Dtype::bf16:
      return widen_as<Dtype::bf16>(n, values, out);
    case Dtype::fp32:
      return widen_as<Dtype::fp32>(n, values, out);
  }
}

// Adds the products of sixteen weights. Those in bf16 come with one load: the upper halves of eight words, and the
// lower ones.
template <Dtype D>
inline void add_products(const typename Weights<D>::Stored* v, F8 x, F8* s0, F8* s1) {
  if (D == Dtype::bf16) {
    const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(v));
    const __m256i upper = _mm256_and_si256(words, _mm256_set1_epi32(static_cast<int>(0xFFFF0000u)));
    *s0 = fma8(_mm256_castsi256_ps(_mm256_slli_epi32(words, 16)), x, *s0);
    *s1 = fma8(_mm256_castsi256_ps(upper), x, *s1);
  } else {
    *s0 = fma8(Weights<D>::load8(v), x, *s0);
    *s1 = fma8(Weights<D>::load8(v + 8), x, *s1);
  }
}

// Eight chains in registers: enough to hide the latency of the multiply-add (4 cycles, two a cycle).
template <Dtype D>
float stream_of(size_t n, const void* values) {
  const F8 x = all8(0.5f);
  F8 s0 = zero8(), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
  const auto* v = static_cast<const typename Weights<D>::Stored*>(values);
  for (const auto* end = v + n; v != end; v += 64) {
    add_products<D>(v, x, &s0, &s1);
    add_products<D>(v + 16, x, &s2, &s3);
    add_products<D>(v + 32, x, &s4, &s5);
    add_products<D>(v + 48, x, &s6, &s7);
  }
  return fold16(add8(add8(s0, s1), add8(s2, s3)), add8(add8(s4, s5), add8(s6, s7)));
}

float stream(size_t n, Dtype dtype, const void* values) {
  switch (dtype) {
    case Dtype::fp16:
      return stream_of<Dtype::fp16>(n, values);
    case Dtype::bf16:
      return stream_of<Dtype::bf16>(n, values);
    case Dtype::fp32:
      break;
  }
  return stream_of<Dtype::fp32>(n, values);
}

// Kernels by the width of their column indices.
template <MatvecFn narrow, MatvecFn wide>
void by_index_width(const Matrix& w, const float* x, const float* bias, float* y) {
  (w.index_width == 1 ? narrow : wide)(w, x, bias, y);
}

template <Dtype D>
void overlay_matvec(Kernels* kernels) {
  constexpr size_t d = static_cast<size_t>(D) - static_cast<size_t>(Dtype::fp16);
  const MatvecFn by_layout[kMatrixLayouts] = {
      matvec_dense<D>,
      by_index_width<matvec_4x4<D, uint8_t>, matvec_4x4<D, uint16_t>>,
      by_index_width<matvec_16x1<D, uint8_t>, matvec_16x1<D, uint16_t>>,
      by_index_width<matvec_1x16<D, uint8_t>, matvec_1x16<D, uint16_t>>,
      by_index_width<matvec_1x4<D, uint8_t>, matvec_1x4<D, uint16_t>>,
  };
  for (size_t l = 0; l < kMatrixLayouts; ++l) kernels->matvec[l][d] = by_layout[l];
}

}  // namespace

void overlay_avx2(Kernels* kernels) {
  overlay_matvec<Dtype::fp16>(kernels);
  overlay_matvec<Dtype::bf16>(kernels);
  overlay_matvec<Dtype::fp32>(kernels);
  kernels->finish = finish;
  kernels->gates = gates;
  kernels->exponentials = exponentials;
  kernels->upsample = upsample;
  kernels->widen = widen;
  kernels->stream = stream;
  overlay_avx2_matvecs(kernels);
}

}  // namespace linnet

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#endif
