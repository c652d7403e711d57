// Products of matrices of floats with RISC-V's vectors, in the order of sums of portable.cpp, and the overlay of all
// kernels. To be included after functions.h and int8_products.h.
#pragma once

namespace linnet {
namespace {

// Panels of 16 rows: two sets of sums, even and odd columns.
template <class W>
void matvec_dense(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  for (size_t row = 0; row < w.rows; row += 16) {
    F16 p = 0.0f, q = 0.0f;
    size_t c = 0;
    for (; c + 2 <= w.cols; c += 2, v += 32) {
      p = fma16(W::load16(v), x[c], p);
      q = fma16(W::load16(v + 16), x[c + 1], q);
    }
    if (c < w.cols) {
      p = fma16(W::load16(v), x[c], p);
      v += 16;
    }
    store_rows16(w, row, p + q, bias, y);
  }
}

template <class W, class X, class Index>
void matvec_4x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    F16 a = 0.0f, b = 0.0f, c = 0.0f, d = 0.0f;
    for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 64) {
      a = fma16(W::load16(v), X::four_times(x, j[0]), a);
      b = fma16(W::load16(v + 16), X::four_times(x, j[1]), b);
      c = fma16(W::load16(v + 32), X::four_times(x, j[2]), c);
      d = fma16(W::load16(v + 48), X::four_times(x, j[3]), d);
    }
    store_rows4(w, size_t{4} * quad->block_rows[0], sums_of_4(a), bias, y);
    store_rows4(w, size_t{4} * quad->block_rows[1], sums_of_4(b), bias, y);
    store_rows4(w, size_t{4} * quad->block_rows[2], sums_of_4(c), bias, y);
    store_rows4(w, size_t{4} * quad->block_rows[3], sums_of_4(d), bias, y);
  }
}

// One block row of the quad at a time. One piece of x serves thirty-two weights.
template <class W, class X, class Index>
void matvec_8x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    for (size_t k = 0; k < 4; ++k) {
      const auto* u = v + 32 * k;
      const Index* i = j + k;
      F16 a = 0.0f, b = 0.0f;
      for (uint32_t n = quad->depth; n != 0; --n, i += 4, u += 128) {
        const F16 piece = X::four_times(x, i[0]);
        a = fma16(W::load16(u), piece, a);
        b = fma16(W::load16(u + 16), piece, b);
      }
      store_rows4(w, size_t{8} * quad->block_rows[k], sums_of_4(a), bias, y);
      store_rows4(w, size_t{8} * quad->block_rows[k] + 4, sums_of_4(b), bias, y);
    }
    v += size_t{128} * quad->depth;
    j += size_t{4} * quad->depth;
  }
}

template <class W, class Index>
void matvec_16x1(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    F16 a = 0.0f, b = 0.0f, c = 0.0f, d = 0.0f;
    for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 64) {
      a = fma16(W::load16(v), x[j[0]], a);
      b = fma16(W::load16(v + 16), x[j[1]], b);
      c = fma16(W::load16(v + 32), x[j[2]], c);
      d = fma16(W::load16(v + 48), x[j[3]], d);
    }
    store_rows16(w, size_t{16} * quad->block_rows[0], a, bias, y);
    store_rows16(w, size_t{16} * quad->block_rows[1], b, bias, y);
    store_rows16(w, size_t{16} * quad->block_rows[2], c, bias, y);
    store_rows16(w, size_t{16} * quad->block_rows[3], d, bias, y);
  }
}

template <class W, class Index>
void matvec_1x16(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    F16 a = 0.0f, b = 0.0f, c = 0.0f, d = 0.0f;
    for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 64) {
      a = fma16(W::load16(v), vector_at<F16>(x + 16 * size_t{j[0]}), a);
      b = fma16(W::load16(v + 16), vector_at<F16>(x + 16 * size_t{j[1]}), b);
      c = fma16(W::load16(v + 32), vector_at<F16>(x + 16 * size_t{j[2]}), c);
      d = fma16(W::load16(v + 48), vector_at<F16>(x + 16 * size_t{j[3]}), d);
    }
    const float sums[4] = {Rvv::fold({a}), Rvv::fold({b}), Rvv::fold({c}), Rvv::fold({d})};
    for (size_t k = 0; k < 4; ++k) store_rest(w, quad->block_rows[k], sums[k], bias, y);
  }
}

// One step is a block of each of four rows: sixteen weights, and four pieces of x.
template <class W, class Index>
void matvec_1x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  const auto step = [&](F16 sums) {
    const auto at = [&](size_t k) { return vector_at<F4>(x + 4 * size_t{j[k]}); };
    const F16 pieces = join(join(at(0), at(1)), join(at(2), at(3)));
    const F16 weights = W::load16(v);
    j += 4;
    v += 16;
    return fma16(weights, pieces, sums);
  };
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    F16 even = 0.0f, odd = 0.0f;
    uint32_t n = quad->depth;
    for (; n >= 2; n -= 2) {
      even = step(even);
      odd = step(odd);
    }
    if (n != 0) even = step(even);
    const F4 sums = sums_of_4(even + odd);
    for (size_t k = 0; k < 4; ++k) store_rest(w, quad->block_rows[k], sums[k], bias, y);
  }
}

template <class W>
float stream_limit(size_t n, const void* values) {
  F16 a = 0.0f, b = 0.0f;
  const auto* v = static_cast<const typename W::Stored*>(values);
  for (const auto* end = v + n; v != end; v += 32) {
    a = fma16(W::load16(v), 0.5f, a);
    b = fma16(W::load16(v + 16), 0.5f, b);
  }
  return Rvv::fold({a + b});
}

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

template <class W, class X>
struct Products {
  static constexpr MatvecFn dense = matvec_dense<W>;
  static constexpr MatvecFn block_4x4 = by_index_width<matvec_4x4<W, X, uint8_t>, matvec_4x4<W, X, uint16_t>>;
  static constexpr MatvecFn block_8x4 = by_index_width<matvec_8x4<W, X, uint8_t>, matvec_8x4<W, X, uint16_t>>;
  static constexpr MatvecFn block_16x1 = by_index_width<matvec_16x1<W, uint8_t>, matvec_16x1<W, uint16_t>>;
  static constexpr MatvecFn block_1x16 = by_index_width<matvec_1x16<W, uint8_t>, matvec_1x16<W, uint16_t>>;
  static constexpr MatvecFn block_1x4 = by_index_width<matvec_1x4<W, uint8_t>, matvec_1x4<W, uint16_t>>;
};

// W: weights times W::kOperand's inverse; Whole: weights as they are.
template <class W, class Whole>
void overlay(Dtype dtype, Kernels* kernels) {
  using Prepared = Products<W, Repeated>;
  using Plain = Products<Whole, Once>;
  auto& matvec = kernels->matvec;
  matvec[Layout::block_4x4][dtype] = matvec_prepared<W, 4, Prepared::block_4x4, Plain::block_4x4>;
  matvec[Layout::block_8x4][dtype] = matvec_prepared<W, 4, Prepared::block_8x4, Plain::block_8x4>;
  if constexpr (W::kOperand != 1.0f) {
    matvec[Layout::dense][dtype] = matvec_prepared<W, 1, Prepared::dense, Plain::dense>;
    matvec[Layout::block_16x1][dtype] = matvec_prepared<W, 1, Prepared::block_16x1, Plain::block_16x1>;
    matvec[Layout::block_1x16][dtype] = matvec_prepared<W, 1, Prepared::block_1x16, Plain::block_1x16>;
    matvec[Layout::block_1x4][dtype] = matvec_prepared<W, 1, Prepared::block_1x4, Plain::block_1x4>;
  } else {
    matvec[Layout::dense][dtype] = Plain::dense;
    matvec[Layout::block_16x1][dtype] = Plain::block_16x1;
    matvec[Layout::block_1x16][dtype] = Plain::block_1x16;
    matvec[Layout::block_1x4][dtype] = Plain::block_1x4;
  }
  kernels->widen[dtype] = widen<Whole>;
  kernels->stream_limit[dtype] = stream_limit<W>;
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
  kernels->put_piece = put_piece<Rvv>;
}

}  // namespace
}  // namespace linnet
