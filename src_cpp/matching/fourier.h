// The discrete Fourier transform of real numbers.
#pragma once

#include <stdint.h>

#if defined(_MSC_VER)
#define LINNET_RESTRICT __restrict
#else
#define LINNET_RESTRICT __restrict__
#endif

namespace linnet {

// X[k] = sum over j of x[j] exp(-2 pi i j k / n), k = 0 .. n / 2, of n real numbers, n a power of two: even and odd
// ones as the parts of n / 2 complex numbers, whose transform is radix 2, decimation in frequency, self-sorting
// (Stockham).
struct Fourier {
  uint32_t n;
  const float* twiddles;  // (n): cos(2 pi k / n) for k < n / 2, then the sines
  float *re2, *im2;       // (n / 2) scratch

  void forwards(const float* x,               // (n)
                float* re, float* im) const;  // (n / 2 + 1)
  void backwards(float* re, float* im,        // (n / 2 + 1), overwritten; im ends with zeros
                 float* x) const;             // (n): n times the numbers

 private:
  void transform(float* re, float* im) const;  // (n / 2), in place
};

}  // namespace linnet
