#include "matching/fourier.h"

#include <string.h>

namespace linnet {
namespace {

// Sums and rotated differences of two rows of kWidth numbers. A fixed width lets compilers use 128-bit registers.
template <uint32_t kWidth>
inline void butterflies(float c, float s, const float* LINNET_RESTRICT ar, const float* LINNET_RESTRICT ai,
                        const float* LINNET_RESTRICT br, const float* LINNET_RESTRICT bi, float* LINNET_RESTRICT sum_r,
                        float* LINNET_RESTRICT sum_i, float* LINNET_RESTRICT rotated_r,
                        float* LINNET_RESTRICT rotated_i) {
  for (uint32_t q = 0; q < kWidth; ++q) {
    const float dr = ar[q] - br[q], di = ai[q] - bi[q];
    sum_r[q] = ar[q] + br[q];
    sum_i[q] = ai[q] + bi[q];
    rotated_r[q] = dr * c + di * s;
    rotated_i[q] = di * c - dr * s;
  }
}

// `twiddles` of twice as many numbers as are transformed: every second one counts.
template <uint32_t kWidth>
void stage(uint32_t half, uint32_t stride, const float* cosines, const float* sines, const float* xr, const float* xi,
           float* yr, float* yi) {
  for (uint32_t p = 0; p < half; ++p) {
    const float c = cosines[2 * p * stride], s = sines[2 * p * stride];
    for (uint32_t q = 0; q < stride; q += kWidth) {
      const uint32_t a = q + stride * p, b = a + stride * half, sum = q + stride * 2 * p, rotated = sum + stride;
      butterflies<kWidth>(c, s, xr + a, xi + a, xr + b, xi + b, yr + sum, yi + sum, yr + rotated, yi + rotated);
    }
  }
}

}  // namespace

void Fourier::transform(float* re, float* im) const {
  const float *cosines = twiddles, *sines = twiddles + n / 2;
  float *xr = re, *xi = im, *yr = re2, *yi = im2;
  for (uint32_t half = n / 4, stride = 1; half != 0; half /= 2, stride *= 2) {
    const auto run = stride >= 8 ? stage<8> : stride == 4 ? stage<4> : stride == 2 ? stage<2> : stage<1>;
    run(half, stride, cosines, sines, xr, xi, yr, yi);
    float *r = xr, *i = xi;
    xr = yr;
    xi = yi;
    yr = r;
    yi = i;
  }
  if (xr != re) {
    memcpy(re, xr, n / 2 * sizeof *re);
    memcpy(im, xi, n / 2 * sizeof *im);
  }
}

void Fourier::forwards(const float* x, float* re, float* im) const {
  const uint32_t m = n / 2;
  for (uint32_t j = 0; j < m; ++j) {
    re[j] = x[2 * j];
    im[j] = x[2 * j + 1];
  }
  transform(re, im);
  const float first_r = re[0], first_i = im[0];
  re[0] = first_r + first_i;
  re[m] = first_r - first_i;
  im[0] = im[m] = 0.0f;
  for (uint32_t k = 1; k <= m - k; ++k) {
    const float c = twiddles[k], s = twiddles[m + k];
    const float er = re[k] + re[m - k], ei = im[k] - im[m - k];  // twice the transform of the even numbers
    const float dr = re[k] - re[m - k], di = im[k] + im[m - k];  // 2 i times that of the odd ones
    const float tr = di * c - dr * s, ti = dr * c + di * s;
    re[k] = 0.5f * (er + tr);
    im[k] = 0.5f * (ei - ti);
    re[m - k] = 0.5f * (er - tr);
    im[m - k] = -0.5f * (ei + ti);
  }
}

void Fourier::backwards(float* re, float* im, float* x) const {
  const uint32_t m = n / 2;
  const float first = re[0], last = re[m];
  re[0] = first + last;
  im[0] = first - last;
  for (uint32_t k = 1; k <= m - k; ++k) {
    const float c = twiddles[k], s = twiddles[m + k];
    const float er = re[k] + re[m - k], ei = im[k] - im[m - k];
    const float dr = re[k] - re[m - k], di = im[k] + im[m - k];
    const float tr = dr * c - di * s, ti = di * c + dr * s;
    re[k] = er - ti;
    im[k] = ei + tr;
    re[m - k] = er + ti;
    im[m - k] = tr - ei;
  }
  transform(im, re);
  for (uint32_t j = 0; j < m; ++j) {
    x[2 * j] = re[j];
    x[2 * j + 1] = im[j];
  }
}

}  // namespace linnet
