#include "products/rounding.h"

#include <string.h>

namespace linnet {
namespace {

constexpr uint32_t kInfinite = 0x7F800000;  // the bits of an infinite float; NaNs have more

uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

// `bits` without the last `n`, rounded to nearest even.
uint32_t shortened(uint32_t bits, uint32_t n) { return (bits + (1u << (n - 1)) - 1 + (bits >> n & 1)) >> n; }

// Of a finite float without its sign.
uint32_t fp16_of(uint32_t magnitude) {
  constexpr uint32_t kLeastNormal = (127 - 14) << 23;
  if (magnitude >= kLeastNormal) return shortened(magnitude - ((127 - 15) << 23), 13);
  // Subnormals are multiples of 2^-24, and so is what fits behind a 0.5.
  float x;
  memcpy(&x, &magnitude, sizeof x);
  return bits_of(x + 0.5f) - bits_of(0.5f);
}

}  // namespace

bool round_weight(Dtype dtype, float weight, uint32_t* bits) {
  const uint32_t wide = bits_of(weight);
  const uint32_t sign = wide >> 31, magnitude = wide & 0x7FFFFFFF;
  if (magnitude >= kInfinite) return false;
  switch (dtype) {
    case Dtype::fp16: {
      constexpr uint32_t kTooLarge = 0x477FF000;  // 65520, which rounds to the first number that fp16 lacks
      if (magnitude >= kTooLarge) return false;
      *bits = sign << 15 | fp16_of(magnitude);
      return true;
    }
    case Dtype::bf16:
      *bits = sign << 15 | shortened(magnitude, 16);
      return (*bits & 0x7FFF) < kInfinite >> 16;
    case Dtype::fp32:
      *bits = wide;
      return true;
    case Dtype::int8:  // whose rows have scales: Python lays them out
      break;
  }
  return false;
}

bool is_nonzero(Dtype dtype, uint32_t bits) { return (bits & ~(1u << (8 * weight_bytes(dtype) - 1))) != 0; }

}  // namespace linnet
