// NEON with VFPv4 on 32-bit Arm (Cortex-A7, A15 and later): 128-bit registers. Long, because one file holds all that
// is compiled for these instructions.
//
// This NEON flushes subnormal operands and results to zero, which the arithmetic contract forbids; but it says so.
// "Advanced SIMD instructions set each cumulative exception bit if the corresponding exception occurs" (Arm
// Architecture Reference Manual, ARMv7-A, FPSCR): a flushed operand sets IDC, a flushed result UFC. So every kernel
// runs with these bits cleared, and where one of them is set afterwards, the portable kernel (VFP, which keeps
// subnormals) computes it again.
#include "kernels/sets.h"

#if defined(LINNET_NEON_VFPV4)

#include <math.h>
#include <string.h>

#include "kernels/arithmetic.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("neon,vfp4,fp16"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("fpu=neon-vfpv4")
#endif

#include <arm_neon.h>  // within the region: GCC's offers only what the region has

namespace linnet {
namespace {

using F4 = float32x4_t;

inline F4 zero4() { return vdupq_n_f32(0.0f); }
inline F4 load4(const float* p) { return vld1q_f32(p); }
inline void store4(float* p, F4 v) { vst1q_f32(p, v); }
inline F4 all4(float v) { return vdupq_n_f32(v); }
inline F4 add4(F4 a, F4 b) { return vaddq_f32(a, b); }
inline F4 sub4(F4 a, F4 b) { return vsubq_f32(a, b); }
inline F4 mul4(F4 a, F4 b) { return vmulq_f32(a, b); }
#if defined(__clang__)  // whose header hides vfmaq_f32 where the baseline lacks it
inline F4 fma4(F4 a, F4 b, F4 c) { return __builtin_elementwise_fma(a, b, c); }
#else
inline F4 fma4(F4 a, F4 b, F4 c) { return vfmaq_f32(c, a, b); }
#endif
inline F4 greater4(F4 a, F4 b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }  // a > b ? a : b; vmax would keep a NaN
inline F4 less4(F4 a, F4 b) { return vbslq_f32(vcltq_f32(a, b), a, b); }     // a < b ? a : b
inline F4 pairs4(F4 a, F4 b) {                                               // a0 + a1, a2 + a3, b0 + b1, b2 + b3
  return vcombine_f32(vpadd_f32(vget_low_f32(a), vget_high_f32(a)), vpadd_f32(vget_low_f32(b), vget_high_f32(b)));
}
inline F4 float4_of(uint32x4_t bits) { return vreinterpretq_f32_u32(bits); }

// Not vcvt_f32_f16, which GCC offers only under -mfp16-format=ieee.
inline F4 widen4(uint16x4_t h) {
  F4 v;
  __asm__("vcvt.f32.f16 %q0, %P1" : "=w"(v) : "w"(h));
  return v;
}

// Keeps arithmetic from moving across a look at the flags.
#define LINNET_APART __attribute__((noinline))

inline void clear_flags() { __asm__ volatile("vmsr fpscr, %0" : : "r"(0) : "memory"); }

inline bool flushed() {
  constexpr uint32_t kUnderflow = 1u << 3, kInputDenormal = 1u << 7;
  uint32_t fpscr;
  __asm__ volatile("vmrs %0, fpscr" : "=r"(fpscr) : : "memory");
  return (fpscr & (kUnderflow | kInputDenormal)) != 0;
}

inline Kernels portable() {
  Kernels kernels;
  overlay_portable(&kernels);
  return kernels;
}

// Sixteen floats.
struct F16 {
  F4 a, b, c, d;
};

inline F16 load16(const float* p) { return {load4(p), load4(p + 4), load4(p + 8), load4(p + 12)}; }
inline F16 four_times(const float* p) {
  const F4 v = load4(p);
  return {v, v, v, v};
}
inline F16 zero16() { return {zero4(), zero4(), zero4(), zero4()}; }
inline void store16(float* p, F16 v) {
  store4(p, v.a);
  store4(p + 4, v.b);
  store4(p + 8, v.c);
  store4(p + 12, v.d);
}
inline F16 add16(F16 x, F16 y) { return {add4(x.a, y.a), add4(x.b, y.b), add4(x.c, y.c), add4(x.d, y.d)}; }
inline F16 sub16(F16 x, F16 y) { return {sub4(x.a, y.a), sub4(x.b, y.b), sub4(x.c, y.c), sub4(x.d, y.d)}; }
inline F16 fma16(F16 x, F16 y, F16 z) {
  return {fma4(x.a, y.a, z.a), fma4(x.b, y.b, z.b), fma4(x.c, y.c, z.c), fma4(x.d, y.d, z.d)};
}
inline F16 fma16(F16 x, float y, F16 z) {
  const F4 ys = all4(y);
  return fma16(x, {ys, ys, ys, ys}, z);
}

// (a0 + a1) + (a2 + a3), and likewise of b, c and d.
inline F4 sums_of_4(F16 v) { return pairs4(pairs4(v.a, v.b), pairs4(v.c, v.d)); }

// What is left to sum when sixteen are folded to four.
inline F4 quarters(F16 v) { return add4(add4(v.a, v.c), add4(v.b, v.d)); }

inline float fold16(F16 v) {
  const F4 q = quarters(v);
  const float32x2_t pairs = vpadd_f32(vget_low_f32(q), vget_high_f32(q));
  return vget_lane_f32(vpadd_f32(pairs, pairs), 0);
}

// The first n < 16 floats, zeros after them.
inline F16 load_part(const float* p, size_t n) {
  float t[16] = {0};
  memcpy(t, p, n * sizeof *t);
  return load16(t);
}

inline void store_part(float* p, F16 v, size_t n) {
  float t[16];
  store16(t, v);
  memcpy(p, t, n * sizeof *t);
}

// Sixteen or four stored weights, widened.
struct Fp16 {
  using Stored = uint16_t;
  static F4 load4(const Stored* p) { return widen4(vld1_u16(p)); }
  static F16 load16(const Stored* p) { return {load4(p), load4(p + 4), load4(p + 8), load4(p + 12)}; }
};

struct Bf16 {
  using Stored = uint16_t;
  static F4 load4(const Stored* p) { return float4_of(vshll_n_u16(vld1_u16(p), 16)); }
  static F16 load16(const Stored* p) { return {load4(p), load4(p + 4), load4(p + 8), load4(p + 12)}; }
};

struct Fp32 {
  using Stored = float;
  static F4 load4(const Stored* p) { return vld1q_f32(p); }
  static F16 load16(const Stored* p) { return {load4(p), load4(p + 4), load4(p + 8), load4(p + 12)}; }
};

constexpr float kZeros[16] = {0};

// y[row .. row + 16) = sums + bias, no further than the last row.
inline void store_rows16(const Matrix& w, size_t row, F16 sums, const float* bias, float* y) {
  if (row + 16 <= w.rows) return store16(y + row, add16(sums, load16(bias ? bias + row : kZeros)));
  float t[16];
  store16(t, sums);
  for (size_t r = 0; row + r < w.rows; ++r) y[row + r] = t[r] + (bias ? bias[row + r] : 0.0f);
}

inline void store_rows4(const Matrix& w, size_t row, F4 sums, const float* bias, float* y) {
  if (row + 4 <= w.rows) return store4(y + row, add4(sums, load4(bias ? bias + row : kZeros)));
  float t[4];
  store4(t, sums);
  for (size_t r = 0; row + r < w.rows; ++r) y[row + r] = t[r] + (bias ? bias[row + r] : 0.0f);
}

// One sum for each of a quad's four rows.
inline void store_quad(const Matrix& w, const Quad& quad, F4 sums, const float* bias, float* y) {
  float t[4];
  store4(t, sums);
  for (size_t q = 0; q < 4; ++q) {
    const size_t row = quad.block_rows[q];
    if (row < w.rows) y[row] = t[q] + (bias ? bias[row] : 0.0f);
  }
}

// Panels of 16 rows: two sets of sums, even and odd columns.
template <class W>
LINNET_APART void matvec_dense(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  for (size_t row = 0; row < w.rows; row += 16) {
    F16 p = zero16(), q = zero16();
    size_t c = 0;
    for (; c + 2 <= w.cols; c += 2, v += 32) {
      p = fma16(W::load16(v), x[c], p);
      q = fma16(W::load16(v + 16), x[c + 1], q);
    }
    if (c < w.cols) {
      p = fma16(W::load16(v), x[c], p);
      v += 16;
    }
    store_rows16(w, row, add16(p, q), bias, y);
  }
}

// Two block rows of a quad at a time: there are 16 registers. A register holds one row of a block.
template <class W, class Index>
LINNET_APART void matvec_4x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    for (size_t half = 0; half < 4; half += 2) {
      const auto* u = v + 16 * half;
      const Index* i = j + half;
      F16 a = zero16(), b = zero16();
      for (uint32_t n = quad->steps; n != 0; --n, i += 4, u += 64) {
        a = fma16(W::load16(u), four_times(x + 4 * size_t{i[0]}), a);
        b = fma16(W::load16(u + 16), four_times(x + 4 * size_t{i[1]}), b);
      }
      store_rows4(w, size_t{4} * quad->block_rows[half], sums_of_4(a), bias, y);
      store_rows4(w, size_t{4} * quad->block_rows[half + 1], sums_of_4(b), bias, y);
    }
    v += size_t{64} * quad->steps;
    j += size_t{4} * quad->steps;
  }
}

template <class W, class Index>
LINNET_APART void matvec_16x1(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    for (size_t half = 0; half < 4; half += 2) {
      const auto* u = v + 16 * half;
      const Index* i = j + half;
      F16 a = zero16(), b = zero16();
      for (uint32_t n = quad->steps; n != 0; --n, i += 4, u += 64) {
        a = fma16(W::load16(u), x[i[0]], a);
        b = fma16(W::load16(u + 16), x[i[1]], b);
      }
      store_rows16(w, size_t{16} * quad->block_rows[half], a, bias, y);
      store_rows16(w, size_t{16} * quad->block_rows[half + 1], b, bias, y);
    }
    v += size_t{64} * quad->steps;
    j += size_t{4} * quad->steps;
  }
}

template <class W, class Index>
LINNET_APART void matvec_1x16(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    F4 sums[4];
    for (size_t half = 0; half < 4; half += 2) {
      const auto* u = v + 16 * half;
      const Index* i = j + half;
      F16 a = zero16(), b = zero16();
      for (uint32_t n = quad->steps; n != 0; --n, i += 4, u += 64) {
        a = fma16(W::load16(u), load16(x + 16 * size_t{i[0]}), a);
        b = fma16(W::load16(u + 16), load16(x + 16 * size_t{i[1]}), b);
      }
      sums[half] = quarters(a);
      sums[half + 1] = quarters(b);
    }
    store_quad(w, *quad, sums_of_4({sums[0], sums[1], sums[2], sums[3]}), bias, y);
    v += size_t{64} * quad->steps;
    j += size_t{4} * quad->steps;
  }
}

// One step is a block of each of four rows: sixteen weights, and four pieces of x.
template <class W, class Index>
inline F16 step_1x4(const typename W::Stored* v, const Index* j, const float* x, F16 sums) {
  const F16 pieces = {load4(x + 4 * size_t{j[0]}), load4(x + 4 * size_t{j[1]}), load4(x + 4 * size_t{j[2]}),
                      load4(x + 4 * size_t{j[3]})};
  return fma16(W::load16(v), pieces, sums);
}

template <class W, class Index>
LINNET_APART void matvec_1x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    F16 even = zero16(), odd = zero16();
    uint32_t n = quad->steps;
    for (; n >= 2; n -= 2, j += 8, v += 32) {
      even = step_1x4<W>(v, j, x, even);
      odd = step_1x4<W>(v + 16, j + 4, x, odd);
    }
    if (n != 0) {
      even = step_1x4<W>(v, j, x, even);
      j += 4;
      v += 16;
    }
    store_quad(w, *quad, sums_of_4(add16(even, odd)), bias, y);
  }
}

// The functions of arithmetic.h. Sixteen at a time below: four chains hide each other's latency.

inline F4 exp4(F4 x) {
  x = greater4(x, all4(kExpLow));
  x = less4(x, all4(kExpHigh));
  const F4 t = fma4(x, all4(kLog2E), all4(kRound));
  const F4 n = sub4(t, all4(kRound));
  F4 r = fma4(n, all4(-kLn2High), x);
  r = fma4(n, all4(-kLn2Low), r);
  F4 p = all4(kExp6);
  p = fma4(p, r, all4(kExp5));
  p = fma4(p, r, all4(kExp4));
  p = fma4(p, r, all4(kExp3));
  p = fma4(p, r, all4(kExp2));
  p = fma4(p, r, all4(1.0f));
  p = fma4(p, r, all4(1.0f));
  const uint32x4_t power = vsubq_u32(vreinterpretq_u32_f32(t), vreinterpretq_u32_f32(all4(kRound)));
  return float4_of(vaddq_u32(vreinterpretq_u32_f32(p), vshlq_n_u32(power, 23)));
}

// 1 / v by VFP: NEON has no division.
inline F4 reciprocal4(F4 v) {
  float t[4];
  store4(t, v);
  for (float& d : t) d = 1.0f / d;
  return load4(t);
}

inline F4 sigmoid4(F4 x) { return reciprocal4(add4(all4(1.0f), exp4(vnegq_f32(x)))); }

inline F4 tanh4(F4 x) { return fma4(all4(2.0f), sigmoid4(add4(x, x)), all4(-1.0f)); }

inline F4 relu4(F4 x) { return greater4(x, zero4()); }

inline F16 sigmoid16(F16 x) { return {sigmoid4(x.a), sigmoid4(x.b), sigmoid4(x.c), sigmoid4(x.d)}; }
inline F16 tanh16(F16 x) { return {tanh4(x.a), tanh4(x.b), tanh4(x.c), tanh4(x.d)}; }

inline F16 activate16(Activation activation, F16 x) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return {relu4(x.a), relu4(x.b), relu4(x.c), relu4(x.d)};
    case Activation::tanh:
      return tanh16(x);
    case Activation::sigmoid:
      return sigmoid16(x);
    case Activation::exp:
      return {exp4(x.a), exp4(x.b), exp4(x.c), exp4(x.d)};
  }
  return x;
}

constexpr uint32_t kTile = 64;  // what is computed between two looks at the flags

LINNET_APART void finish_tile(uint32_t n, Activation activation, const float* add, const float* y, float* out) {
  uint32_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const F16 v = add ? add16(load16(y + i), load16(add + i)) : load16(y + i);
    store16(out + i, activate16(activation, v));
  }
  if (i < n) {
    const F16 v = add ? add16(load_part(y + i, n - i), load_part(add + i, n - i)) : load_part(y + i, n - i);
    store_part(out + i, activate16(activation, v), n - i);
  }
}

void finish(uint32_t n, Activation activation, const float* add, float* y) {
  for (uint32_t i = 0; i < n; i += kTile) {
    const uint32_t size = n - i < kTile ? n - i : kTile;
    const float* a = add ? add + i : nullptr;
    float out[kTile];
    clear_flags();
    finish_tile(size, activation, a, y + i, out);
    if (flushed()) {
      portable().finish(size, activation, a, y + i);
    } else {
      memcpy(y + i, out, size * sizeof *out);
    }
  }
}

// What the gates of up to kTile units read: the rows stand kTile floats apart.
struct GateTile {
  float recurrent[3][kTile], input[3][kTile];
};

LINNET_APART void gates_tile(const GateTile& tile, const float* state, float* out) {
  for (uint32_t i = 0; i < kTile; i += 16) {
    const F16 u = sigmoid16(add16(load16(tile.recurrent[0] + i), load16(tile.input[0] + i)));
    const F16 r = sigmoid16(add16(load16(tile.recurrent[1] + i), load16(tile.input[1] + i)));
    const F16 e = tanh16(fma16(r, load16(tile.recurrent[2] + i), load16(tile.input[2] + i)));
    store16(out + i, fma16(u, sub16(load16(state + i), e), e));
  }
}

void gates(uint32_t units, uint32_t stride, const float* recurrent, const float* input, float* state) {
  GateTile tile = {};
  float old[kTile] = {}, out[kTile];
  for (uint32_t i = 0; i < units; i += kTile) {
    const size_t bytes = (units - i < kTile ? units - i : kTile) * sizeof(float);
    for (uint32_t g = 0; g < 3; ++g) {
      memcpy(tile.recurrent[g], recurrent + size_t{g} * stride + i, bytes);
      memcpy(tile.input[g], input + size_t{g} * stride + i, bytes);
    }
    memcpy(old, state + i, bytes);
    clear_flags();
    gates_tile(tile, old, out);
    if (flushed()) {
      portable().gates(kTile, kTile, tile.recurrent[0], tile.input[0], old);
      memcpy(state + i, old, bytes);
    } else {
      memcpy(state + i, out, bytes);
    }
  }
}

LINNET_APART float try_exponentials(uint32_t n, float inverse_temperature, const float* logits, float* e,
                                    float* groups) {
  F4 most = all4(-INFINITY);
  uint32_t i = 0;
  for (; i + 4 <= n; i += 4) most = greater4(load4(logits + i), most);
  float greatest = -INFINITY;
  float lanes[4];
  store4(lanes, most);
  for (float lane : lanes) greatest = lane > greatest ? lane : greatest;
  for (; i < n; ++i) greatest = logits[i] > greatest ? logits[i] : greatest;

  const F4 m = all4(greatest), s = all4(inverse_temperature);
  for (i = 0; i < n; i += kGroup) {
    const F16 l = n - i >= kGroup ? load16(logits + i) : load_part(logits + i, n - i);
    F16 g = {exp4(mul4(sub4(l.a, m), s)), exp4(mul4(sub4(l.b, m), s)), exp4(mul4(sub4(l.c, m), s)),
             exp4(mul4(sub4(l.d, m), s))};
    store16(e + i, g);
    if (n - i < kGroup) {
      for (uint32_t k = n; k < i + kGroup; ++k) e[k] = 0.0f;
      g = load16(e + i);
    }
    groups[i / kGroup] = fold16(g);
  }
  return greatest;
}

float exponentials(uint32_t n, float inverse_temperature, const float* logits, float* e, float* groups) {
  clear_flags();
  const float greatest = try_exponentials(n, inverse_temperature, logits, e, groups);
  return flushed() ? portable().exponentials(n, inverse_temperature, logits, e, groups) : greatest;
}

LINNET_APART void try_upsample(uint32_t n_rows, uint32_t window, uint32_t channels, const float* weights,
                               const float* in, uint32_t row_stride, float* out) {
  for (uint32_t i = 0; i < n_rows; ++i) {
    const float* row = weights + size_t{i} * window;
    float* y = out + size_t{i} * row_stride;
    uint32_t c = 0;
    for (; c + 4 <= channels; c += 4) {
      F4 sum = zero4();
      for (uint32_t j = 0; j < window; ++j) sum = fma4(all4(row[j]), load4(in + size_t{j} * channels + c), sum);
      store4(y + c, sum);
    }
    for (; c < channels; ++c) {
      float sum = 0.0f;
      for (uint32_t j = 0; j < window; ++j) sum = fmaf(row[j], in[size_t{j} * channels + c], sum);
      y[c] = sum;
    }
  }
}

void upsample(uint32_t n_rows, uint32_t window, uint32_t channels, const float* weights, const float* in,
              uint32_t row_stride, float* out) {
  clear_flags();
  try_upsample(n_rows, window, channels, weights, in, row_stride, out);
  if (flushed()) portable().upsample(n_rows, window, channels, weights, in, row_stride, out);
}

// A product, with the narrow or the wide column indices.
template <MatvecFn narrow, MatvecFn wide>
void matvec(const Matrix& w, const float* x, const float* bias, float* y) {
  clear_flags();
  (w.index_width == 2 ? wide : narrow)(w, x, bias, y);
  if (flushed()) portable().matvec_for(w)(w, x, bias, y);
}

template <class W>
void overlay_matvec(Dtype dtype, Kernels* kernels) {
  const MatvecFn by_layout[kMatrixLayouts] = {
      matvec<matvec_dense<W>, matvec_dense<W>>,
      matvec<matvec_4x4<W, uint8_t>, matvec_4x4<W, uint16_t>>,
      matvec<matvec_16x1<W, uint8_t>, matvec_16x1<W, uint16_t>>,
      matvec<matvec_1x16<W, uint8_t>, matvec_1x16<W, uint16_t>>,
      matvec<matvec_1x4<W, uint8_t>, matvec_1x4<W, uint16_t>>,
  };
  const size_t d = static_cast<size_t>(dtype) - static_cast<size_t>(Dtype::fp16);
  for (size_t l = 0; l < kMatrixLayouts; ++l) kernels->matvec[l][d] = by_layout[l];
}

// Eight chains of four: two multiply-adds a cycle, each of four cycles' latency, need as many.
template <class W>
float stream_of(size_t n, const void* values) {
  const F16 x = {all4(0.5f), all4(0.5f), all4(0.5f), all4(0.5f)};
  F16 s0 = zero16(), s1 = zero16();
  const auto* v = static_cast<const typename W::Stored*>(values);
  for (const auto* end = v + n; v != end; v += 32) {
    s0 = fma16(W::load16(v), x, s0);
    s1 = fma16(W::load16(v + 16), x, s1);
  }
  return fold16(add16(s0, s1));
}

float stream(size_t n, Dtype dtype, const void* values) {
  switch (dtype) {
    case Dtype::fp16:
      return stream_of<Fp16>(n, values);
    case Dtype::bf16:
      return stream_of<Bf16>(n, values);
    case Dtype::fp32:
      break;
  }
  return stream_of<Fp32>(n, values);
}

}  // namespace

void overlay_neon_vfpv4(Kernels* kernels) {
  overlay_matvec<Fp16>(Dtype::fp16, kernels);
  overlay_matvec<Bf16>(Dtype::bf16, kernels);
  overlay_matvec<Fp32>(Dtype::fp32, kernels);
  kernels->finish = finish;
  kernels->gates = gates;
  kernels->exponentials = exponentials;
  kernels->upsample = upsample;
  kernels->stream = stream;
}

}  // namespace linnet

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
