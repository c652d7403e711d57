// A frame of real numbers, its spectrum, and what turns one into the other.
#pragma once

#include <stdint.h>

namespace linnet {

// X[k] = sum over j of x[j] exp(-2 pi i j k / n), k = 0 .. n / 2, of n real numbers, n a power of two from 16 on: even
// and odd ones as the parts of n / 2 complex numbers, whose transform is radix 2, decimation in frequency, self-sorting
// (Stockham).
struct Fourier {
  uint32_t n;
  const float* twiddles;        // (n): cos(2 pi k / n) for k < n / 2, then the sines
  const float* first_twiddles;  // (2, 6, n / 8): those of the first two pairs of stages, as registers load them
  float* frame;                 // (n)
  float *re, *im;               // (n / 2 + 1)
  float *re2, *im2;             // (n / 2 + 1) scratch
};

// The first_twiddles of n numbers. With stride 1, then 4, rows of cosines and of sines: 2 p stride of the angles, n / 4
// more, and 4 p stride, where p = i / stride for the row's number i.
static inline void put_first_twiddles(uint32_t n, const float* twiddles, float* out) {
  const auto put = [&](uint32_t stride, uint32_t times, uint32_t plus) {
    for (uint32_t part = 0; part < n; part += n / 2) {
      for (uint32_t i = 0; i < n / 8; ++i) *out++ = twiddles[part + i / stride * stride * times + plus];
    }
  };
  for (uint32_t stride = 1; stride <= 4; stride *= 4) {
    put(stride, 2, 0);
    put(stride, 2, n / 4);
    put(stride, 4, 0);
  }
}

}  // namespace linnet
