// The discrete Fourier transform that matching takes spectra by.
#pragma once

#include <stdint.h>

namespace linnet {

// X[k] = sum over j of x[j] exp(-2 pi i j k / n), n a power of two: radix 2, decimation in frequency, self-sorting
// (Stockham). The inverse, times n, is the same with real and imaginary parts exchanged.
void transform(uint32_t n,
               const float* turns,       // (n): cos(2 pi k / n) for k < n / 2, then the sines
               float* re, float* im,     // (n), in place
               float* re2, float* im2);  // (n) scratch

}  // namespace linnet
