// The scalar functions of export/FORMAT.md, "Arithmetic", in plain C++. Static on purpose: each file compiles its own
// copy, so that no linker can hand a copy made with wider instructions to code that runs on an older CPU.
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/fused.h"

#include "kernels/contract.h"

#if defined(__GNUC__)
#define LINNET_INLINE inline __attribute__((always_inline))
#else
#define LINNET_INLINE inline
#endif

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

static inline float clamped(float x, float low, float high) {
  x = x > low ? x : low;
  return x < high ? x : high;
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
  const float t = fused(x, kLog2E, kRound);
  const float n = t - kRound;
  float r = fused(n, -kLn2High, x);
  r = fused(n, -kLn2Low, r);
  float p = kExp6;
  p = fused(p, r, kExp5);
  p = fused(p, r, kExp4);
  p = fused(p, r, kExp3);
  p = fused(p, r, kExp2);
  p = fused(p, r, 1.0f);
  p = fused(p, r, 1.0f);
  return float_of(bits_of(p) + ((bits_of(t) - bits_of(kRound)) << 23));
}

// log by n ln 2 + log(1 + f), 2/3 <= 1 + f < 4/3. The coefficients are a minimax fit to (log(1 + f) - f) / f^2
// (relative error of the logarithm 4.7e-9) with the first held at -1/2.
constexpr float kLogLow = 0x1p-126f;  // the least normal number
constexpr float kLogHigh = 0x1.fffffep+127f;
constexpr int32_t kTwoThirds = 0x2AAAAB;  // the fraction's bits
constexpr float kLog8 = -0x1.07e5f4p-3f;
constexpr float kLog7 = 0x1.1e73ap-3f;
constexpr float kLog6 = -0x1.f32078p-4f;
constexpr float kLog5 = 0x1.1ed424p-3f;
constexpr float kLog4 = -0x1.559d36p-3f;
constexpr float kLog3 = 0x1.99d05ep-3f;
constexpr float kLog2 = -0x1.fffef4p-3f;
constexpr float kLog1 = 0x1.555506p-2f;

static inline float log_scalar(float x) {
  x = x > kLogLow ? x : kLogLow;
  x = x < kLogHigh ? x : kLogHigh;
  const uint32_t power = (bits_of(x) - uint32_t{kTwoThirds}) >> 23;
  const float n = static_cast<float>(static_cast<int32_t>(power) - 126);
  const float f = float_of(bits_of(x) - (power << 23) + (126u << 23)) - 1.0f;
  float p = kLog8;
  p = fused(p, f, kLog7);
  p = fused(p, f, kLog6);
  p = fused(p, f, kLog5);
  p = fused(p, f, kLog4);
  p = fused(p, f, kLog3);
  p = fused(p, f, kLog2);
  p = fused(p, f, kLog1);
  p = fused(p, f, -0.5f);
  const float r = fused(f * f, p, f);
  return fused(n, kLn2High, fused(n, kLn2Low, r));
}

static inline float sigmoid_scalar(float x) { return 1.0f / (1.0f + exp_scalar(-x)); }

static inline float tanh_scalar(float x) { return fused(2.0f, sigmoid_scalar(x + x), -1.0f); }

static inline float relu_scalar(float x) { return x > 0.0f ? x : 0.0f; }

// relu(x) + log(1 + e), e = exp(-|x|), with what 1 + e lost put back: as exact where e is small.
static inline float softplus_scalar(float x) {
  const float e = exp_scalar(-fabsf(x));
  const float w = 1.0f + e;
  return relu_scalar(x) + (log_scalar(w) + (e - (w - 1.0f)) / w);
}

// sin(2 pi h) for |h| <= 1/4, in turns. The coefficients are a minimax fit to sin(2 pi h) / h in h^2, rounded to 24
// bits (relative error 4.3e-8).
constexpr float kSine9 = 0x1.3daff6p+5f;
constexpr float kSine7 = -0x1.324ccap+6f;
constexpr float kSine5 = 0x1.4668bp+6f;
constexpr float kSine3 = -0x1.4abbc2p+5f;
constexpr float kSine1 = 0x1.921fb6p+2f;
constexpr float kMostTurns = 0x1p+21f;  // up to here kRound rounds to an integer

static inline float quarter_sine(float h) {
  const float u = h * h;
  float p = kSine9;
  p = fused(p, u, kSine7);
  p = fused(p, u, kSine5);
  p = fused(p, u, kSine3);
  p = fused(p, u, kSine1);
  return h * p;
}

// From turns to the part of a turn within [-1/2, 1/2].
static inline float part_of_turn(float turns) {
  turns = turns > -kMostTurns ? turns : -kMostTurns;
  turns = turns < kMostTurns ? turns : kMostTurns;
  return turns - ((turns + kRound) - kRound);
}

static inline float cos_turns(float turns) { return quarter_sine(0.25f - fabsf(part_of_turn(turns))); }

static inline float sin_turns(float turns) {
  const float part = part_of_turn(turns), size = fabsf(part), rest = 0.5f - size;
  return quarter_sine(copysignf(size < rest ? size : rest, part));
}

// Of the bands of a frame that is matched to features.
struct Correction {
  float scale, offset;  // of a feature: the logarithm that its band should have
  float floor;          // of a band
  float strength, limit;
};

static inline float correction_of(const Correction& c, float feature, float band) {
  const float own = band > c.floor ? band : c.floor;
  float d = (fused(c.scale, feature, c.offset) - log_scalar(own)) * c.strength;
  d = d > -c.limit ? d : -c.limit;
  return d < c.limit ? d : c.limit;
}

static inline float widen_fp16(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
  const uint32_t magnitude = h & 0x7fffu;
  if (magnitude < 0x0400u) {  // zero or subnormal: magnitude x 2^-24, exact
    return float_of(sign | bits_of(static_cast<float>(magnitude) * 0x1p-24f));
  }
  return float_of(sign | ((magnitude << 13) + (112u << 23)));
}

// The operand of an int8 product: integers q = x inverse, rounded, for which x is about q step.
constexpr float kMostInt8 = 127.0f;

struct Quantisation {
  float inverse, step;
};

// For |x| up to `range`; infinity counts as the greatest finite number.
static inline Quantisation quantisation_for(float range) {
  range = range < kLogHigh ? range : kLogHigh;
  if (!(range > kLeastInt8Range)) return {0.0f, 0.0f};
  return {kMostInt8 / range, range / kMostInt8};
}

static inline int8_t quantise_scalar(float x, float inverse) {
  float v = x * inverse;
  v = v > -kMostInt8 ? v : -kMostInt8;
  v = v < kMostInt8 ? v : kMostInt8;
  return static_cast<int8_t>(bits_of(v + kRound) - bits_of(kRound));
}

static inline float widen_bf16(uint16_t h) { return float_of(static_cast<uint32_t>(h) << 16); }

}  // namespace linnet
