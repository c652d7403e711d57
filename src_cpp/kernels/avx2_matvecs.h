// Products of one matrix with several vectors, with 256-bit registers. To be included within a target region, after
// avx2_common.h.
//
// Weights are loaded and widened once for `lanes` vectors, and each load of x serves two registers of weights: what
// bounds these loops is the rate of multiply-adds (two a cycle on a Zen 4 core), where a single product is bound by its
// loads. The other way round, a vector per lane of a register, every weight needs a load or a shuffle of its own
// (1.2 times as fast as products one by one, where this is 1.6: bench/README says how). Hence the pieces of x
// that blocks multiply are packed: side by side for all vectors.
#pragma once

#if defined(__clang__)
#define LINNET_UNROLL _Pragma("unroll")
#elif defined(__GNUC__)
#define LINNET_UNROLL _Pragma("GCC unroll 16")
#else
#define LINNET_UNROLL
#endif

namespace linnet {
namespace {

// packed[j / width][lane][j % width] = x[lane][j].
template <int width, int lanes>
inline void pack(uint32_t cols, const float* const* x, float* packed) {
  for (size_t j = 0; j < cols; j += width) {
    for (int l = 0; l < lanes; ++l) {
      if (width == 1) packed[j * lanes + l] = x[l][j];
      if (width == 4) _mm_storeu_ps(packed + j * lanes + 4 * l, _mm_loadu_ps(x[l] + j));
      if (width == 16) {
        store8(packed + j * lanes + 16 * l, load8(x[l] + j));
        store8(packed + j * lanes + 16 * l + 8, load8(x[l] + j + 8));
      }
    }
  }
}

// Four rows of each of two vectors' sums.
inline void store_rows4(size_t row, size_t rows, F4x2 sums, const float* bias, float* ya, float* yb) {
  if (row + 4 <= rows) {
    const F4 b = _mm_loadu_ps(bias ? bias + row : kZeros);
    _mm_storeu_ps(ya + row, _mm_add_ps(sums.a, b));
    _mm_storeu_ps(yb + row, _mm_add_ps(sums.b, b));
  } else {
    float t[8];
    _mm_storeu_ps(t, sums.a);
    _mm_storeu_ps(t + 4, sums.b);
    store_rest(t, row, 4, rows, bias, ya);
    store_rest(t + 4, row, 4, rows, bias, yb);
  }
}

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

struct Block4x4 {
  static constexpr int kWidth = 4;

  template <Dtype D, class Index, int lanes>
  static void multiply(const Matrix& w, const float* packed, const float* bias, float* const* y) {
    const auto* values = static_cast<const typename Weights<D>::Stored*>(w.values);
    const auto* columns = static_cast<const Index*>(w.columns);
    for (const Quad *quad = w.quads, *end = quad + w.n_quads; quad != end; ++quad) {
      for (int q = 0; q < 4; ++q) {
        const auto* v = values + 16 * q;
        const auto* j = columns + q;
        Sums<lanes> s = no_sums<lanes>();
        for (uint32_t n = quad->steps; n != 0; --n, j += 4, v += 64) {
          const float* x = packed + size_t{*j} * (4 * lanes);
          const F8x2 weights = Weights<D>::load_pair(v);
          LINNET_UNROLL
          for (int l = 0; l < lanes; ++l) {
            const F8 piece = twice4(x + 4 * l);
            s.low[l] = fma8(weights.low, piece, s.low[l]);
            s.high[l] = fma8(weights.high, piece, s.high[l]);
          }
        }
        const size_t row = size_t{4} * quad->block_rows[q];
        LINNET_UNROLL
        for (int l = 0; l < lanes; l += 2) {
          const F8 ab = sum_pairs(sum_pairs(s.low[l], s.high[l]), sum_pairs(s.low[l + 1], s.high[l + 1]));
          store_rows4(row, w.rows, Weights<D>::sorted_rows(ab), bias, y[l], y[l + 1]);
        }
      }
      values += size_t{64} * quad->steps;
      columns += size_t{4} * quad->steps;
    }
  }
};

struct Block16x1 {
  static constexpr int kWidth = 1;

  template <Dtype D, class Index, int lanes>
  static void multiply(const Matrix& w, const float* packed, const float* bias, float* const* y) {
    const auto* values = static_cast<const typename Weights<D>::Stored*>(w.values);
    const auto* columns = static_cast<const Index*>(w.columns);
    for (const Quad *quad = w.quads, *end = quad + w.n_quads; quad != end; ++quad) {
      for (int q = 0; q < 4; ++q) {
        const auto* v = values + 16 * q;
        const auto* j = columns + q;
        Sums<lanes> s = no_sums<lanes>();
        for (uint32_t n = quad->steps; n != 0; --n, j += 4, v += 64) {
          const float* x = packed + size_t{*j} * lanes;
          const F8x2 weights = Weights<D>::load_pair(v);
          LINNET_UNROLL
          for (int l = 0; l < lanes; ++l) {
            const F8 piece = all8(x[l]);
            s.low[l] = fma8(weights.low, piece, s.low[l]);
            s.high[l] = fma8(weights.high, piece, s.high[l]);
          }
        }
        const size_t row = size_t{16} * quad->block_rows[q];
        LINNET_UNROLL
        for (int l = 0; l < lanes; ++l) store_rows16(row, w.rows, Weights<D>::sorted(s.low[l], s.high[l]), bias, y[l]);
      }
      values += size_t{64} * quad->steps;
      columns += size_t{4} * quad->steps;
    }
  }
};

struct Block1x16 {
  static constexpr int kWidth = 16;

  template <Dtype D, class Index, int lanes>
  static void multiply(const Matrix& w, const float* packed, const float* bias, float* const* y) {
    const auto* values = static_cast<const typename Weights<D>::Stored*>(w.values);
    const auto* columns = static_cast<const Index*>(w.columns);
    for (const Quad *quad = w.quads, *end = quad + w.n_quads; quad != end; ++quad) {
      for (int q = 0; q < 4; ++q) {
        const auto* v = values + 16 * q;
        const auto* j = columns + q;
        Sums<lanes> s = no_sums<lanes>();
        for (uint32_t n = quad->steps; n != 0; --n, j += 4, v += 64) {
          const float* x = packed + size_t{*j} * (16 * lanes);
          const F8x2 weights = Weights<D>::load16(v);
          LINNET_UNROLL
          for (int l = 0; l < lanes; ++l) {
            s.low[l] = fma8(weights.low, load8(x + 16 * l), s.low[l]);
            s.high[l] = fma8(weights.high, load8(x + 16 * l + 8), s.high[l]);
          }
        }
        const size_t row = quad->block_rows[q];
        if (row >= w.rows) continue;
        const float b = bias ? bias[row] : 0.0f;
        LINNET_UNROLL
        for (int l = 0; l < lanes; ++l) y[l][row] = fold16(s.low[l], s.high[l]) + b;
      }
      values += size_t{64} * quad->steps;
      columns += size_t{4} * quad->steps;
    }
  }
};

struct Block1x4 {
  static constexpr int kWidth = 4;

  // Every second step from the first one on.
  template <Dtype D, class Index, int lanes>
  static Sums<lanes> half(const typename Weights<D>::Stored* v, const Index* j, uint32_t steps, const float* packed) {
    Sums<lanes> s = no_sums<lanes>();
    constexpr bool kInOrder = Weights<D>::kSecond == 1;
    for (uint32_t n = 0; n < steps; n += 2, j += 8, v += 32) {
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
      const uint32_t steps = quad->steps;
      const Sums<lanes> even = half<D, Index, lanes>(v, j, steps, packed);
      const Sums<lanes> odd = half<D, Index, lanes>(v + 16, j + 4, steps == 0 ? 0 : steps - 1, packed);
      LINNET_UNROLL
      for (int l = 0; l < lanes; ++l) {
        const F8 halves = sum_pairs(add8(even.low[l], odd.low[l]), add8(even.high[l], odd.high[l]));
        store_quad(*quad, w.rows, {0, 3 - second, second, 3}, halves, bias, y[l]);
      }
      v += size_t{16} * steps;
      j += size_t{4} * steps;
    }
  }
};

// Panels of 16 rows. The sums of even columns, then those of odd ones: both at once would need twice the registers.
struct Dense {
  static constexpr int kWidth = 1;

  template <Dtype D, int lanes>
  static Sums<lanes> half(const typename Weights<D>::Stored* v, uint32_t first, uint32_t cols, const float* packed) {
    Sums<lanes> s = no_sums<lanes>();
    for (size_t c = first; c < cols; c += 2) {
      const F8x2 weights = Weights<D>::load_pair(v + 16 * c);
      const float* x = packed + c * lanes;
      LINNET_UNROLL
      for (int l = 0; l < lanes; ++l) {
        const F8 piece = all8(x[l]);
        s.low[l] = fma8(weights.low, piece, s.low[l]);
        s.high[l] = fma8(weights.high, piece, s.high[l]);
      }
    }
    return s;
  }

  template <Dtype D, class, int lanes>
  static void multiply(const Matrix& w, const float* packed, const float* bias, float* const* y) {
    const auto* v = static_cast<const typename Weights<D>::Stored*>(w.values);
    for (size_t row = 0; row < w.rows; row += 16, v += size_t{16} * w.cols) {
      const Sums<lanes> even = half<D, lanes>(v, 0, w.cols, packed), odd = half<D, lanes>(v, 1, w.cols, packed);
      LINNET_UNROLL
      for (int l = 0; l < lanes; ++l) {
        const F8x2 sums = Weights<D>::sorted(add8(even.low[l], odd.low[l]), add8(even.high[l], odd.high[l]));
        store_rows16(row, w.rows, sums, bias, y[l]);
      }
    }
  }
};

template <class Block, Dtype D, int lanes>
void multiply(const Matrix& w, const float* const* x, const float* bias, float* packed, float* const* y) {
  pack<Block::kWidth, lanes>(w.cols, x, packed);
  if (w.index_width == 1) {
    Block::template multiply<D, uint8_t, lanes>(w, packed, bias, y);
  } else {
    Block::template multiply<D, uint16_t, lanes>(w, packed, bias, y);
  }
}

// `lanes` vectors at a time, then 2 at a time.
template <class Block, Dtype D, int lanes>
void matvecs(const Matrix& w, uint32_t n, const float* const* x, const float* bias, float* packed, float* const* y) {
  uint32_t l = 0;
  for (; l + lanes <= n; l += lanes) multiply<Block, D, lanes>(w, x + l, bias, packed, y + l);
  for (; l < n; l += 2) multiply<Block, D, 2>(w, x + l, bias, packed, y + l);
}

template <Dtype D, int lanes>
void overlay_matvecs_of(Kernels* kernels) {
  constexpr size_t d = static_cast<size_t>(D) - static_cast<size_t>(Dtype::fp16);
  const MatvecsFn by_layout[kMatrixLayouts] = {matvecs<Dense, D, lanes>, matvecs<Block4x4, D, lanes>,
                                               matvecs<Block16x1, D, lanes>, matvecs<Block1x16, D, lanes>,
                                               matvecs<Block1x4, D, lanes / 2>};
  for (size_t l = 0; l < kMatrixLayouts; ++l) kernels->matvecs[l][d] = by_layout[l];
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
