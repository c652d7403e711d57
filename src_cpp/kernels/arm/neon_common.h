// What the files for AArch64's NEON share: wrappers, stored weights, the ends of rows.
#pragma once

#include <arm_neon.h>
#include <stddef.h>

#include "kernels/contract.h"

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
inline F4 fma4(F4 a, F4 b, F4 c) { return vfmaq_f32(c, a, b); }
inline F4 pairs4(F4 a, F4 b) { return vpaddq_f32(a, b); }                    // a0 + a1, a2 + a3, b0 + b1, b2 + b3
inline F4 greater4(F4 a, F4 b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }  // a > b ? a : b; fmax would keep a NaN
inline F4 less4(F4 a, F4 b) { return vbslq_f32(vcltq_f32(a, b), a, b); }     // a < b ? a : b

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
  return {vfmaq_n_f32(z.a, x.a, y), vfmaq_n_f32(z.b, x.b, y), vfmaq_n_f32(z.c, x.c, y), vfmaq_n_f32(z.d, x.d, y)};
}

// (a0 + a1) + (a2 + a3), and likewise of b, c and d.
inline F4 sums_of_4(F16 v) { return pairs4(pairs4(v.a, v.b), pairs4(v.c, v.d)); }

inline F4 float4_of(uint32x4_t bits) { return vreinterpretq_f32_u32(bits); }

// Sixteen or four stored weights, widened.
struct Fp16 {
  using Stored = uint16_t;
  static F4 load4(const Stored* p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
  static F16 load16(const Stored* p) {
    const float16x8_t low = vreinterpretq_f16_u16(vld1q_u16(p)), high = vreinterpretq_f16_u16(vld1q_u16(p + 8));
    return {vcvt_f32_f16(vget_low_f16(low)), vcvt_high_f32_f16(low), vcvt_f32_f16(vget_low_f16(high)),
            vcvt_high_f32_f16(high)};
  }
};

struct Bf16 {
  using Stored = uint16_t;
  static F4 load4(const Stored* p) { return float4_of(vshll_n_u16(vld1_u16(p), 16)); }
  static F16 load16(const Stored* p) {
    const uint16x8_t low = vld1q_u16(p), high = vld1q_u16(p + 8);
    return {float4_of(vshll_n_u16(vget_low_u16(low), 16)), float4_of(vshll_high_n_u16(low, 16)),
            float4_of(vshll_n_u16(vget_low_u16(high), 16)), float4_of(vshll_high_n_u16(high, 16))};
  }
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

}  // namespace
}  // namespace linnet
