// NEON on AArch64: products of one matrix with four vectors at a time, for the layouts that voices use most. Weights
// are widened once for all four; the pieces of x are packed side by side.
#include "kernels/sets.h"

#if defined(__aarch64__) || defined(_M_ARM64)

#include <arm_neon.h>

#include "kernels/functions.h"

#include "kernels/arm/neon_common.h"

namespace linnet {
namespace {

constexpr int kLanes = 4;

// Sums of sixteen weights' products for each vector.
struct Sums {
  F16 a, b, c, d;
};

inline Sums no_sums() { return {zero16(), zero16(), zero16(), zero16()}; }

// packed[j / 4][lane][j % 4] = x[lane][j].
inline void pack_quarters(uint32_t cols, const float* const* x, float* packed) {
  for (size_t j = 0; j < cols; j += 4) {
    for (int l = 0; l < kLanes; ++l) store4(packed + kLanes * j + 4 * l, load4(x[l] + j));
  }
}

// packed[j][lane] = x[lane][j].
inline void pack_columns(uint32_t cols, const float* const* x, float* packed) {
  size_t j = 0;
  for (; j + 4 <= cols; j += 4) {
    const float32x4x4_t rows = {{load4(x[0] + j), load4(x[1] + j), load4(x[2] + j), load4(x[3] + j)}};
    vst4q_f32(packed + kLanes * j, rows);
  }
  for (; j < cols; ++j) {
    for (int l = 0; l < kLanes; ++l) packed[kLanes * j + l] = x[l][j];
  }
}

template <int lane>
inline F16 fma16_lane(F16 w, F4 x, F16 s) {
  return {vfmaq_laneq_f32(s.a, w.a, x, lane), vfmaq_laneq_f32(s.b, w.b, x, lane), vfmaq_laneq_f32(s.c, w.c, x, lane),
          vfmaq_laneq_f32(s.d, w.d, x, lane)};
}

// Adds the products of a column of sixteen weights with one element of each vector.
inline void add_column(F16 weights, const float* packed, Sums* s) {
  const F4 x = load4(packed);
  s->a = fma16_lane<0>(weights, x, s->a);
  s->b = fma16_lane<1>(weights, x, s->b);
  s->c = fma16_lane<2>(weights, x, s->c);
  s->d = fma16_lane<3>(weights, x, s->d);
}

// Blocks of 4 x 4 weights, or of kHalves such blocks that share a place in x.
template <class W, class Index, size_t kHalves = 1>
void multiply_4x4(const Matrix& w, const float* packed, const float* bias, float* const* y) {
  const auto* values = static_cast<const typename W::Stored*>(w.values);
  const auto* columns = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    for (size_t half = 0; half < 4 * kHalves; ++half) {
      const auto* v = values + 16 * half;
      const auto* j = columns + half / kHalves;
      Sums s = no_sums();
      for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 64 * kHalves) {
        const float* x = packed + size_t{*j} * (4 * kLanes);
        const F16 weights = W::load16(v);
        s.a = fma16(weights, four_times(x), s.a);
        s.b = fma16(weights, four_times(x + 4), s.b);
        s.c = fma16(weights, four_times(x + 8), s.c);
        s.d = fma16(weights, four_times(x + 12), s.d);
      }
      const size_t row = 4 * (kHalves * quad->block_rows[half / kHalves] + half % kHalves);
      store_rows4(w, row, sums_of_4(s.a), bias, y[0]);
      store_rows4(w, row, sums_of_4(s.b), bias, y[1]);
      store_rows4(w, row, sums_of_4(s.c), bias, y[2]);
      store_rows4(w, row, sums_of_4(s.d), bias, y[3]);
    }
    values += size_t{64} * kHalves * quad->depth;
    columns += size_t{4} * quad->depth;
  }
}

inline void store_rows16_of_all(const Matrix& w, size_t row, const Sums& s, const float* bias, float* const* y) {
  store_rows16(w, row, s.a, bias, y[0]);
  store_rows16(w, row, s.b, bias, y[1]);
  store_rows16(w, row, s.c, bias, y[2]);
  store_rows16(w, row, s.d, bias, y[3]);
}

template <class W, class Index>
void multiply_16x1(const Matrix& w, const float* packed, const float* bias, float* const* y) {
  const auto* values = static_cast<const typename W::Stored*>(w.values);
  const auto* columns = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    for (int q = 0; q < 4; ++q) {
      const auto* v = values + 16 * q;
      const auto* j = columns + q;
      Sums s = no_sums();
      for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 64)
        add_column(W::load16(v), packed + kLanes * size_t{*j}, &s);
      store_rows16_of_all(w, size_t{16} * quad->block_rows[q], s, bias, y);
    }
    values += size_t{64} * quad->depth;
    columns += size_t{4} * quad->depth;
  }
}

// The sums of even columns, then those of odd ones: both at once would need more registers than there are.
template <class W>
Sums half_of_panel(const typename W::Stored* v, uint32_t first, uint32_t cols, const float* packed) {
  Sums s = no_sums();
  for (size_t c = first; c < cols; c += 2) add_column(W::load16(v + 16 * c), packed + kLanes * c, &s);
  return s;
}

template <class W>
void multiply_dense(const Matrix& w, const float* packed, const float* bias, float* const* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  for (size_t row = 0; row < w.rows; row += 16, v += size_t{16} * w.cols) {
    const Sums even = half_of_panel<W>(v, 0, w.cols, packed), odd = half_of_panel<W>(v, 1, w.cols, packed);
    const Sums s = {add16(even.a, odd.a), add16(even.b, odd.b), add16(even.c, odd.c), add16(even.d, odd.d)};
    store_rows16_of_all(w, row, s, bias, y);
  }
}

using Pack = void (*)(uint32_t cols, const float* const* x, float* packed);
using Multiply = void (*)(const Matrix& w, const float* packed, const float* bias, float* const* y);

// Four vectors at a time; `narrow` and `wide` are for column indices of one byte and of two.
template <Pack pack, Multiply narrow, Multiply wide>
void matvecs(const Matrix& w, uint32_t n, const float* const* x, const float* bias, float* packed, float* const* y) {
  for (uint32_t l = 0; l < n; l += kLanes) {
    pack(w.cols, x + l, packed);
    (w.index_width == 1 ? narrow : wide)(w, packed, bias, y + l);
  }
}

template <class W>
void overlay(Dtype dtype, Kernels* kernels) {
  auto& matvecs_by = kernels->matvecs;
  matvecs_by[Layout::dense][dtype] = matvecs<pack_columns, multiply_dense<W>, multiply_dense<W>>;
  matvecs_by[Layout::block_4x4][dtype] = matvecs<pack_quarters, multiply_4x4<W, uint8_t>, multiply_4x4<W, uint16_t>>;
  matvecs_by[Layout::block_8x4][dtype] =
      matvecs<pack_quarters, multiply_4x4<W, uint8_t, 2>, multiply_4x4<W, uint16_t, 2>>;
  matvecs_by[Layout::block_16x1][dtype] = matvecs<pack_columns, multiply_16x1<W, uint8_t>, multiply_16x1<W, uint16_t>>;
}

}  // namespace

void overlay_neon_matvecs(Kernels* kernels) {
  overlay<Fp16>(Dtype::fp16, kernels);
  overlay<Bf16>(Dtype::bf16, kernels);
  overlay<Fp32>(Dtype::fp32, kernels);
}

}  // namespace linnet

#endif
