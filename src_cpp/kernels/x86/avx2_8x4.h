// The product of 8x4 blocks with 256-bit registers. To be included as avx2_common.h is.
#pragma once

#include "kernels/x86/avx2_common.h"

namespace linnet {
namespace {

// Eight rows of a block row; they may lie beyond the last one.
template <Dtype D>
inline void store_rows8(size_t row, size_t rows, F8 sums, const float* bias, float* y) {
  const F8 sorted = Weights<D>::sorted_rows_of_two(sums);
  if (row + 8 <= rows) {
    store8(y + row, add8(sorted, load8(bias ? bias + row : kZeros)));
  } else {
    float t[8];
    store8(t, sorted);
    store_rest(t, row, 8, rows, bias, y);
  }
}

// `together` block rows of a quad at a time, of four registers of sums each: two with 16 registers, which then reads a
// quad in two passes; four with 32 (at 3072 x 1024, 95 %: 12 % faster). One load of x serves thirty-two weights.
template <Dtype D, class Index, int together>
void matvec_8x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* values = static_cast<const typename Weights<D>::Stored*>(w.values);
  const auto* columns = static_cast<const Index*>(w.columns);
  const size_t rows = w.rows;
  for (const Quad *quad = w.quads, *end = quad + w.n_quads; quad != end; ++quad) {
    for (int first = 0; first < 4; first += together) {
      F8 sums[together][4];
      LINNET_UNROLL
      for (int k = 0; k < 4 * together; ++k) sums[k / 4][k % 4] = zero8();
      const auto* v = values + 32 * first;
      const Index* j = columns + first;
      for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 128) {
        if (together == 2) prefetch<64>(v);  // one pass takes as long without
        LINNET_UNROLL
        for (int r = 0; r < together; ++r) {
          const F8 xr = twice4(x + 4 * size_t{j[r]});
          const F8x2 upper = Weights<D>::load_pair(v + 32 * r), lower = Weights<D>::load_pair(v + 32 * r + 16);
          sums[r][0] = fma8(upper.low, xr, sums[r][0]);
          sums[r][1] = fma8(upper.high, xr, sums[r][1]);
          sums[r][2] = fma8(lower.low, xr, sums[r][2]);
          sums[r][3] = fma8(lower.high, xr, sums[r][3]);
        }
      }
      LINNET_UNROLL
      for (int r = 0; r < together; ++r) {
        const F8 eight = sum_pairs(sum_pairs(sums[r][0], sums[r][1]), sum_pairs(sums[r][2], sums[r][3]));
        store_rows8<D>(size_t{8} * quad->block_rows[first + r], rows, eight, bias, y);
      }
    }
    values += size_t{128} * quad->depth;
    columns += size_t{4} * quad->depth;
  }
}

}  // namespace
}  // namespace linnet
