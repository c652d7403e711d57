// The multiply-add of the arithmetic contract, rounded once, for code that no instruction set is assumed for.
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

namespace linnet {

#if defined(__MINGW32__) || defined(__wasm__)
// MinGW's fmaf rounds twice; WebAssembly's is a hundred integer instructions. The product is exact in a double; the
// sum is rounded to odd (Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums"), which leaves the
// second rounding, to a float, the right one.
static inline float fused(float a, float b, float c) {
  const double product = static_cast<double>(a) * b;
  double sum = product + c;
  const double part = sum - product;
  const double error = (product - (sum - part)) + (c - part);  // Knuth's exact sum; NaN where `sum` is not finite
  uint64_t bits;
  memcpy(&bits, &sum, sizeof bits);
  if ((error < 0.0 || error > 0.0) && (bits & 1) == 0) {
    bits += (error > 0.0) == (sum > 0.0) ? 1 : uint64_t{0} - 1;
    memcpy(&sum, &bits, sizeof sum);
  }
  return static_cast<float>(sum);
}
#else
static inline float fused(float a, float b, float c) { return fmaf(a, b, c); }
#endif

}  // namespace linnet
