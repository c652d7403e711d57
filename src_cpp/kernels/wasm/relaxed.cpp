// WebAssembly with relaxed SIMD, whose multiply-add a machine may round once or twice: this set is for those that round
// once.
#include "kernels/sets.h"

#if defined(__wasm_relaxed_simd__)

#include "kernels/functions.h"

#include "kernels/wasm/wasm_common.h"

#include "kernels/row_ends.h"

#include "kernels/sixteen_lanes.h"

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

constexpr int kLeast = -149;  // no x is too small

template <class W>
using RelaxedProducts = Products<Relaxed, W, Once, uint8_t, uint16_t>;

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
  overlay_products<ScaledProducts<RelaxedProducts<ScaledFp16>, RelaxedProducts<Fp16>, kLeast>>(Dtype::fp16, kernels);
  overlay_products<RelaxedProducts<Bf16>>(Dtype::bf16, kernels);
  overlay_products<RelaxedProducts<Fp32>>(Dtype::fp32, kernels);
  overlay_conversions<Relaxed, Fp16>(Dtype::fp16, kernels);
  overlay_conversions<Relaxed, Bf16>(Dtype::bf16, kernels);
  overlay_conversions<Relaxed, Fp32>(Dtype::fp32, kernels);
  kernels->stream_limit[Dtype::fp16] = stream_limit<Simd128<Relaxed>, Relaxed, ScaledFp16>;
  overlay_functions<Relaxed>(kernels);
  overlay_int8<Relaxed>(kernels);
}

}  // namespace linnet

#endif
