#include "operations/prediction.h"

#include <math.h>
#include <string.h>

#include "kernels/arithmetic.h"

namespace linnet {
namespace {

constexpr float kMostGain = 256.0f;
constexpr float kMostSignal = 2.0f;  // pre-emphasised samples lie within it

float clamped(float x, float low, float high) {
  x = x > low ? x : low;
  return x < high ? x : high;
}

// A signal of any level as an input of a network: of order 1.
float signed_root(float x, float gain) { return copysignf(sqrtf(fabsf(x) / gain), x); }

}  // namespace

void step_up(uint32_t order, const float* reflection, float* a) {
  for (uint32_t i = 0; i < order; ++i) {
    const float k = clamped(reflection[i], -1.0f, 1.0f);
    for (uint32_t j = 0; 2 * j < i; ++j) {
      const float low = a[j], high = a[i - 1 - j];
      a[j] = fmaf(k, high, low);
      a[i - 1 - j] = fmaf(k, low, high);
    }
    a[i] = k;
  }
}

void predict(const PredictOp& op, const float* a, float gain, float* past, float* out) {
  float p[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  for (uint32_t i = 0; i < op.order; ++i) p[i % 4] = fmaf(a[i], past[i], p[i % 4]);
  const float prediction = -((p[0] + p[1]) + (p[2] + p[3]));
  const float g = clamped(gain, op.least_gain, kMostGain);
  out[0] = prediction;
  out[1] = g;
  out[2] = signed_root(prediction, g);
  out[3] = signed_root(past[0], g);
  memmove(past + 1, past, (op.order - 1) * sizeof *past);
}

float excited(const float* predicted, float e) {
  return clamped(fmaf(e, predicted[1], predicted[0]), -kMostSignal, kMostSignal);
}

uint32_t token_of(const OutputOp& op, uint32_t classes, const float* predicted, float sample) {
  const float u = (sample - predicted[0]) / predicted[1];
  const float size = log_scalar(fmaf(fabsf(u), op.mu, 1.0f)) / op.log1p_mu;
  const float v = u > 0.0f ? size : -size;
  const float z = clamped((v - op.offset) / op.scale, 0.0f, static_cast<float>(classes - 1));
  return bits_of(z + kRound) - bits_of(kRound);
}

}  // namespace linnet
