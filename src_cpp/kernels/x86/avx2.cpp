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

#include "kernels/all_pole.h"
#include "kernels/functions.h"
#include "kernels/transforms.h"
#include "kernels/x86/avx2_8x4.h"
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

// A matrix of few columns, as those of a sample's own inputs: x stays in registers (a third of the time less than
// below).
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
      prefetch<32>(v);
      prefetch<32>(u);
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

// The loops over quads have eight independent chains of multiply-adds, which hide their latency, and no partial block
// is left at a row's end. Such a loop is bound by its loads: two of weights and one of x for each block.

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
    for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 64) {
      prefetch<64>(v);
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
    for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 64) {
      prefetch<64>(v);
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
    for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 64) {
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
    uint32_t n = quad->depth;
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

// The wrappers of functions.h and transforms.h.
struct Avx2 {
  using F = F8;
  static constexpr uint32_t kWidth = 8;
  static F all(float v) { return all8(v); }
  static F load(const float* p) { return load8(p); }
  static void store(float* p, F v) { store8(p, v); }
  static F load_part(const float* p, size_t n) { return linnet::load_part(p, n); }
  static void store_part(float* p, F v, size_t n) {
    float t[8];
    store8(t, v);
    memcpy(p, t, n * sizeof *t);
  }
  static F add(F a, F b) { return add8(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F fma(F a, F b, F c) { return fma8(a, b, c); }
  static F divide(F a, F b) { return _mm256_div_ps(a, b); }
  static F negate(F v) { return _mm256_xor_ps(v, all8(-0.0f)); }
  static F greater(F a, F b) { return _mm256_max_ps(a, b); }  // maxps gives its second operand where one is a NaN
  static F less(F a, F b) { return _mm256_min_ps(a, b); }
  static F shift_in(F p, F t) {
    const __m256i power = _mm256_sub_epi32(_mm256_castps_si256(t), _mm256_castps_si256(all8(kRound)));
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(power, 23)));
  }
  static F split(F x, F* n) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i power = _mm256_srli_epi32(_mm256_sub_epi32(bits, _mm256_set1_epi32(kTwoThirds)), 23);
    const __m256i times = _mm256_sub_epi32(power, _mm256_set1_epi32(126));
    *n = _mm256_cvtepi32_ps(times);
    return _mm256_castsi256_ps(_mm256_sub_epi32(bits, _mm256_slli_epi32(times, 23)));
  }
  static F keep(F v, size_t n) { return _mm256_and_ps(v, _mm256_castsi256_ps(first_lanes(n))); }
  static float greatest(F v) {
    const F4 half = _mm_max_ps(low4(v), high4(v)), pair = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(pair, _mm_movehdup_ps(pair)));
  }
  static float fold(const F (&v)[2]) { return fold16(v[0], v[1]); }

  static F root(F v) { return _mm256_sqrt_ps(v); }
  static F reverse(F v) { return _mm256_permutevar8x32_ps(v, _mm256_setr_epi32(7, 6, 5, 4, 3, 2, 1, 0)); }
  static F low_halves(F a, F b) { return _mm256_permute2f128_ps(a, b, 0x20); }
  static F high_halves(F a, F b) { return _mm256_permute2f128_ps(a, b, 0x31); }
  static void load_pairs(const float* p, F* a, F* b) {
    const F low = two4(p, p + 8), high = two4(p + 4, p + 12);
    *a = _mm256_shuffle_ps(low, high, 0x88);
    *b = _mm256_shuffle_ps(low, high, 0xDD);
  }
  static void store_pairs(float* p, F a, F b) {
    const F low = _mm256_unpacklo_ps(a, b), high = _mm256_unpackhi_ps(a, b);
    store8(p, low_halves(low, high));
    store8(p + 8, high_halves(low, high));
  }
  template <uint32_t kPiece>
  static void store_turned(float* p, F a, F b, F c, F d) {
    if constexpr (kPiece == 1) {
      const F ab = _mm256_unpacklo_ps(a, b), cd = _mm256_unpacklo_ps(c, d);
      const F ab2 = _mm256_unpackhi_ps(a, b), cd2 = _mm256_unpackhi_ps(c, d);
      a = _mm256_shuffle_ps(ab, cd, 0x44);
      b = _mm256_shuffle_ps(ab, cd, 0xEE);
      c = _mm256_shuffle_ps(ab2, cd2, 0x44);
      d = _mm256_shuffle_ps(ab2, cd2, 0xEE);
    }
    store8(p, low_halves(a, b));
    store8(p + 8, low_halves(c, d));
    store8(p + 16, high_halves(a, b));
    store8(p + 24, high_halves(c, d));
  }
};

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
float stream_limit(size_t n, const void* values) {
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

template <Dtype D>
void overlay(Kernels* kernels) {
  auto& matvec = kernels->matvec;
  matvec[Layout::dense][D] = matvec_dense<D>;
  matvec[Layout::block_4x4][D] = by_index_width<matvec_4x4<D, uint8_t>, matvec_4x4<D, uint16_t>>;
  matvec[Layout::block_16x1][D] = by_index_width<matvec_16x1<D, uint8_t>, matvec_16x1<D, uint16_t>>;
  matvec[Layout::block_8x4][D] = by_index_width<matvec_8x4<D, uint8_t, 2>, matvec_8x4<D, uint16_t, 2>>;
  matvec[Layout::block_1x16][D] = by_index_width<matvec_1x16<D, uint8_t>, matvec_1x16<D, uint16_t>>;
  matvec[Layout::block_1x4][D] = by_index_width<matvec_1x4<D, uint8_t>, matvec_1x4<D, uint16_t>>;
  kernels->widen[D] = widen<Weights<D>>;
  kernels->stream_limit[D] = stream_limit<D>;
}

}  // namespace

void overlay_avx2(Kernels* kernels) {
  overlay<Dtype::fp16>(kernels);
  overlay<Dtype::bf16>(kernels);
  overlay<Dtype::fp32>(kernels);
  kernels->activate = activate<Avx2>;
  kernels->gates = gates_in_pieces<Avx2, 64>;
  kernels->exponentials = exponentials<Avx2>;
  kernels->upsample = upsample<Avx2>;
  kernels->harmonics = harmonics<Avx2>;
  kernels->all_pole = all_pole;
  kernels->spectrum = spectrum<Avx2>;
  kernels->from_spectrum = from_spectrum<Avx2>;
  kernels->corrections = corrections<Avx2>;
  kernels->put_piece = put_piece<Avx2>;
  overlay_avx2_matvecs(kernels);
  overlay_avx2_int8(kernels);
}

}  // namespace linnet

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#endif
