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

// One by one, for sums that may be halfway.
__attribute__((noinline)) F16 carefully(F16 x, F16 y, F16 z) {
  float a[16], b[16], c[16];
  store16(a, x);
  store16(b, y);
  store16(c, z);
  for (int i = 0; i < 16; ++i) c[i] = fused(a[i], b[i], c[i]);
  return load16(c);
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
    if (wasm_v128_any_true(doubtful(sums))) return carefully(four_times(x), four_times(y), four_times(z)).a;
    return rounded(sums);
  }
};

// For weights times 2^-112: x, in double precision, is multiplied by as much. A weight is a multiple of 2^-24, x and z
// are of 2^-149: a sum below 2^-126 has 47 bits, which a double holds, and is not rounded twice.
struct ExactFp16 {
  static D4 scaled(F4 x) {
    const v128_t by = wasm_f64x2_splat(0x1p112);
    const D4 v = doubled(x);
    return {wasm_f64x2_mul(v.low, by), wasm_f64x2_mul(v.high, by)};
  }
  static F16 fma16(F16 w, F16 x, F16 z) {
    const D4 a = multiply_add(doubled(w.a), scaled(x.a), doubled(z.a));
    const D4 b = multiply_add(doubled(w.b), scaled(x.b), doubled(z.b));
    const D4 c = multiply_add(doubled(w.c), scaled(x.c), doubled(z.c));
    const D4 d = multiply_add(doubled(w.d), scaled(x.d), doubled(z.d));
    if (any(ties(a), ties(b), ties(c), ties(d))) {
      const auto unscaled = [](F4 v) { return wasm_f32x4_mul(v, all4(0x1p112f)); };
      return carefully(map16(unscaled, w), x, z);
    }
    return {rounded(a), rounded(b), rounded(c), rounded(d)};
  }
};

template <class A, class W>
using ExactProducts = Products<A, W, AnyIndex, AnyIndex>;

}  // namespace

void overlay_wasm_simd128(Kernels* kernels) {
  overlay_products<ExactProducts<ExactFp16, ScaledFp16>>(Dtype::fp16, kernels);
  overlay_products<ExactProducts<Exact, Bf16>>(Dtype::bf16, kernels);
  overlay_products<ExactProducts<Exact, Fp32>>(Dtype::fp32, kernels);
  overlay_conversions<Exact, Fp16>(Dtype::fp16, kernels);
  overlay_conversions<Exact, Bf16>(Dtype::bf16, kernels);
  overlay_conversions<Exact, Fp32>(Dtype::fp32, kernels);
  kernels->stream_limit[Dtype::fp16] = stream_limit<ExactFp16, ScaledFp16>;
  overlay_functions<Exact>(kernels);
  overlay_int8<Exact>(kernels);
}

}  // namespace linnet

#endif
