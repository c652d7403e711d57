// What the sets for Arm's NEON share: wrappers, stored weights, the ends of rows, and the products whose loops need no
// more than the sixteen registers of 32-bit Arm. To be included after functions.h and arm_neon.h, within a target
// region where there is one.
#pragma once

#if !defined(LINNET_APART)
#define LINNET_APART
#endif

namespace linnet {
namespace {

using F4 = float32x4_t;

inline F4 zero4() { return vdupq_n_f32(0.0f); }
inline F4 load4(const float* p) { return vld1q_f32(p); }
inline void store4(float* p, F4 v) { vst1q_f32(p, v); }
inline F4 all4(float v) { return vdupq_n_f32(v); }
inline F4 add4(F4 a, F4 b) { return vaddq_f32(a, b); }
inline F4 float4_of(uint32x4_t bits) { return vreinterpretq_f32_u32(bits); }

#if defined(__aarch64__) || defined(_M_ARM64)
inline F4 fma4(F4 a, F4 b, F4 c) { return vfmaq_f32(c, a, b); }
inline F4 fma4(F4 a, float b, F4 c) { return vfmaq_n_f32(c, a, b); }
inline F4 divide4(F4 a, F4 b) { return vdivq_f32(a, b); }
inline F4 pairs4(F4 a, F4 b) { return vpaddq_f32(a, b); }  // a0 + a1, a2 + a3, b0 + b1, b2 + b3
#else
#if defined(__clang__)  // whose header hides vfmaq_f32 where the baseline lacks it
inline F4 fma4(F4 a, F4 b, F4 c) { return __builtin_elementwise_fma(a, b, c); }
#else
inline F4 fma4(F4 a, F4 b, F4 c) { return vfmaq_f32(c, a, b); }
#endif
inline F4 fma4(F4 a, float b, F4 c) { return fma4(a, all4(b), c); }
inline F4 divide4(F4 a, F4 b) {  // by VFP: NEON has no division
  float t[4], d[4];
  store4(t, a);
  store4(d, b);
  for (int l = 0; l < 4; ++l) t[l] = t[l] / d[l];
  return load4(t);
}
inline F4 pairs4(F4 a, F4 b) {
  return vcombine_f32(vpadd_f32(vget_low_f32(a), vget_high_f32(a)), vpadd_f32(vget_low_f32(b), vget_high_f32(b)));
}
#endif

// Sixteen floats.
struct F16 {
  F4 a, b, c, d;
};

inline F16 load16(const float* p) { return {load4(p), load4(p + 4), load4(p + 8), load4(p + 12)}; }
inline F16 four_times(const float* p) {
  const F4 v = load4(p);
  return {v, v, v, v};
}
inline F16 all16(float v) { return {all4(v), all4(v), all4(v), all4(v)}; }
inline F16 zero16() { return {zero4(), zero4(), zero4(), zero4()}; }
inline void store16(float* p, F16 v) {
  store4(p, v.a);
  store4(p + 4, v.b);
  store4(p + 8, v.c);
  store4(p + 12, v.d);
}
inline F16 add16(F16 x, F16 y) { return {add4(x.a, y.a), add4(x.b, y.b), add4(x.c, y.c), add4(x.d, y.d)}; }
inline F16 fma16(F16 x, F16 y, F16 z) {
  return {fma4(x.a, y.a, z.a), fma4(x.b, y.b, z.b), fma4(x.c, y.c, z.c), fma4(x.d, y.d, z.d)};
}
inline F16 fma16(F16 x, float y, F16 z) {
  return {fma4(x.a, y, z.a), fma4(x.b, y, z.b), fma4(x.c, y, z.c), fma4(x.d, y, z.d)};
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

// The wrappers of functions.h: sixteen floats, because four chains hide each other's latency.
struct Neon {
  using F = F16;
  static constexpr uint32_t kWidth = 16;

  static F all(float v) { return all16(v); }
  static F load(const float* p) { return load16(p); }
  static void store(float* p, F v) { store16(p, v); }
  static F load_part(const float* p, size_t n) {
    float t[16] = {0};
    memcpy(t, p, n * sizeof *t);
    return load16(t);
  }
  static void store_part(float* p, F v, size_t n) {
    float t[16];
    store16(t, v);
    memcpy(p, t, n * sizeof *t);
  }
  static F add(F x, F y) { return add16(x, y); }
  static F sub(F x, F y) {
    return {vsubq_f32(x.a, y.a), vsubq_f32(x.b, y.b), vsubq_f32(x.c, y.c), vsubq_f32(x.d, y.d)};
  }
  static F mul(F x, F y) {
    return {vmulq_f32(x.a, y.a), vmulq_f32(x.b, y.b), vmulq_f32(x.c, y.c), vmulq_f32(x.d, y.d)};
  }
  static F fma(F x, F y, F z) { return fma16(x, y, z); }
  static F divide(F x, F y) { return {divide4(x.a, y.a), divide4(x.b, y.b), divide4(x.c, y.c), divide4(x.d, y.d)}; }
  static F negate(F v) { return {vnegq_f32(v.a), vnegq_f32(v.b), vnegq_f32(v.c), vnegq_f32(v.d)}; }

  // By comparison: vmax and vmin would keep a NaN.
  static F4 greater4(F4 a, F4 b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
  static F4 less4(F4 a, F4 b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
  static F greater(F x, F y) {
    return {greater4(x.a, y.a), greater4(x.b, y.b), greater4(x.c, y.c), greater4(x.d, y.d)};
  }
  static F less(F x, F y) { return {less4(x.a, y.a), less4(x.b, y.b), less4(x.c, y.c), less4(x.d, y.d)}; }

  static F4 shift_in4(F4 p, F4 t) {
    const uint32x4_t power = vsubq_u32(vreinterpretq_u32_f32(t), vreinterpretq_u32_f32(all4(kRound)));
    return float4_of(vaddq_u32(vreinterpretq_u32_f32(p), vshlq_n_u32(power, 23)));
  }
  static F shift_in(F p, F t) {
    return {shift_in4(p.a, t.a), shift_in4(p.b, t.b), shift_in4(p.c, t.c), shift_in4(p.d, t.d)};
  }

  static F4 split4(F4 x, F4* n) {
    const int32x4_t bits = vreinterpretq_s32_f32(x), power = vshrq_n_s32(vsubq_s32(bits, vdupq_n_s32(kTwoThirds)), 23);
    const int32x4_t times = vsubq_s32(power, vdupq_n_s32(126));
    *n = vcvtq_f32_s32(times);
    return vreinterpretq_f32_s32(vsubq_s32(bits, vshlq_n_s32(times, 23)));
  }
  static F split(F x, F* n) { return {split4(x.a, &n->a), split4(x.b, &n->b), split4(x.c, &n->c), split4(x.d, &n->d)}; }

  static F keep(F v, size_t n) {
    float t[16];
    store16(t, v);
    for (; n < 16; ++n) t[n] = 0.0f;
    return load16(t);
  }
  static float greatest(F v) {
    float t[4];
    store4(t, greater4(greater4(v.a, v.b), greater4(v.c, v.d)));
    const float low = t[0] > t[1] ? t[0] : t[1], high = t[2] > t[3] ? t[2] : t[3];
    return low > high ? low : high;
  }
  static float fold(const F (&v)[1]) { return fold16(v[0]); }
};

// Sixteen or four stored weights, widened.
struct Fp16 {
  using Stored = uint16_t;
#if defined(__aarch64__) || defined(_M_ARM64)
  static F4 load4(const Stored* p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
  static F16 load16(const Stored* p) {
    const float16x8_t low = vreinterpretq_f16_u16(vld1q_u16(p)), high = vreinterpretq_f16_u16(vld1q_u16(p + 8));
    return {vcvt_f32_f16(vget_low_f16(low)), vcvt_high_f32_f16(low), vcvt_f32_f16(vget_low_f16(high)),
            vcvt_high_f32_f16(high)};
  }
#else
  static F4 load4(const Stored* p) {  // not vcvt_f32_f16, which GCC offers only under -mfp16-format=ieee
    F4 v;
    __asm__("vcvt.f32.f16 %q0, %P1" : "=w"(v) : "w"(vld1_u16(p)));
    return v;
  }
  static F16 load16(const Stored* p) { return {load4(p), load4(p + 4), load4(p + 8), load4(p + 12)}; }
#endif
};

struct Bf16 {
  using Stored = uint16_t;
  static F4 load4(const Stored* p) { return float4_of(vshll_n_u16(vld1_u16(p), 16)); }
  static F16 load16(const Stored* p) {
    const uint16x8_t low = vld1q_u16(p), high = vld1q_u16(p + 8);
    return {float4_of(vshll_n_u16(vget_low_u16(low), 16)), float4_of(vshll_n_u16(vget_high_u16(low), 16)),
            float4_of(vshll_n_u16(vget_low_u16(high), 16)), float4_of(vshll_n_u16(vget_high_u16(high), 16))};
  }
};

struct Fp32 {
  using Stored = float;
  static F4 load4(const Stored* p) { return vld1q_f32(p); }
  static F16 load16(const Stored* p) { return {load4(p), load4(p + 4), load4(p + 8), load4(p + 12)}; }
};

}  // namespace
}  // namespace linnet

#include "kernels/row_ends.h"

namespace linnet {
namespace {

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
    uint32_t n = quad->depth;
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

// Eight chains of four: two multiply-adds a cycle, each of four cycles' latency, need as many.
template <class W>
float stream_limit(size_t n, const void* values) {
  const F16 x = all16(0.5f);
  F16 s0 = zero16(), s1 = zero16();
  const auto* v = static_cast<const typename W::Stored*>(values);
  for (const auto* end = v + n; v != end; v += 32) {
    s0 = fma16(W::load16(v), x, s0);
    s1 = fma16(W::load16(v + 16), x, s1);
  }
  return fold16(add16(s0, s1));
}

}  // namespace
}  // namespace linnet
