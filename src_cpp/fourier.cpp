#include "fourier.h"

#include <string.h>

namespace linnet {
namespace {

#if defined(_MSC_VER)
#define LINNET_RESTRICT __restrict
#else
#define LINNET_RESTRICT __restrict__
#endif

// Sums and turned differences of two rows of kWidth numbers. A fixed width lets compilers use 128-bit registers.
template <uint32_t kWidth>
inline void butterflies(float c, float s, const float* LINNET_RESTRICT ar, const float* LINNET_RESTRICT ai,
                        const float* LINNET_RESTRICT br, const float* LINNET_RESTRICT bi, float* LINNET_RESTRICT sum_r,
                        float* LINNET_RESTRICT sum_i, float* LINNET_RESTRICT turned_r,
                        float* LINNET_RESTRICT turned_i) {
  for (uint32_t q = 0; q < kWidth; ++q) {
    const float dr = ar[q] - br[q], di = ai[q] - bi[q];
    sum_r[q] = ar[q] + br[q];
    sum_i[q] = ai[q] + bi[q];
    turned_r[q] = dr * c + di * s;
    turned_i[q] = di * c - dr * s;
  }
}

template <uint32_t kWidth>
void stage(uint32_t half, uint32_t stride, const float* cosines, const float* sines, const float* xr, const float* xi,
           float* yr, float* yi) {
  for (uint32_t p = 0; p < half; ++p) {
    const float c = cosines[p * stride], s = sines[p * stride];
    for (uint32_t q = 0; q < stride; q += kWidth) {
      const uint32_t a = q + stride * p, b = a + stride * half, sum = q + stride * 2 * p, turned = sum + stride;
      butterflies<kWidth>(c, s, xr + a, xi + a, xr + b, xi + b, yr + sum, yi + sum, yr + turned, yi + turned);
    }
  }
}

}  // namespace

void transform(uint32_t n, const float* turns, float* re, float* im, float* re2, float* im2) {
  float *xr = re, *xi = im, *yr = re2, *yi = im2;
  for (uint32_t half = n / 2, stride = 1; half != 0; half /= 2, stride *= 2) {
    const auto run = stride >= 8 ? stage<8> : stride == 4 ? stage<4> : stride == 2 ? stage<2> : stage<1>;
    run(half, stride, turns, turns + n / 2, xr, xi, yr, yi);
    float *r = xr, *i = xi;
    xr = yr;
    xi = yi;
    yr = r;
    yi = i;
  }
  if (xr != re) {
    memcpy(re, xr, n * sizeof *re);
    memcpy(im, xi, n * sizeof *im);
  }
}

}  // namespace linnet
