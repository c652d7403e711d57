// WebAssembly with 128-bit registers, which has no fused multiply-add: by double precision.
#include "kernels/sets.h"

#if defined(__wasm_simd128__)

#include "kernels/functions.h"

#include "kernels/wasm/wasm_common.h"

#include "kernels/wasm/products.h"

#include "kernels/wasm/int8_products.h"

namespace linnet {
namespace {

// Two sums of two doubles each: products of floats are exact in a double, and only the sum is rounded.
struct D4 {
  v128_t low, high;
};

inline D4 doubled(F4 v) {
  return {wasm_f64x2_promote_low_f32x4(v), wasm_f64x2_promote_low_f32x4(wasm_i32x4_shuffle(v, v, 2, 3, 2, 3))};
}

inline F4 rounded(D4 v) {
  return wasm_i32x4_shuffle(wasm_f32x4_demote_f64x2_zero(v.low), wasm_f32x4_demote_f64x2_zero(v.high), 0, 1, 4, 5);
}

inline D4 multiply_add(D4 x, D4 y, D4 z) {
  return {wasm_f64x2_add(wasm_f64x2_mul(x.low, y.low), z.low), wasm_f64x2_add(wasm_f64x2_mul(x.high, y.high), z.high)};
}

// Sums halfway between two floats of normal size, whose last 29 bits are 1 and zeros: as signed numbers these bits are
// the least there is. All other sums are the right float when they are rounded a second time.
constexpr int32_t kTie = INT32_MIN;
inline v128_t last_bits(D4 v) { return wasm_i32x4_shl(wasm_i32x4_shuffle(v.low, v.high, 0, 2, 4, 6), 3); }
inline v128_t ties(v128_t last_bits) { return wasm_i32x4_eq(last_bits, wasm_i32x4_splat(kTie)); }

inline bool any_tie(D4 a, D4 b, D4 c, D4 d) {
  const v128_t least =
      wasm_i32x4_min(wasm_i32x4_min(last_bits(a), last_bits(b)), wasm_i32x4_min(last_bits(c), last_bits(d)));
  return __builtin_expect(wasm_v128_any_true(ties(least)), 0);
}

// Lanes that become a subnormal float, or none although they are not 0: 0 < |v| < 2^-126.
inline v128_t subnormals(D4 v) {
  const v128_t high = wasm_i32x4_shuffle(v.low, v.high, 1, 3, 5, 7);
  // Twice the magnitude's bits, less 1 so that 0 becomes the largest, as signed numbers.
  const v128_t size = wasm_i32x4_add(wasm_i32x4_shl(high, 1), wasm_i32x4_splat(0x7fffffff));
  constexpr uint32_t kLeastNormal = 0x38100000;  // of 2^-126
  return wasm_i32x4_lt(size, wasm_i32x4_splat(static_cast<int32_t>(2 * kLeastNormal + 0x7fffffff)));
}

inline v128_t doubtful(D4 v) { return wasm_v128_or(ties(last_bits(v)), subnormals(v)); }

// The sum of a product and z, rounded to odd (Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums"),
// which leaves the second rounding, to a float, the right one.
inline v128_t odd_sum(v128_t product, v128_t z) {
  const v128_t sum = wasm_f64x2_add(product, z);
  const v128_t part = wasm_f64x2_sub(sum, product);  // Knuth's exact sum; NaN where `sum` is not finite
  const v128_t error = wasm_f64x2_add(wasm_f64x2_sub(product, wasm_f64x2_sub(sum, part)), wasm_f64x2_sub(z, part));
  const v128_t one = wasm_i64x2_splat(1);
  const v128_t inexact = wasm_f64x2_gt(wasm_f64x2_abs(error), wasm_f64x2_splat(0.0));
  const v128_t even = wasm_i64x2_eq(wasm_v128_and(sum, one), wasm_i64x2_splat(0));
  const v128_t outwards = wasm_v128_or(wasm_i64x2_shr(wasm_v128_xor(error, sum), 63), one);
  return wasm_i64x2_add(sum, wasm_v128_and(outwards, wasm_v128_and(inexact, even)));
}

inline F4 fused4(F4 x, F4 y, F4 z) {
  const D4 a = doubled(x), b = doubled(y), c = doubled(z);
  return rounded({odd_sum(wasm_f64x2_mul(a.low, b.low), c.low), odd_sum(wasm_f64x2_mul(a.high, b.high), c.high)});
}

// For sums that may be halfway.
__attribute__((noinline)) F16 carefully(F16 x, F16 y, F16 z) {
  return {fused4(x.a, y.a, z.a), fused4(x.b, y.b, z.b), fused4(x.c, y.c, z.c), fused4(x.d, y.d, z.d)};
}

inline bool any(v128_t a, v128_t b, v128_t c, v128_t d) {
  return __builtin_expect(wasm_v128_any_true(wasm_v128_or(wasm_v128_or(a, b), wasm_v128_or(c, d))), 0);
}

struct Exact {
  // Called: within all functions and products it would be a third of a megabyte.
  __attribute__((noinline)) static F16 fma16(F16 x, F16 y, F16 z) {
    const D4 a = multiply_add(doubled(x.a), doubled(y.a), doubled(z.a));
    const D4 b = multiply_add(doubled(x.b), doubled(y.b), doubled(z.b));
    const D4 c = multiply_add(doubled(x.c), doubled(y.c), doubled(z.c));
    const D4 d = multiply_add(doubled(x.d), doubled(y.d), doubled(z.d));
    if (any(doubtful(a), doubtful(b), doubtful(c), doubtful(d))) return carefully(x, y, z);
    return {rounded(a), rounded(b), rounded(c), rounded(d)};
  }

  static F4 fma4(F4 x, F4 y, F4 z) {
    const D4 sums = multiply_add(doubled(x), doubled(y), doubled(z));
    return __builtin_expect(wasm_v128_any_true(doubtful(sums)), 0) ? fused4(x, y, z) : rounded(sums);
  }
};

constexpr float kUnscale = 0x1p112f;

inline D4 times(D4 v, double by) {
  return {wasm_f64x2_mul(v.low, wasm_f64x2_splat(by)), wasm_f64x2_mul(v.high, wasm_f64x2_splat(by))};
}

// For weights times 2^-112: x, in double precision, is multiplied by as much. A weight is a multiple of 2^-24, x and z
// are of 2^-149: a sum below 2^-126 has 47 bits, which a double holds, and is not rounded twice.
struct ExactFp16 {
  static F16 fma16(F16 w, F16 x, F16 z) {
    const D4 a = multiply_add(doubled(w.a), times(doubled(x.a), kUnscale), doubled(z.a));
    const D4 b = multiply_add(doubled(w.b), times(doubled(x.b), kUnscale), doubled(z.b));
    const D4 c = multiply_add(doubled(w.c), times(doubled(x.c), kUnscale), doubled(z.c));
    const D4 d = multiply_add(doubled(w.d), times(doubled(x.d), kUnscale), doubled(z.d));
    if (any_tie(a, b, c, d)) return carefully(unscaled(w), x, z);
    return {rounded(a), rounded(b), rounded(c), rounded(d)};
  }
  static F16 unscaled(F16 w) {
    return map16([](F4 v) { return wasm_f32x4_mul(v, all4(kUnscale)); }, w);
  }
};

// The same with sums that stay in double precision, where they are floats, and one piece of x for all four rows.
struct WideSums {
  D4 a, b, c, d;

  WideSums() : a{zero4(), zero4()}, b(a), c(a), d(a) {}
  LINNET_INLINE void add(F16 w, F4 x) {
    const D4 piece = times(doubled(x), kUnscale);
    const D4 sums_a = multiply_add(doubled(w.a), piece, a), sums_b = multiply_add(doubled(w.b), piece, b);
    const D4 sums_c = multiply_add(doubled(w.c), piece, c), sums_d = multiply_add(doubled(w.d), piece, d);
    if (any_tie(sums_a, sums_b, sums_c, sums_d)) {
      const F16 sums = carefully(ExactFp16::unscaled(w), four_times(x), narrow());
      a = doubled(sums.a), b = doubled(sums.b), c = doubled(sums.c), d = doubled(sums.d);
      return;
    }
    a = once_rounded(sums_a), b = once_rounded(sums_b), c = once_rounded(sums_c), d = once_rounded(sums_d);
  }
  F16 narrow() const { return {rounded(a), rounded(b), rounded(c), rounded(d)}; }

 private:
  static v128_t once_rounded(v128_t v) { return wasm_f64x2_promote_low_f32x4(wasm_f32x4_demote_f64x2_zero(v)); }
  static D4 once_rounded(D4 v) { return {once_rounded(v.low), once_rounded(v.high)}; }
};

void wide_dense(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* panel = static_cast<const uint16_t*>(w.values);
  for (size_t row = 0; row < w.rows; row += 16, panel += size_t{16} * w.cols) {
    F16 halves[2];
    for (size_t odd = 0; odd < 2; ++odd) {
      WideSums sums;
      for (size_t c = odd; c < w.cols; c += 2) sums.add(ScaledFp16::load16(panel + 16 * c), all4(x[c]));
      halves[odd] = sums.narrow();
    }
    store_rows16(w, row, add16(halves[0], halves[1]), bias, y);
  }
}

// Blocks of kHalves registers' rows: kHalves times 4 x 4 weights.
template <size_t kHalves>
void wide_4x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* values = static_cast<const uint16_t*>(w.values);
  AnyIndex columns(w);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    for (size_t half = 0; half < 4 * kHalves; ++half) {
      const auto* v = values + 16 * half;
      AnyIndex j = columns + half / kHalves;
      WideSums sums;
      for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 64 * kHalves)
        sums.add(ScaledFp16::load16(v), load4(x + 4 * j[0]));
      const size_t row = 4 * (kHalves * quad->block_rows[half / kHalves] + half % kHalves);
      store_rows4(w, row, sums_of_4(sums.narrow()), bias, y);
    }
    values += size_t{64} * kHalves * quad->depth;
    columns += size_t{4} * quad->depth;
  }
}

void wide_16x1(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* values = static_cast<const uint16_t*>(w.values);
  AnyIndex columns(w);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    for (size_t k = 0; k < 4; ++k) {
      const auto* v = values + 16 * k;
      AnyIndex j = columns + k;
      WideSums sums;
      for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 64) sums.add(ScaledFp16::load16(v), all4(x[j[0]]));
      store_rows16(w, size_t{16} * quad->block_rows[k], sums.narrow(), bias, y);
    }
    values += size_t{64} * quad->depth;
    columns += size_t{4} * quad->depth;
  }
}

struct Fp16Products {
  static constexpr MatvecFn dense = wide_dense;
  static constexpr MatvecFn block_4x4 = wide_4x4<1>;
  static constexpr MatvecFn block_8x4 = wide_4x4<2>;
  static constexpr MatvecFn block_16x1 = wide_16x1;
  static constexpr MatvecFn block_1x16 = matvec_1x16<ExactFp16, ScaledFp16, AnyIndex>;
  static constexpr MatvecFn block_1x4 = matvec_1x4<ExactFp16, ScaledFp16, AnyIndex>;
};

template <class W>
using ExactProducts = Products<Exact, W, AnyIndex, AnyIndex>;

}  // namespace

void overlay_wasm_simd128(Kernels* kernels) {
  overlay_products<Fp16Products>(Dtype::fp16, kernels);
  overlay_products<ExactProducts<Bf16>>(Dtype::bf16, kernels);
  overlay_products<ExactProducts<Fp32>>(Dtype::fp32, kernels);
  overlay_conversions<Exact, Fp16>(Dtype::fp16, kernels);
  overlay_conversions<Exact, Bf16>(Dtype::bf16, kernels);
  overlay_conversions<Exact, Fp32>(Dtype::fp32, kernels);
  kernels->stream_limit[Dtype::fp16] = stream_limit<ExactFp16, ScaledFp16>;
  overlay_functions<Exact>(kernels);
  overlay_int8<Exact>(kernels);
}

}  // namespace linnet

#endif
