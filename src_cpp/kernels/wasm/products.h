// Products of fp16 with x scaled, and what the overlays of the sets for WebAssembly share. To be included after
// sixteen_lanes.h.
#pragma once

namespace linnet {
namespace {

// Of one byte or two, told apart each time: half the code, for an arithmetic beside which that takes no time.
class AnyIndex {
 public:
  explicit AnyIndex(const Matrix& w) : at_(static_cast<const uint8_t*>(w.columns)), width_(w.index_width) {}
  size_t operator[](size_t k) const { return width_ == 1 ? at_[k] : reinterpret_cast<const uint16_t*>(at_)[k]; }
  AnyIndex operator+(size_t k) const { return AnyIndex(*this) += k; }
  AnyIndex& operator+=(size_t k) {
    at_ += k * width_;
    return *this;
  }

 private:
  const uint8_t* at_;
  uint32_t width_;
};

constexpr size_t kScaledFloats = 2048;  // 8 KiB of stack

// scaled = x 2^112. False where that is too large for an fp32: some |x| >= 2^16, or not finite; or where some x other
// than 0 is below 2^kLeast.
template <int kLeast>
bool scale(size_t n, const float* x, float* scaled) {
  const float least = ldexpf(1.0f, kLeast);
  F4 fits = wasm_i32x4_splat(-1);
  size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const F4 v = load4(x + i), size = wasm_f32x4_abs(v);
    const F4 small = wasm_v128_and(wasm_f32x4_lt(size, all4(least)), wasm_f32x4_ne(v, zero4()));
    fits = wasm_v128_and(fits, wasm_v128_andnot(wasm_f32x4_lt(size, all4(0x1p16f)), small));
    store4(scaled + i, wasm_f32x4_mul(v, all4(0x1p112f)));
  }
  bool all_fit = wasm_i32x4_all_true(fits);
  for (; i < n; ++i) {
    const float size = fabsf(x[i]);
    all_fit = all_fit && size < 0x1p16f && (size >= least || size == 0.0f);
    scaled[i] = x[i] * 0x1p112f;
  }
  return all_fit;
}

// The product with scaled x where that fits, else the one that widens weights to what they are.
template <MatvecFn scaled_product, MatvecFn product, int kLeast>
void matvec_fp16(const Matrix& w, const float* x, const float* bias, float* y) {
  alignas(64) float scaled[kScaledFloats];
  const size_t n = w.padded_cols();
  if (n <= kScaledFloats && scale<kLeast>(n, x, scaled)) {
    scaled_product(w, scaled, bias, y);
  } else {
    product(w, x, bias, y);
  }
}

template <class Scaled, class Widened, int kLeast>
struct ScaledProducts {
  static constexpr MatvecFn dense = matvec_fp16<Scaled::dense, Widened::dense, kLeast>;
  static constexpr MatvecFn block_4x4 = matvec_fp16<Scaled::block_4x4, Widened::block_4x4, kLeast>;
  static constexpr MatvecFn block_8x4 = matvec_fp16<Scaled::block_8x4, Widened::block_8x4, kLeast>;
  static constexpr MatvecFn block_16x1 = matvec_fp16<Scaled::block_16x1, Widened::block_16x1, kLeast>;
  static constexpr MatvecFn block_1x16 = matvec_fp16<Scaled::block_1x16, Widened::block_1x16, kLeast>;
  static constexpr MatvecFn block_1x4 = matvec_fp16<Scaled::block_1x4, Widened::block_1x4, kLeast>;
};

template <class A, class W>
void overlay_conversions(Dtype dtype, Kernels* kernels) {
  kernels->widen[dtype] = widen<W>;
  kernels->stream_limit[dtype] = stream_limit<Simd128<A>, A, W>;
}

template <class A>
void overlay_functions(Kernels* kernels) {
  using V = Simd128<A>;
  kernels->activate = activate<V>;
  kernels->gates = gates<V>;
  kernels->exponentials = exponentials<V>;
  kernels->upsample = upsample<V>;
  kernels->harmonics = harmonics<V>;
  kernels->corrections = corrections<V>;
  kernels->put_piece = put_piece<V>;
}

}  // namespace
}  // namespace linnet
