// Products of floats with x prepared for them, and the overlay of all kernels. To be included after sixteen_lanes.h and
// int8_products.h.
#pragma once

namespace linnet {
namespace {

constexpr size_t kPrepared = 4096;  // floats: 16 KiB of stack

// prepared = x W::kOperand, four floats after another, each four kTimes times. False where one is too large for that,
// or not finite.
template <class W, size_t kTimes>
__attribute__((noinline)) bool prepare(size_t n, const float* x, float* prepared) {
  bool fit = true;
  size_t i = 0;
  I4 fits = -1;
  for (; i + 4 <= n; i += 4) {
    const F4 v = vector_at<F4>(x + i), scaled = v * W::kOperand;
    if (W::kOperand != 1.0f) fits &= __builtin_elementwise_abs(v) < 0x1p16f;
    for (size_t k = 0; k < kTimes; ++k) put(prepared + kTimes * i + 4 * k, scaled);
  }
  for (; i < n; ++i) {  // of layouts whose blocks have one column, whose x is not repeated
    fit = fit && (W::kOperand == 1.0f || fabsf(x[i]) < 0x1p16f);
    prepared[i] = x[i] * W::kOperand;
  }
  return fit && __builtin_reduce_and(fits) != 0;
}

// `prepared_product` with x times W::kOperand where that fits, else the one that takes x as it is.
template <class W, size_t kTimes, MatvecFn prepared_product, MatvecFn product>
void matvec_prepared(const Matrix& w, const float* x, const float* bias, float* y) {
  alignas(64) float prepared[kPrepared];
  const size_t n = w.padded_cols();
  if (kTimes * n <= kPrepared && prepare<W, kTimes>(n, x, prepared)) {
    prepared_product(w, prepared, bias, y);
  } else {
    product(w, x, bias, y);
  }
}

// W: weights times W::kOperand's inverse; Whole: weights as they are.
template <class W, class Whole>
void overlay(Dtype dtype, Kernels* kernels) {
  using Prepared = Products<Fused, W, Repeated, uint8_t, uint16_t>;
  using Plain = Products<Fused, Whole, Once, uint8_t, uint16_t>;
  overlay_products<Plain>(dtype, kernels);
  auto& matvec = kernels->matvec;
  matvec[Layout::block_4x4][dtype] = matvec_prepared<W, 4, Prepared::block_4x4, Plain::block_4x4>;
  matvec[Layout::block_8x4][dtype] = matvec_prepared<W, 4, Prepared::block_8x4, Plain::block_8x4>;
  if constexpr (W::kOperand != 1.0f) {
    matvec[Layout::dense][dtype] = matvec_prepared<W, 1, Prepared::dense, Plain::dense>;
    matvec[Layout::block_16x1][dtype] = matvec_prepared<W, 1, Prepared::block_16x1, Plain::block_16x1>;
    matvec[Layout::block_1x16][dtype] = matvec_prepared<W, 1, Prepared::block_1x16, Plain::block_1x16>;
    matvec[Layout::block_1x4][dtype] = matvec_prepared<W, 1, Prepared::block_1x4, Plain::block_1x4>;
  }
  kernels->widen[dtype] = widen<Whole>;
  kernels->stream_limit[dtype] = stream_limit<Rvv, Fused, W>;
}

inline void overlay_all(Kernels* kernels) {
  overlay<ScaledFp16, Fp16>(Dtype::fp16, kernels);
  overlay<Bf16, Bf16>(Dtype::bf16, kernels);
  overlay<Fp32, Fp32>(Dtype::fp32, kernels);
  overlay_int8(kernels);
  kernels->activate = activate<Rvv>;
  kernels->gates = gates<Rvv>;
  kernels->exponentials = exponentials<Rvv>;
  kernels->upsample = upsample<Rvv>;
  kernels->harmonics = harmonics<Rvv>;
  kernels->corrections = corrections<Rvv>;
  kernels->spectrum = spectrum<FourLanes>;
  kernels->from_spectrum = from_spectrum<FourLanes>;
  kernels->put_piece = put_piece<Rvv>;
}

}  // namespace
}  // namespace linnet
