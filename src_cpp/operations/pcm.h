// From samples in [-1, 1) to 16 bits.
#pragma once

#include <stdint.h>

#include "kernels/arithmetic.h"

namespace linnet {

// The integer nearest to z, which is less than 2^22 in size; ties to even.
static inline int32_t nearest(float z) { return static_cast<int32_t>(bits_of(z + kRound) - bits_of(kRound)); }

// Clamped; the least for what is not a number.
static inline int16_t to_16_bits(float y) {
  return static_cast<int16_t>(nearest(clamped(y * 32768.0f, -32768.0f, 32767.0f)));
}

// De-emphasised. `previous` is the filter's state.
static inline int16_t to_pcm(float e, float pre_emphasis, float* previous) {
  const float y = fused(pre_emphasis, *previous, e);
  *previous = y;
  return to_16_bits(y);
}

}  // namespace linnet
