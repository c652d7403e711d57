// WebAssembly with 128-bit registers, which has no fused multiply-add: by double precision.
#include "kernels/sets.h"

#if defined(__wasm_simd128__)

#include "kernels/functions.h"

#include "kernels/wasm/wasm_common.h"

#include "kernels/row_ends.h"

#include "kernels/sixteen_lanes.h"

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

// Lanes that lie halfway between two floats of normal size. All others are the right float when they are rounded a
// second time.
inline v128_t ties(D4 v) {
  const v128_t low = wasm_i32x4_shuffle(v.low, v.high, 0, 2, 4, 6);
  return wasm_i32x4_eq(wasm_v128_and(low, wasm_i32x4_splat(0x1fffffff)), wasm_i32x4_splat(0x10000000));
}

// Lanes that become a subnormal float, or none although they are not 0: 0 < |v| < 2^-126.
inline v128_t subnormals(D4 v) {
  const v128_t high = wasm_i32x4_shuffle(v.low, v.high, 1, 3, 5, 7);
  // Twice the magnitude's bits, less 1 so that 0 becomes the largest, as signed numbers.
  const v128_t size = wasm_i32x4_add(wasm_i32x4_shl(high, 1), wasm_i32x4_splat(0x7fffffff));
  constexpr uint32_t kLeastNormal = 0x38100000;  // of 2^-126
  return wasm_i32x4_lt(size, wasm_i32x4_splat(static_cast<int32_t>(2 * kLeastNormal + 0x7fffffff)));
}

inline v128_t doubtful(D4 v) { return wasm_v128_or(ties(v), subnormals(v)); }

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

struct Sum {
  F4 sum;
  v128_t doubtful;  // lanes
};

// For fp16 weights times 2^-112 and x times 2^112, in single precision. A weight has 11 bits: its products with the
// first 13 bits of x and with the other 11 are exact. Knuth's sum of z and the first leaves an error; where the sum of
// that and the second product is exact, one rounding is left. It seldom is not: z is 2^14 times the product, or less
// than a 2^14th.
LINNET_INLINE Sum split_multiply_add(F4 w, F4 x, F4 z) {
  const F4 high = wasm_v128_and(x, wasm_i32x4_splat(static_cast<int32_t>(0xfffff800u)));
  const F4 product = wasm_f32x4_mul(w, high), rest = wasm_f32x4_mul(w, wasm_f32x4_sub(x, high));
  const F4 sum = add4(z, product), part = wasm_f32x4_sub(sum, z);
  const F4 error = add4(wasm_f32x4_sub(z, wasm_f32x4_sub(sum, part)), wasm_f32x4_sub(product, part));
  const F4 more = add4(error, rest);
  // Of the two differences, that from the larger one is exact.
  const v128_t doubtful =
      wasm_v128_or(wasm_f32x4_ne(wasm_f32x4_sub(more, error), rest), wasm_f32x4_ne(wasm_f32x4_sub(more, rest), error));
  return {add4(sum, more), doubtful};
}

struct Split {
  LINNET_INLINE static F16 fma16(F16 w, F16 x, F16 z) {
    const Sum a = split_multiply_add(w.a, x.a, z.a), b = split_multiply_add(w.b, x.b, z.b);
    const Sum c = split_multiply_add(w.c, x.c, z.c), d = split_multiply_add(w.d, x.d, z.d);
    if (any(a.doubtful, b.doubtful, c.doubtful, d.doubtful)) return carefully_unscaled(w, x, z);
    return {a.sum, b.sum, c.sum, d.sum};
  }
  __attribute__((noinline)) static F16 carefully_unscaled(F16 w, F16 x, F16 z) {
    const auto larger = [](F4 v) { return wasm_f32x4_mul(v, all4(0x1p112f)); };
    const auto smaller = [](F4 v) { return wasm_f32x4_mul(v, all4(0x1p-112f)); };
    return carefully(map16(larger, w), map16(smaller, x), z);
  }
};

// Below it, what a product leaves might be less than the least float: products are multiples of 2^-24 2^(kLeast - 23).
constexpr int kLeast = -90;

using SplitProducts = Products<Split, ScaledFp16, Once, AnyIndex, AnyIndex>;
using ExactProducts = Products<Exact, Fp16, Once, AnyIndex, AnyIndex>;

}  // namespace

// Without products of bf16 and fp32: by `Exact` they would gain little (of fp16, 33 ns per 16 weights of 4x4 blocks;
// portable 51).
void overlay_wasm_simd128(Kernels* kernels) {
  overlay_products<ScaledProducts<SplitProducts, ExactProducts, kLeast>>(Dtype::fp16, kernels);
  overlay_conversions<Exact, Fp16>(Dtype::fp16, kernels);
  overlay_conversions<Exact, Bf16>(Dtype::bf16, kernels);
  overlay_conversions<Exact, Fp32>(Dtype::fp32, kernels);
  kernels->stream_limit[Dtype::fp16] = stream_limit<Simd128<Split>, Split, ScaledFp16>;
  overlay_functions<Exact>(kernels);
  overlay_int8<Exact>(kernels);
}

}  // namespace linnet

#endif
