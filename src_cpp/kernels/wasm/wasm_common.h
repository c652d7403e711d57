// What the sets for WebAssembly share: wrappers, stored weights. They differ in how a multiply-add is
// fused, which is a struct A:
//
//   fma16(x, y, z), fma4(x, y, z)    x y + z, rounded once
//
// To be included after functions.h.
#pragma once

#include <wasm_simd128.h>

namespace linnet {
namespace {

using F4 = v128_t;

inline F4 load4(const float* p) { return wasm_v128_load(p); }
inline void store4(float* p, F4 v) { wasm_v128_store(p, v); }
inline F4 all4(float v) { return wasm_f32x4_splat(v); }
inline F4 zero4() { return all4(0.0f); }
inline F4 add4(F4 a, F4 b) { return wasm_f32x4_add(a, b); }
inline F4 pairs4(F4 a, F4 b) {  // a0 + a1, a2 + a3, b0 + b1, b2 + b3
  return add4(wasm_i32x4_shuffle(a, b, 0, 2, 4, 6), wasm_i32x4_shuffle(a, b, 1, 3, 5, 7));
}

// Sixteen floats.
struct F16 {
  F4 a, b, c, d;
};

inline F16 sixteen(F4 a, F4 b, F4 c, F4 d) { return {a, b, c, d}; }
inline F16 load16(const float* p) { return {load4(p), load4(p + 4), load4(p + 8), load4(p + 12)}; }
inline F16 four_times(F4 v) { return {v, v, v, v}; }
inline F16 all16(float v) { return four_times(all4(v)); }
inline F16 zero16() { return all16(0.0f); }
inline void store16(float* p, F16 v) {
  store4(p, v.a);
  store4(p + 4, v.b);
  store4(p + 8, v.c);
  store4(p + 12, v.d);
}

template <class Operation>
inline F16 map16(Operation of, F16 x) {
  return {of(x.a), of(x.b), of(x.c), of(x.d)};
}

template <class Operation>
inline F16 map16(Operation of, F16 x, F16 y) {
  return {of(x.a, y.a), of(x.b, y.b), of(x.c, y.c), of(x.d, y.d)};
}

inline F16 add16(F16 x, F16 y) { return map16(add4, x, y); }

// (a0 + a1) + (a2 + a3), and likewise of b, c and d.
inline F4 sums_of_4(F16 v) { return pairs4(pairs4(v.a, v.b), pairs4(v.c, v.d)); }

// What is left to sum when sixteen are folded to four.
inline F4 quarters(F16 v) { return add4(add4(v.a, v.c), add4(v.b, v.d)); }

// a > b ? a : b and a < b ? a : b: what WebAssembly calls pseudo-maximum and -minimum, turned round.
inline F4 greater4(F4 a, F4 b) { return wasm_f32x4_pmax(b, a); }
inline F4 less4(F4 a, F4 b) { return wasm_f32x4_pmin(b, a); }

// The wrappers of functions.h.
template <class A>
struct Simd128 {
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
    return map16([](F4 a, F4 b) { return wasm_f32x4_sub(a, b); }, x, y);
  }
  static F mul(F x, F y) {
    return map16([](F4 a, F4 b) { return wasm_f32x4_mul(a, b); }, x, y);
  }
  static F fma(F x, F y, F z) { return A::fma16(x, y, z); }
  static F divide(F x, F y) {
    return map16([](F4 a, F4 b) { return wasm_f32x4_div(a, b); }, x, y);
  }
  static F negate(F x) {
    return map16([](F4 v) { return wasm_f32x4_neg(v); }, x);
  }
  static F greater(F x, F y) { return map16(greater4, x, y); }
  static F less(F x, F y) { return map16(less4, x, y); }
  static F shift_in(F p, F t) {
    const auto shifted = [](F4 v, F4 by) {
      return wasm_i32x4_add(v, wasm_i32x4_shl(wasm_i32x4_sub(by, all4(kRound)), 23));
    };
    return map16(shifted, p, t);
  }
  static F4 times4(F4 x) {  // how often 2 is in x, as integers
    return wasm_i32x4_sub(wasm_i32x4_shr(wasm_i32x4_sub(x, wasm_i32x4_splat(kTwoThirds)), 23), wasm_i32x4_splat(126));
  }
  static F split(F x, F* n) {
    const F times = map16(times4, x);
    *n = map16([](F4 v) { return wasm_f32x4_convert_i32x4(v); }, times);
    return map16([](F4 v, F4 by) { return wasm_i32x4_sub(v, wasm_i32x4_shl(by, 23)); }, x, times);
  }
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
  static float fold(const F (&v)[1]) {
    const F4 pairs = pairs4(quarters(v[0]), zero4());
    return wasm_f32x4_extract_lane(pairs, 0) + wasm_f32x4_extract_lane(pairs, 1);
  }
};

// Sixteen stored weights, widened.

// fp16 times 2^-112, which is exact (subnormals become subnormals): the 15 bits of the magnitude move to those of an
// fp32 whose exponent is biased by 127 where that of an fp16 is biased by 15.
struct ScaledFp16 {
  using Stored = uint16_t;
  static F4 place(F4 extended) {
    return wasm_v128_and(wasm_i32x4_shl(extended, 13), wasm_i32x4_splat(static_cast<int32_t>(0x8fffe000u)));
  }
  static F16 load16(const Stored* p) {
    return {place(wasm_i32x4_load16x4(p)), place(wasm_i32x4_load16x4(p + 4)), place(wasm_i32x4_load16x4(p + 8)),
            place(wasm_i32x4_load16x4(p + 12))};
  }
};

struct Fp16 {
  using Stored = uint16_t;
  static F16 load16(const Stored* p) {
    const auto unscaled = [](F4 v) { return wasm_f32x4_mul(v, all4(0x1p112f)); };
    return map16(unscaled, ScaledFp16::load16(p));
  }
};

struct Bf16 {
  using Stored = uint16_t;
  static F16 load16(const Stored* p) {
    const auto four = [](const Stored* q) { return wasm_i32x4_shl(wasm_u32x4_load16x4(q), 16); };
    return {four(p), four(p + 4), four(p + 8), four(p + 12)};
  }
};

struct Fp32 {
  using Stored = float;
  static F16 load16(const Stored* p) { return linnet::load16(p); }
};

// Four columns, four times.
struct Once {
  static F16 four_times(const float* x, size_t block) { return linnet::four_times(load4(x + 4 * block)); }
};

}  // namespace
}  // namespace linnet
