// The scalar functions of export/FORMAT.md, "Arithmetic", in plain C++. Static on purpose: each file compiles its own
// copy, so that no linker can hand a copy made with wider instructions to code that runs on an older CPU.
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

namespace linnet {

static inline uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static inline float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// exp by n ln 2 + r, |r| <= ln 2 / 2. The coefficients are a minimax fit to exp(r) (relative error 3.2e-9) with the
// first two held at 1.
constexpr float kExpLow = -86.0f;     // keeps results normal
constexpr float kExpHigh = 88.0f;     // keeps results finite
constexpr float kRound = 0x1.8p+23f;  // adding it rounds to an integer, which then stands in the low bits
constexpr float kLog2E = 0x1.715476p+0f;
constexpr float kLn2High = 0x1.62e4p-1f;  // 16 bits: n times it is exact
constexpr float kLn2Low = 0x1.7f7d1cp-20f;
constexpr float kExp6 = 0x1.6a524ep-10f;
constexpr float kExp5 = 0x1.12396ep-7f;
constexpr float kExp4 = 0x1.5558aap-5f;
constexpr float kExp3 = 0x1.555492p-3f;
constexpr float kExp2 = 0x1.fffffcp-2f;

static inline float exp_scalar(float x) {
  x = x > kExpLow ? x : kExpLow;
  x = x < kExpHigh ? x : kExpHigh;
  const float t = fmaf(x, kLog2E, kRound);
  const float n = t - kRound;
  float r = fmaf(n, -kLn2High, x);
  r = fmaf(n, -kLn2Low, r);
  float p = kExp6;
  p = fmaf(p, r, kExp5);
  p = fmaf(p, r, kExp4);
  p = fmaf(p, r, kExp3);
  p = fmaf(p, r, kExp2);
  p = fmaf(p, r, 1.0f);
  p = fmaf(p, r, 1.0f);
  return float_of(bits_of(p) + ((bits_of(t) - bits_of(kRound)) << 23));
}

static inline float sigmoid_scalar(float x) { return 1.0f / (1.0f + exp_scalar(-x)); }

static inline float tanh_scalar(float x) { return fmaf(2.0f, sigmoid_scalar(x + x), -1.0f); }

static inline float relu_scalar(float x) { return x > 0.0f ? x : 0.0f; }

static inline float widen_fp16(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
  const uint32_t magnitude = h & 0x7fffu;
  if (magnitude < 0x0400u) {  // zero or subnormal: magnitude x 2^-24, exact
    return float_of(sign | bits_of(static_cast<float>(magnitude) * 0x1p-24f));
  }
  return float_of(sign | ((magnitude << 13) + (112u << 23)));
}

static inline float widen_bf16(uint16_t h) { return float_of(static_cast<uint32_t>(h) << 16); }

}  // namespace linnet
