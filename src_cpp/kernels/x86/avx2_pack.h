// Puts the pieces of several vectors that blocks multiply side by side. To be included within a target region, as
// avx2_common.h.
#pragma once

#include "kernels/x86/avx2_common.h"

namespace linnet {
namespace {

// packed[j / 4][lane][j % 4] = x[lane][j].
template <int lanes>
inline void pack_fours(uint32_t cols, const float* const* x, float* packed) {
  for (size_t j = 0; j < cols; j += 4, packed += 4 * lanes) {
    LINNET_UNROLL
    for (int l = 0; l < lanes; l += 2) store8(packed + 4 * l, two4(x[l] + j, x[l + 1] + j));
  }
}

// packed[j / 16][lane][j % 16] = x[lane][j].
template <int lanes>
inline void pack_sixteens(uint32_t cols, const float* const* x, float* packed) {
  for (size_t j = 0; j < cols; j += 16, packed += 16 * lanes) {
    LINNET_UNROLL
    for (int l = 0; l < lanes; ++l) {
      store8(packed + 16 * l, load8(x[l] + j));
      store8(packed + 16 * l + 8, load8(x[l] + j + 8));
    }
  }
}

// packed[j][lane] = x[lane][j].
template <int lanes>
inline void pack_columns(uint32_t cols, const float* const* x, float* packed) {
  size_t j = 0;
  for (; lanes >= 4 && j + 4 <= cols; j += 4) {
    LINNET_UNROLL
    for (int l = 0; l + 4 <= lanes; l += 4) {
      F4 a = _mm_loadu_ps(x[l] + j), b = _mm_loadu_ps(x[l + 1] + j);
      F4 c = _mm_loadu_ps(x[l + 2] + j), d = _mm_loadu_ps(x[l + 3] + j);
      _MM_TRANSPOSE4_PS(a, b, c, d);
      _mm_storeu_ps(packed + j * lanes + l, a);
      _mm_storeu_ps(packed + (j + 1) * lanes + l, b);
      _mm_storeu_ps(packed + (j + 2) * lanes + l, c);
      _mm_storeu_ps(packed + (j + 3) * lanes + l, d);
    }
  }
  for (; j < cols; ++j) {
    for (int l = 0; l < lanes; ++l) packed[j * lanes + l] = x[l][j];
  }
}

}  // namespace
}  // namespace linnet
