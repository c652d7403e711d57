// What the files with 256-bit products share: wrappers, stored weights, the ends of rows. To be included within a
// target region, once per file, after immintrin.h: every file compiles its own copy for its own instructions.

#pragma once

#if defined(__GNUC__)
#define LINNET_COLD __attribute__((noinline, cold))
#else
#define LINNET_COLD
#endif

#if defined(__clang__)
#define LINNET_UNROLL _Pragma("unroll")
#elif defined(__GNUC__)
#define LINNET_UNROLL _Pragma("GCC unroll 16")
#else
#define LINNET_UNROLL
#endif

namespace linnet {
namespace {

using F4 = __m128;
using F8 = __m256;

inline F8 zero8() { return _mm256_setzero_ps(); }
inline F8 load8(const float* p) { return _mm256_loadu_ps(p); }
inline void store8(float* p, F8 v) { _mm256_storeu_ps(p, v); }
inline F8 all8(float v) { return _mm256_set1_ps(v); }
inline F8 twice4(const float* p) { return _mm256_broadcast_ps(reinterpret_cast<const F4*>(p)); }  // p[0..3], p[0..3]
inline F8 two4(const float* p, const float* q) {                                                  // p[0..3], q[0..3]
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(q), 1);
}
inline F8 add8(F8 a, F8 b) { return _mm256_add_ps(a, b); }
inline F8 fma8(F8 a, F8 b, F8 c) { return _mm256_fmadd_ps(a, b, c); }
inline F4 low4(F8 v) { return _mm256_castps256_ps128(v); }
inline F4 high4(F8 v) { return _mm256_extractf128_ps(v, 1); }

// Within each half: a0 + a1, a2 + a3, b0 + b1, b2 + b3. Faster than haddps, which takes two cycles on Zen 4 (this:
// 0.7).
inline F8 sum_pairs(F8 a, F8 b) { return add8(_mm256_shuffle_ps(a, b, 0x88), _mm256_shuffle_ps(a, b, 0xDD)); }

// (v0 + v1) + (v2 + v3)
inline float sum4(F4 v) {
  v = _mm_add_ps(v, _mm_movehdup_ps(v));
  return _mm_cvtss_f32(_mm_add_ss(v, _mm_movehl_ps(v, v)));
}

inline F4 fold_to_4(F8 low, F8 high) {
  const F8 a = add8(low, high);
  return _mm_add_ps(low4(a), high4(a));
}

inline float fold16(F8 low, F8 high) { return sum4(fold_to_4(low, high)); }

// All bits of the first n lanes.
inline __m256i first_lanes(size_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

// The first n < 8 floats, zeros after them. By a mask: a copy that is read back at once waits for its stores.
inline F8 load_part(const float* p, size_t n) { return _mm256_maskload_ps(p, first_lanes(n)); }

struct F8x2 {
  F8 low, high;
};

inline void store16(float* p, F8x2 v) {
  store8(p, v.low);
  store8(p + 8, v.high);
}

struct F4x2 {
  F4 a, b;
};

// Stored weights, widened. load8 and load16 keep their order. load_pair need not: bf16 comes as quarters 0, 2 | 1, 3 of
// sixteen, which takes one load and two operations where order takes two loads and four operations.
template <Dtype>
struct Weights;

struct InOrder {
  static constexpr int kSecond = 1;  // the quarter that stands in the upper half of a pair's first register
  static F8x2 sorted(F8 low, F8 high) { return {low, high}; }
  // From rows 0, 2 of a, of b | rows 1, 3.
  static F4x2 sorted_rows(F8 ab) {
    return {_mm_unpacklo_ps(low4(ab), high4(ab)), _mm_unpackhi_ps(low4(ab), high4(ab))};
  }
  // The same, side by side in one register.
  static F8 sorted_rows_of_two(F8 ab) {
    return _mm256_permutevar8x32_ps(ab, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  }
};

template <>
struct Weights<Dtype::fp16> : InOrder {
  using Stored = uint16_t;
  static F8 load8(const Stored* p) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
  static F8x2 load16(const Stored* p) { return {load8(p), load8(p + 8)}; }
  static F8x2 load_pair(const Stored* p) { return load16(p); }
};

template <>
struct Weights<Dtype::bf16> {
  using Stored = uint16_t;
  static F8 load8(const Stored* p) {
    const __m128i h = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
  }
  static F8x2 load16(const Stored* p) { return {load8(p), load8(p + 8)}; }
  static F8x2 load_pair(const Stored* p) {
    const __m256i h = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)), zero = _mm256_setzero_si256();
    return {_mm256_castsi256_ps(_mm256_unpacklo_epi16(zero, h)), _mm256_castsi256_ps(_mm256_unpackhi_epi16(zero, h))};
  }
  static constexpr int kSecond = 2;
  static F8x2 sorted(F8 p, F8 q) { return {_mm256_permute2f128_ps(p, q, 0x20), _mm256_permute2f128_ps(p, q, 0x31)}; }
  // From rows 0, 1 of a, of b | rows 2, 3.
  static F4x2 sorted_rows(F8 ab) { return {_mm_movelh_ps(low4(ab), high4(ab)), _mm_movehl_ps(high4(ab), low4(ab))}; }
  static F8 sorted_rows_of_two(F8 ab) { return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(ab), 0xD8)); }
};

template <>
struct Weights<Dtype::fp32> : InOrder {
  using Stored = float;
  static F8 load8(const Stored* p) { return _mm256_loadu_ps(p); }
  static F8x2 load16(const Stored* p) { return {load8(p), load8(p + 8)}; }
  static F8x2 load_pair(const Stored* p) { return load16(p); }
};

constexpr float kZeros[16] = {0};

// y[row .. row + n) = sums + bias, no further than the last row; row may lie beyond it. It is not inlined, so that the
// code of whole blocks stays small.
LINNET_COLD void store_rest(const float* sums, size_t row, size_t n, size_t rows, const float* bias, float* y) {
  for (size_t r = 0; r < n && row + r < rows; ++r) y[row + r] = sums[r] + (bias ? bias[row + r] : 0.0f);
}

inline void store_rows16(size_t row, size_t rows, F8x2 sums, const float* bias, float* y) {
  if (row + 16 <= rows) {
    const float* b = bias ? bias + row : kZeros;
    store8(y + row, add8(sums.low, load8(b)));
    store8(y + row + 8, add8(sums.high, load8(b + 8)));
  } else {
    float t[16];
    store8(t, sums.low);
    store8(t + 8, sums.high);
    store_rest(t, row, 16, rows, bias, y);
  }
}

template <int lane>
inline void store_lane(float* p, F4 v) {
  const int bits = _mm_extract_ps(v, lane);
  memcpy(p, &bits, sizeof bits);
}

// One row of each of a quad's block rows, from two halves of the sum of each: a, a, b, b | c, c, d, d.
inline void store_quad(const Quad& quad, size_t rows, const int (&order)[4], F8 halves, const float* bias, float* y) {
  const F4 low = low4(halves), high = high4(halves);
  F4 sums = _mm_add_ps(_mm_shuffle_ps(low, high, 0x88), _mm_shuffle_ps(low, high, 0xDD));
  const size_t a = quad.block_rows[order[0]], b = quad.block_rows[order[1]];
  const size_t c = quad.block_rows[order[2]], d = quad.block_rows[order[3]];
  if (a < rows && b < rows && c < rows && d < rows) {
    F4 add = _mm_setzero_ps();
    if (bias) {
      const F4 ab = _mm_insert_ps(_mm_load_ss(bias + a), _mm_load_ss(bias + b), 0x10);
      add = _mm_movelh_ps(ab, _mm_insert_ps(_mm_load_ss(bias + c), _mm_load_ss(bias + d), 0x10));
    }
    sums = _mm_add_ps(sums, add);
    _mm_store_ss(y + a, sums);
    store_lane<1>(y + b, sums);
    store_lane<2>(y + c, sums);
    store_lane<3>(y + d, sums);
  } else {
    float t[4];
    _mm_storeu_ps(t, sums);
    for (int q = 0; q < 4; ++q) store_rest(t + q, quad.block_rows[order[q]], 1, rows, bias, y);
  }
}

// The four quarters' sums B[0 .. 4) of two rows, side by side.
inline F8 quarters(F8 a, F8 b) { return add8(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31)); }

// Asks for the n weights 512 bytes after these. Those of a matrix in L2 come too late otherwise, though they are read
// in order. On an Ice Lake server 4x4, 16x1 and 8x4 of 16-bit weights take 11 to 15 % less time with it (256 bytes to 4
// kB ahead alike), dense ones 8 % less, in the faster of its two speeds; by medians 8x4 takes 8 to 12 % less, 4x4 and
// 16x1 2 to 6 % more (docs/benchmarks.md). On Zen 4, 4x4 takes as much as without.
template <int n, class Stored>
inline void prefetch(const Stored* weights) {
  const char* p = reinterpret_cast<const char*>(weights) + 512;
  LINNET_UNROLL
  for (size_t line = 0; line < n * sizeof(Stored); line += 64) _mm_prefetch(p + line, _MM_HINT_T0);
}

// The block columns of one step, by one load: the load ports bound these loops.
struct Columns {
  size_t a, b, c, d;
};

inline Columns load_columns(const uint8_t* p) {
  uint32_t j;
  memcpy(&j, p, sizeof j);
  return {j & 0xFF, j >> 8 & 0xFF, j >> 16 & 0xFF, j >> 24};
}

inline Columns load_columns(const uint16_t* p) {
  uint64_t j;
  memcpy(&j, p, sizeof j);
  return {static_cast<size_t>(j & 0xFFFF), static_cast<size_t>(j >> 16 & 0xFFFF), static_cast<size_t>(j >> 32 & 0xFFFF),
          static_cast<size_t>(j >> 48)};
}

// The pieces of x for one step of 1x4 blocks. Its sixteen weights pay for little: offsets in bytes, four columns of a
// float each, take fewer instructions than columns (9 % of this kernel's time with gcc 12).
inline Columns load_offsets(const uint8_t* p) {
  constexpr uint32_t kOffset = 0xFF0;
  uint32_t j;
  memcpy(&j, p, sizeof j);
  return {j << 4 & kOffset, j >> 4 & kOffset, j >> 12 & kOffset, j >> 20 & kOffset};
}

inline Columns load_offsets(const uint16_t* p) {
  const Columns at = load_columns(p);
  return {at.a << 4, at.b << 4, at.c << 4, at.d << 4};
}

inline const float* at_byte(const float* x, size_t offset) {
  return reinterpret_cast<const float*>(reinterpret_cast<const char*>(x) + offset);
}

}  // namespace
}  // namespace linnet
