// Products of matrices of floats, in the order of sums of portable.cpp, for an arithmetic A, weights W, and column
// indices Index: uint8_t, uint16_t or AnyIndex. To be included after wasm_common.h.
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

template <class Index>
inline auto columns_of(const Matrix& w) {
  if constexpr (sizeof(Index) <= 2) {
    return static_cast<const Index*>(w.columns);
  } else {
    return Index(w);
  }
}

// Panels of 16 rows: two sets of sums, even and odd columns.
template <class A, class W>
void matvec_dense(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  const auto column = [&](F16 sums, float at) {
    const F16 weights = W::load16(v);
    v += 16;
    return A::fma16(weights, all16(at), sums);
  };
  for (size_t row = 0; row < w.rows; row += 16) {
    F16 p = zero16(), q = zero16();
    size_t c = 0;
    for (; c + 2 <= w.cols; c += 2) {
      p = column(p, x[c]);
      q = column(q, x[c + 1]);
    }
    if (c < w.cols) p = column(p, x[c]);
    store_rows16(w, row, add16(p, q), bias, y);
  }
}

// A register holds one row of a block.
template <class A, class W, class Index>
void matvec_4x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  auto j = columns_of<Index>(w);
  const auto at = [&](int k) { return four_times(load4(x + 4 * size_t{j[k]})); };
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    F16 a = zero16(), b = zero16(), c = zero16(), d = zero16();
    for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 64) {
      a = A::fma16(W::load16(v), at(0), a);
      b = A::fma16(W::load16(v + 16), at(1), b);
      c = A::fma16(W::load16(v + 32), at(2), c);
      d = A::fma16(W::load16(v + 48), at(3), d);
    }
    store_rows4(w, size_t{4} * quad->block_rows[0], sums_of_4(a), bias, y);
    store_rows4(w, size_t{4} * quad->block_rows[1], sums_of_4(b), bias, y);
    store_rows4(w, size_t{4} * quad->block_rows[2], sums_of_4(c), bias, y);
    store_rows4(w, size_t{4} * quad->block_rows[3], sums_of_4(d), bias, y);
  }
}

// One block row of the quad at a time. One piece of x serves thirty-two weights.
template <class A, class W, class Index>
void matvec_8x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  auto j = columns_of<Index>(w);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    for (size_t k = 0; k < 4; ++k) {
      const auto* u = v + 32 * k;
      auto i = j + k;
      F16 a = zero16(), b = zero16();
      for (uint32_t n = quad->depth; n != 0; --n, i += 4, u += 128) {
        const F16 piece = four_times(load4(x + 4 * size_t{i[0]}));
        a = A::fma16(W::load16(u), piece, a);
        b = A::fma16(W::load16(u + 16), piece, b);
      }
      store_rows4(w, size_t{8} * quad->block_rows[k], sums_of_4(a), bias, y);
      store_rows4(w, size_t{8} * quad->block_rows[k] + 4, sums_of_4(b), bias, y);
    }
    v += size_t{128} * quad->depth;
    j += size_t{4} * quad->depth;
  }
}

template <class A, class W, class Index>
void matvec_16x1(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  auto j = columns_of<Index>(w);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    F16 a = zero16(), b = zero16(), c = zero16(), d = zero16();
    for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 64) {
      a = A::fma16(W::load16(v), all16(x[j[0]]), a);
      b = A::fma16(W::load16(v + 16), all16(x[j[1]]), b);
      c = A::fma16(W::load16(v + 32), all16(x[j[2]]), c);
      d = A::fma16(W::load16(v + 48), all16(x[j[3]]), d);
    }
    store_rows16(w, size_t{16} * quad->block_rows[0], a, bias, y);
    store_rows16(w, size_t{16} * quad->block_rows[1], b, bias, y);
    store_rows16(w, size_t{16} * quad->block_rows[2], c, bias, y);
    store_rows16(w, size_t{16} * quad->block_rows[3], d, bias, y);
  }
}

template <class A, class W, class Index>
void matvec_1x16(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  auto j = columns_of<Index>(w);
  const auto at = [&](int k) { return load16(x + 16 * size_t{j[k]}); };
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    F16 a = zero16(), b = zero16(), c = zero16(), d = zero16();
    for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 64) {
      a = A::fma16(W::load16(v), at(0), a);
      b = A::fma16(W::load16(v + 16), at(1), b);
      c = A::fma16(W::load16(v + 32), at(2), c);
      d = A::fma16(W::load16(v + 48), at(3), d);
    }
    store_quad(w, *quad, sums_of_4({quarters(a), quarters(b), quarters(c), quarters(d)}), bias, y);
  }
}

// One step is a block of each of four rows: sixteen weights, and four pieces of x.
template <class A, class W, class Index>
void matvec_1x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  auto j = columns_of<Index>(w);
  const auto at = [&](int k) { return load4(x + 4 * size_t{j[k]}); };
  const auto step = [&](F16 sums) {
    const F16 pieces = {at(0), at(1), at(2), at(3)}, weights = W::load16(v);
    j += 4;
    v += 16;
    return A::fma16(weights, pieces, sums);
  };
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    F16 even = zero16(), odd = zero16();
    uint32_t n = quad->depth;
    for (; n >= 2; n -= 2) {
      even = step(even);
      odd = step(odd);
    }
    if (n != 0) even = step(even);
    store_quad(w, *quad, sums_of_4(add16(even, odd)), bias, y);
  }
}

template <class A, class W>
float stream_limit(size_t n, const void* values) {
  const F16 x = all16(0.5f);
  F16 s0 = zero16(), s1 = zero16();
  const auto* v = static_cast<const typename W::Stored*>(values);
  for (const auto* end = v + n; v != end; v += 32) {
    s0 = A::fma16(W::load16(v), x, s0);
    s1 = A::fma16(W::load16(v + 16), x, s1);
  }
  return Simd128<A>::fold({add16(s0, s1)});
}

// A product for matrices with column indices of one byte, and of two.
template <class A, class W, class Narrow, class Wide>
struct Products {
  static constexpr MatvecFn dense = matvec_dense<A, W>;
  static constexpr MatvecFn block_4x4 = by_index_width<matvec_4x4<A, W, Narrow>, matvec_4x4<A, W, Wide>>;
  static constexpr MatvecFn block_8x4 = by_index_width<matvec_8x4<A, W, Narrow>, matvec_8x4<A, W, Wide>>;
  static constexpr MatvecFn block_16x1 = by_index_width<matvec_16x1<A, W, Narrow>, matvec_16x1<A, W, Wide>>;
  static constexpr MatvecFn block_1x16 = by_index_width<matvec_1x16<A, W, Narrow>, matvec_1x16<A, W, Wide>>;
  static constexpr MatvecFn block_1x4 = by_index_width<matvec_1x4<A, W, Narrow>, matvec_1x4<A, W, Wide>>;
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

template <class P>
void overlay_products(Dtype dtype, Kernels* kernels) {
  kernels->matvec[Layout::dense][dtype] = P::dense;
  kernels->matvec[Layout::block_4x4][dtype] = P::block_4x4;
  kernels->matvec[Layout::block_8x4][dtype] = P::block_8x4;
  kernels->matvec[Layout::block_16x1][dtype] = P::block_16x1;
  kernels->matvec[Layout::block_1x16][dtype] = P::block_1x16;
  kernels->matvec[Layout::block_1x4][dtype] = P::block_1x4;
}

template <class A, class W>
void overlay_conversions(Dtype dtype, Kernels* kernels) {
  kernels->widen[dtype] = widen<W>;
  kernels->stream_limit[dtype] = stream_limit<A, W>;
}

template <class A>
void overlay_functions(Kernels* kernels) {
  using V = Simd128<A>;
  kernels->activate = activate<V>;
  kernels->gates = gates<V>;
  kernels->exponentials = exponentials<V>;
  kernels->upsample = upsample<V>;
  kernels->harmonics = harmonics<V>;
  kernels->put_piece = put_piece<V>;
}

}  // namespace
}  // namespace linnet
