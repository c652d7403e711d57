// WebAssembly with relaxed SIMD, whose multiply-add a machine may round once or twice: this set is for those that round
// once.
#include "kernels/sets.h"

#if defined(__wasm_relaxed_simd__)

#include "kernels/functions.h"

#include "kernels/wasm/wasm_common.h"

#include "kernels/wasm/products.h"

#include "kernels/wasm/int8_products.h"

namespace linnet {
namespace {

struct Relaxed {
  static F4 fma4(F4 x, F4 y, F4 z) { return wasm_f32x4_relaxed_madd(x, y, z); }
  static F16 fma16(F16 x, F16 y, F16 z) {
    return {fma4(x.a, y.a, z.a), fma4(x.b, y.b, z.b), fma4(x.c, y.c, z.c), fma4(x.d, y.d, z.d)};
  }
};

constexpr size_t kScaledFloats = 2048;  // 8 KiB of stack

// scaled = x 2^112. False where that is too large for an fp32: some |x| >= 2^16, or not finite.
bool scale(size_t n, const float* x, float* scaled) {
  F4 fits = wasm_i32x4_splat(-1);
  size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const F4 v = load4(x + i);
    fits = wasm_v128_and(fits, wasm_f32x4_lt(wasm_f32x4_abs(v), all4(0x1p16f)));
    store4(scaled + i, wasm_f32x4_mul(v, all4(0x1p112f)));
  }
  bool all_fit = wasm_i32x4_all_true(fits);
  for (; i < n; ++i) {
    all_fit = all_fit && fabsf(x[i]) < 0x1p16f;
    scaled[i] = x[i] * 0x1p112f;
  }
  return all_fit;
}

// The product with scaled x where that fits, else the one that widens weights to what they are.
template <MatvecFn scaled_product, MatvecFn product>
void matvec_fp16(const Matrix& w, const float* x, const float* bias, float* y) {
  alignas(64) float scaled[kScaledFloats];
  const size_t n = w.padded_cols();
  if (n <= kScaledFloats && scale(n, x, scaled)) {
    scaled_product(w, scaled, bias, y);
  } else {
    product(w, x, bias, y);
  }
}

template <class W>
using RelaxedProducts = Products<Relaxed, W, uint8_t, uint16_t>;

struct Fp16Products {
  using Scaled = RelaxedProducts<ScaledFp16>;
  using Widened = RelaxedProducts<Fp16>;
  static constexpr MatvecFn dense = matvec_fp16<Scaled::dense, Widened::dense>;
  static constexpr MatvecFn block_4x4 = matvec_fp16<Scaled::block_4x4, Widened::block_4x4>;
  static constexpr MatvecFn block_8x4 = matvec_fp16<Scaled::block_8x4, Widened::block_8x4>;
  static constexpr MatvecFn block_16x1 = matvec_fp16<Scaled::block_16x1, Widened::block_16x1>;
  static constexpr MatvecFn block_1x16 = matvec_fp16<Scaled::block_1x16, Widened::block_1x16>;
  static constexpr MatvecFn block_1x4 = matvec_fp16<Scaled::block_1x4, Widened::block_1x4>;
};

}  // namespace

// Sums that are others where the product is rounded before: its last bit is all that is left; it underflows; it
// overflows; it lies a little below what would make a tie.
bool relaxed_madd_fuses() {
  volatile float numbers[3][4] = {{1.0f + 0x1p-12f, 0x1p-100f, 0x1p127f, 1.0f + 0x1p-23f},
                                  {1.0f + 0x1p-12f, 0x1p-50f, 2.0f, 0x1p-24f - 0x1p-47f},
                                  {-1.0f - 0x1p-11f, 0x1p-149f, -0x1p127f, 1.0f + 0x1p-23f}};
  float in[3][4], out[4];
  for (int i = 0; i < 12; ++i) in[i / 4][i % 4] = numbers[i / 4][i % 4];
  store4(out, Relaxed::fma4(load4(in[0]), load4(in[1]), load4(in[2])));
  for (int i = 0; i < 4; ++i) {
    if (bits_of(out[i]) != bits_of(fused(in[0][i], in[1][i], in[2][i]))) return false;
  }
  return true;
}

void overlay_wasm_relaxed(Kernels* kernels) {
  overlay_products<Fp16Products>(Dtype::fp16, kernels);
  overlay_products<RelaxedProducts<Bf16>>(Dtype::bf16, kernels);
  overlay_products<RelaxedProducts<Fp32>>(Dtype::fp32, kernels);
  overlay_conversions<Relaxed, Fp16>(Dtype::fp16, kernels);
  overlay_conversions<Relaxed, Bf16>(Dtype::bf16, kernels);
  overlay_conversions<Relaxed, Fp32>(Dtype::fp32, kernels);
  kernels->stream_limit[Dtype::fp16] = stream_limit<Relaxed, ScaledFp16>;
  overlay_functions<Relaxed>(kernels);
  overlay_int8<Relaxed>(kernels);
}

}  // namespace linnet

#endif
