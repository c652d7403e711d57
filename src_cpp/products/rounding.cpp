#include "products/rounding.h"

#include <initializer_list>
#include <math.h>
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

constexpr double kMost = 127.0;  // the greatest magnitude of an int8 weight

// weight / scale, rounded to nearest even, within -kMost .. kMost.
double scaled(float weight, float scale) {
  const double ratio = scale > 0.0f ? rint(static_cast<double>(weight) / scale) : 0.0;
  return ratio > kMost ? kMost : ratio < -kMost ? -kMost : ratio;
}

double squared_error(uint32_t n, const float* row, float scale) {
  double sum = 0.0;
  for (uint32_t i = 0; i < n; ++i) {
    const double error = row[i] - scaled(row[i], scale) * scale;
    sum += error * error;
  }
  return sum;
}

// The best scale for the integers that another one gives.
float fitted_scale(uint32_t n, const float* row, float scale) {
  double products = 0.0, squares = 0.0;
  for (uint32_t i = 0; i < n; ++i) {
    const double q = scaled(row[i], scale);
    products += row[i] * q;
    squares += q * q;
  }
  return squares > 0.0 ? static_cast<float>(products / squares) : 0.0f;
}

}  // namespace

float int8_scale(uint32_t n, const float* row) {
  constexpr int kSteps = 26;
  double largest = 0.0;
  for (uint32_t i = 0; i < n; ++i) {
    const double magnitude = fabs(static_cast<double>(row[i]));
    if (magnitude > largest) largest = magnitude;
  }
  float best = static_cast<float>(largest / kMost);
  double least = squared_error(n, row, best);
  for (int step = 0; step < kSteps; ++step) {
    const float simple = static_cast<float>(largest / (kMost + step));
    for (float candidate : {simple, fitted_scale(n, row, simple)}) {
      const double error = squared_error(n, row, candidate);
      if (error < least) {
        best = candidate;
        least = error;
      }
    }
  }
  return best;
}

bool round_weight(Dtype dtype, float weight, float scale, uint32_t* bits) {
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
    case Dtype::int8:
      *bits = static_cast<uint8_t>(static_cast<int8_t>(scaled(weight, scale)));
      return true;
  }
  return false;
}

bool is_nonzero(Dtype dtype, uint32_t bits) { return (bits & ~(1u << (8 * weight_bytes(dtype) - 1))) != 0; }

}  // namespace linnet
