// Products of one matrix with several vectors, with 256-bit registers. To be included within a target region, as
// avx2_common.h.
//
// Weights are loaded and widened once for `lanes` vectors, and each load of x serves two registers of weights, so that
// the rate of multiply-adds bounds these loops (two a cycle on a Zen 4 core), where loads bound a single product. To
// that end the pieces of x that a block meets are packed, side by side for all vectors. Measured there, fp16 4x4, 3072
// x 1024, 95 % zeros, eight vectors, as a share of that rate: this 0.81 (single products: 0.52); a vector per lane of a
// register, so that every weight is broadcast by a shuffle, 0.62, or by a load, 0.36; 512-bit registers, 0.57.
#pragma once

#include "kernels/x86/avx2_common.h"
#include "kernels/x86/avx2_pack.h"

namespace linnet {
namespace {

// Sums of sixteen weights' products for each vector.
template <int lanes>
struct Sums {
  F8 low[lanes], high[lanes];
};

template <int lanes>
inline Sums<lanes> no_sums() {
  Sums<lanes> s;
  LINNET_UNROLL
  for (int l = 0; l < lanes; ++l) s.low[l] = s.high[l] = zero8();
  return s;
}

// Sixteen rows of each vector's sums.
template <Dtype D, int lanes>
inline void store_rows16_of_all(size_t row, size_t rows, const Sums<lanes>& s, const float* bias, float* const* y) {
  LINNET_UNROLL
  for (int l = 0; l < lanes; ++l) store_rows16(row, rows, Weights<D>::sorted(s.low[l], s.high[l]), bias, y[l]);
}

// Blocks of sixteen weights, one block row after the other. Each shape says how x is packed (kPiece floats of every
// vector meet a block), how a block is loaded and multiplied, and where its sums go.

struct Block4x4 {
  static constexpr size_t kPiece = 4;

  template <int lanes>
  static void pack(uint32_t cols, const float* const* x, float* packed) {
    pack_fours<lanes>(cols, x, packed);
  }

  template <Dtype D>
  static F8x2 load(const typename Weights<D>::Stored* v) {
    return Weights<D>::load_pair(v);
  }

  template <int lanes>
  static void add(F8x2 weights, const float* x, Sums<lanes>* s) {
    LINNET_UNROLL
    for (int l = 0; l < lanes; ++l) {
      const F8 piece = twice4(x + 4 * l);
      s->low[l] = fma8(weights.low, piece, s->low[l]);
      s->high[l] = fma8(weights.high, piece, s->high[l]);
    }
  }

  template <Dtype D, int lanes>
  static void store(size_t block_row, size_t rows, const Sums<lanes>& s, const float* bias, float* const* y) {
    const size_t row = 4 * block_row;
    const bool whole = row + 4 <= rows;
    const F8 b = whole && bias ? twice4(bias + row) : zero8();
    LINNET_UNROLL
    for (int l = 0; l < lanes; l += 2) {
      const F8 two = sum_pairs(sum_pairs(s.low[l], s.high[l]), sum_pairs(s.low[l + 1], s.high[l + 1]));
      const F8 sorted = Weights<D>::sorted_rows_of_two(two);
      if (whole) {
        const F8 sums = add8(sorted, b);
        _mm_storeu_ps(y[l] + row, low4(sums));
        _mm_storeu_ps(y[l + 1] + row, high4(sums));
      } else {
        float t[8];
        store8(t, sorted);
        store_rest(t, row, 4, rows, bias, y[l]);
        store_rest(t + 4, row, 4, rows, bias, y[l + 1]);
      }
    }
  }
};

struct Block16x1 {
  static constexpr size_t kPiece = 1;

  template <int lanes>
  static void pack(uint32_t cols, const float* const* x, float* packed) {
    pack_columns<lanes>(cols, x, packed);
  }

  template <Dtype D>
  static F8x2 load(const typename Weights<D>::Stored* v) {
    return Weights<D>::load_pair(v);
  }

  template <int lanes>
  static void add(F8x2 weights, const float* x, Sums<lanes>* s) {
    LINNET_UNROLL
    for (int l = 0; l < lanes; ++l) {
      const F8 piece = all8(x[l]);
      s->low[l] = fma8(weights.low, piece, s->low[l]);
      s->high[l] = fma8(weights.high, piece, s->high[l]);
    }
  }

  template <Dtype D, int lanes>
  static void store(size_t block_row, size_t rows, const Sums<lanes>& s, const float* bias, float* const* y) {
    store_rows16_of_all<D>(16 * block_row, rows, s, bias, y);
  }
};

struct Block1x16 {
  static constexpr size_t kPiece = 16;

  template <int lanes>
  static void pack(uint32_t cols, const float* const* x, float* packed) {
    pack_sixteens<lanes>(cols, x, packed);
  }

  template <Dtype D>
  static F8x2 load(const typename Weights<D>::Stored* v) {
    return Weights<D>::load16(v);
  }

  template <int lanes>
  static void add(F8x2 weights, const float* x, Sums<lanes>* s) {
    LINNET_UNROLL
    for (int l = 0; l < lanes; ++l) {
      s->low[l] = fma8(weights.low, load8(x + 16 * l), s->low[l]);
      s->high[l] = fma8(weights.high, load8(x + 16 * l + 8), s->high[l]);
    }
  }

  template <Dtype, int lanes>
  static void store(size_t row, size_t rows, const Sums<lanes>& s, const float* bias, float* const* y) {
    if (row >= rows) return;
    const float b = bias ? bias[row] : 0.0f;
    LINNET_UNROLL
    for (int l = 0; l < lanes; ++l) y[l][row] = fold16(s.low[l], s.high[l]) + b;
  }
};

// kHalves: blocks of so many halves, each as Shape loads, multiplies and stores it, that share a place in x.
template <class Shape, int kHalves = 1>
struct Blocks : Shape {
  template <Dtype D, class Index, int lanes>
  static void multiply(const Matrix& w, const float* packed, const float* bias, float* const* y) {
    const auto* values = static_cast<const typename Weights<D>::Stored*>(w.values);
    const auto* columns = static_cast<const Index*>(w.columns);
    for (const Quad *quad = w.quads, *end = quad + w.n_quads; quad != end; ++quad) {
      for (int half = 0; half < 4 * kHalves; ++half) {
        const auto* v = values + 16 * half;
        const auto* j = columns + half / kHalves;
        Sums<lanes> s = no_sums<lanes>();
        for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 64 * kHalves)
          Shape::template add<lanes>(Shape::template load<D>(v), packed + *j * (Shape::kPiece * lanes), &s);
        const size_t row = size_t{kHalves} * quad->block_rows[half / kHalves] + half % kHalves;
        Shape::template store<D, lanes>(row, w.rows, s, bias, y);
      }
      values += size_t{64} * kHalves * quad->depth;
      columns += size_t{4} * quad->depth;
    }
  }
};

struct Block1x4 {
  template <int lanes>
  static void pack(uint32_t cols, const float* const* x, float* packed) {
    pack_fours<lanes>(cols, x, packed);
  }

  // Every second step from the first one on.
  template <Dtype D, class Index, int lanes>
  static Sums<lanes> half(const typename Weights<D>::Stored* v, const Index* j, uint32_t depth, const float* packed) {
    Sums<lanes> s = no_sums<lanes>();
    constexpr bool kInOrder = Weights<D>::kSecond == 1;
    for (uint32_t n = 0; n < depth; n += 2, j += 8, v += 32) {
      const Columns at = load_columns(j);
      const float *a = packed + at.a * (4 * lanes), *b = packed + (kInOrder ? at.b : at.c) * (4 * lanes);
      const float *c = packed + (kInOrder ? at.c : at.b) * (4 * lanes), *d = packed + at.d * (4 * lanes);
      const F8x2 weights = Weights<D>::load_pair(v);
      LINNET_UNROLL
      for (int l = 0; l < lanes; ++l) {
        s.low[l] = fma8(weights.low, two4(a + 4 * l, b + 4 * l), s.low[l]);
        s.high[l] = fma8(weights.high, two4(c + 4 * l, d + 4 * l), s.high[l]);
      }
    }
    return s;
  }

  template <Dtype D, class Index, int lanes>
  static void multiply(const Matrix& w, const float* packed, const float* bias, float* const* y) {
    const auto* v = static_cast<const typename Weights<D>::Stored*>(w.values);
    const auto* j = static_cast<const Index*>(w.columns);
    constexpr int second = Weights<D>::kSecond;
    for (const Quad *quad = w.quads, *end = quad + w.n_quads; quad != end; ++quad) {
      const uint32_t depth = quad->depth;
      const Sums<lanes> even = half<D, Index, lanes>(v, j, depth, packed);
      const Sums<lanes> odd = half<D, Index, lanes>(v + 16, j + 4, depth == 0 ? 0 : depth - 1, packed);
      LINNET_UNROLL
      for (int l = 0; l < lanes; ++l) {
        const F8 halves = sum_pairs(add8(even.low[l], odd.low[l]), add8(even.high[l], odd.high[l]));
        store_quad(*quad, w.rows, {0, 3 - second, second, 3}, halves, bias, y[l]);
      }
      v += size_t{16} * depth;
      j += size_t{4} * depth;
    }
  }
};

// Panels of 16 rows. The sums of even columns, then those of odd ones: both at once would need twice the registers.
struct Dense : Block16x1 {
  template <Dtype D, int lanes>
  static Sums<lanes> half(const typename Weights<D>::Stored* v, uint32_t first, uint32_t cols, const float* packed) {
    Sums<lanes> s = no_sums<lanes>();
    for (size_t c = first; c < cols; c += 2) add<lanes>(load<D>(v + 16 * c), packed + c * lanes, &s);
    return s;
  }

  template <Dtype D, class, int lanes>
  static void multiply(const Matrix& w, const float* packed, const float* bias, float* const* y) {
    const auto* v = static_cast<const typename Weights<D>::Stored*>(w.values);
    for (size_t row = 0; row < w.rows; row += 16, v += size_t{16} * w.cols) {
      Sums<lanes> s = half<D, lanes>(v, 0, w.cols, packed);
      const Sums<lanes> odd = half<D, lanes>(v, 1, w.cols, packed);
      LINNET_UNROLL
      for (int l = 0; l < lanes; ++l) {
        s.low[l] = add8(s.low[l], odd.low[l]);
        s.high[l] = add8(s.high[l], odd.high[l]);
      }
      store_rows16_of_all<D>(row, w.rows, s, bias, y);
    }
  }
};

template <class Block, Dtype D, int lanes>
void multiply(const Matrix& w, const float* const* x, const float* bias, float* packed, float* const* y) {
  Block::template pack<lanes>(w.cols, x, packed);
  if (w.index_width == 1) {
    Block::template multiply<D, uint8_t, lanes>(w, packed, bias, y);
  } else {
    Block::template multiply<D, uint16_t, lanes>(w, packed, bias, y);
  }
}

// `lanes` vectors at a time, then `fewer` at a time.
template <class Block, Dtype D, int lanes, int fewer>
void matvecs(const Matrix& w, uint32_t n, const float* const* x, const float* bias, float* packed, float* const* y) {
  uint32_t l = 0;
  for (; l + lanes <= n; l += lanes) multiply<Block, D, lanes>(w, x + l, bias, packed, y + l);
  for (; l < n; l += fewer) multiply<Block, D, fewer>(w, x + l, bias, packed, y + l);
}

template <Dtype D, int lanes>
void overlay_matvecs_of(Kernels* kernels) {
  kernels->matvecs[Layout::dense][D] = matvecs<Dense, D, lanes, 4>;
  kernels->matvecs[Layout::block_4x4][D] = matvecs<Blocks<Block4x4>, D, lanes, 4>;
  kernels->matvecs[Layout::block_8x4][D] = matvecs<Blocks<Block4x4, 2>, D, lanes, 4>;
  kernels->matvecs[Layout::block_16x1][D] = matvecs<Blocks<Block16x1>, D, lanes, 4>;
  kernels->matvecs[Layout::block_1x16][D] = matvecs<Blocks<Block1x16>, D, lanes, 4>;
  kernels->matvecs[Layout::block_1x4][D] = matvecs<Block1x4, D, lanes / 2, lanes / 2>;
}

// With registers for the sums of `lanes` vectors.
template <int lanes>
void overlay_matvecs(Kernels* kernels) {
  overlay_matvecs_of<Dtype::fp16, lanes>(kernels);
  overlay_matvecs_of<Dtype::bf16, lanes>(kernels);
  overlay_matvecs_of<Dtype::fp32, lanes>(kernels);
}

}  // namespace
}  // namespace linnet
