// Products of matrices of floats by sixteen floats at a time (F16), in the order of sums of portable.cpp, for sets
// whose compiler orders loops and deals out registers well enough. What a set says:
//
//   A      fma16(x, y, z): x y + z, rounded once
//   W      load16(p): sixteen stored weights, widened
//   X      four_times(x, block): four columns of x, four times
//   Index  uint8_t, uint16_t, or a class that is made of a matrix
//
// To be included as row_ends.h is, and after it; also needs all16, zero16, sixteen, sums_of_4 and quarters.
#pragma once

namespace linnet {
namespace {

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
template <class A, class W, class X, class Index>
void matvec_4x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  auto j = columns_of<Index>(w);
  const auto at = [&](int k) { return X::four_times(x, j[k]); };
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
template <class A, class W, class X, class Index>
void matvec_8x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  auto j = columns_of<Index>(w);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    for (size_t k = 0; k < 4; ++k) {
      const auto* u = v + 32 * k;
      auto i = j + k;
      F16 a = zero16(), b = zero16();
      for (uint32_t n = quad->depth; n != 0; --n, i += 4, u += 128) {
        const F16 piece = X::four_times(x, i[0]);
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
    store_quad(w, *quad, sums_of_4(sixteen(quarters(a), quarters(b), quarters(c), quarters(d))), bias, y);
  }
}

// One step is a block of each of four rows: sixteen weights, and four pieces of x.
template <class A, class W, class Index>
void matvec_1x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  auto j = columns_of<Index>(w);
  const auto at = [&](int k) { return load4(x + 4 * size_t{j[k]}); };
  const auto step = [&](F16 sums) {
    const F16 pieces = sixteen(at(0), at(1), at(2), at(3)), weights = W::load16(v);
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

template <class V, class A, class W>
float stream_limit(size_t n, const void* values) {
  const F16 x = all16(0.5f);
  F16 s0 = zero16(), s1 = zero16();
  const auto* v = static_cast<const typename W::Stored*>(values);
  for (const auto* end = v + n; v != end; v += 32) {
    s0 = A::fma16(W::load16(v), x, s0);
    s1 = A::fma16(W::load16(v + 16), x, s1);
  }
  return V::fold({add16(s0, s1)});
}

// A product for matrices with column indices of one byte, and of two.
template <class A, class W, class X, class Narrow, class Wide>
struct Products {
  static constexpr MatvecFn dense = matvec_dense<A, W>;
  static constexpr MatvecFn block_4x4 = by_index_width<matvec_4x4<A, W, X, Narrow>, matvec_4x4<A, W, X, Wide>>;
  static constexpr MatvecFn block_8x4 = by_index_width<matvec_8x4<A, W, X, Narrow>, matvec_8x4<A, W, X, Wide>>;
  static constexpr MatvecFn block_16x1 = by_index_width<matvec_16x1<A, W, Narrow>, matvec_16x1<A, W, Wide>>;
  static constexpr MatvecFn block_1x16 = by_index_width<matvec_1x16<A, W, Narrow>, matvec_1x16<A, W, Wide>>;
  static constexpr MatvecFn block_1x4 = by_index_width<matvec_1x4<A, W, Narrow>, matvec_1x4<A, W, Wide>>;
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

}  // namespace
}  // namespace linnet
