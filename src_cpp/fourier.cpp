#include "fourier.h"

#include <string.h>

namespace linnet {

void transform(uint32_t n, const float* turns, float* re, float* im, float* re2, float* im2) {
  const float *cosines = turns, *sines = turns + n / 2;
  float *xr = re, *xi = im, *yr = re2, *yi = im2;
  for (uint32_t half = n / 2, stride = 1; half != 0; half /= 2, stride *= 2) {
    for (uint32_t p = 0; p < half; ++p) {
      const float c = cosines[p * stride], s = sines[p * stride];
      const float *ar = xr + stride * p, *ai = xi + stride * p;
      const float *br = ar + stride * half, *bi = ai + stride * half;
      float *sum_r = yr + stride * 2 * p, *sum_i = yi + stride * 2 * p;
      float *turned_r = sum_r + stride, *turned_i = sum_i + stride;
      for (uint32_t q = 0; q < stride; ++q) {
        const float dr = ar[q] - br[q], di = ai[q] - bi[q];
        sum_r[q] = ar[q] + br[q];
        sum_i[q] = ai[q] + bi[q];
        turned_r[q] = dr * c + di * s;
        turned_i[q] = di * c - dr * s;
      }
    }
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
