// Linear prediction: a sample is what the samples before foretell, and an excitation that the network models.
#include <math.h>
#include <string.h>

#include "kernels/fused.h"
#include "operations/pcm.h"
#include "operations/step.h"

namespace linnet {
namespace {

constexpr float kMostOrder = 64;
constexpr float kMostGain = 256.0f;

struct StepUpWords {
  Code code;
  uint32_t order;
  uint32_t unused1[2];
  Operand input, out;  // (order)
  uint32_t unused2[8];
};

uint64_t step_up_products(const Model&, const Operation& operation) {
  const uint64_t order = operation.as<StepUpWords>().order;
  return order * order;
}

// Reflection coefficients to those of the prediction -sum over i of a[i] s[n - 1 - i], of a filter that is stable.
void run_step_up(Step& step, const Operation& operation, const Part&) {
  const auto& op = operation.as<StepUpWords>();
  const float* reflection = step.at(op.input);
  float* a = step.at(op.out);
  for (uint32_t i = 0; i < op.order; ++i) {
    const float k = clamped(reflection[i], -1.0f, 1.0f);
    for (uint32_t j = 0; 2 * j < i; ++j) {
      const float low = a[j], high = a[i - 1 - j];
      a[j] = fused(k, high, low);
      a[i - 1 - j] = fused(k, low, high);
    }
    a[i] = k;
  }
}

struct PredictWords {
  Code code;
  uint32_t order;
  uint32_t unused1[2];
  Operand input;  // prediction coefficients (order)
  Operand out;    // (4)
  Operand gain;   // (1)
  Operand past;   // samples (order), the newest first
  float least_gain;
  uint32_t unused2[3];
};

// A signal of any level as an input of a network: of order 1.
float signed_root(float x, float gain) { return copysignf(sqrtf(fabsf(x) / gain), x); }

// From the newest samples to prediction, gain, and the roots of the prediction and of the newest sample in gains. Makes
// room for a new sample in past[0].
void run_predict(Step& step, const Operation& operation, const Part&) {
  const auto& op = operation.as<PredictWords>();
  const float* a = step.at(op.input);
  float *past = step.at(op.past), *out = step.at(op.out);
  float p[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  for (uint32_t i = 0; i < op.order; ++i) p[i % 4] = fused(a[i], past[i], p[i % 4]);
  const float prediction = -((p[0] + p[1]) + (p[2] + p[3]));
  const float g = clamped(*step.at(op.gain), op.least_gain, kMostGain);
  out[0] = prediction;
  out[1] = g;
  out[2] = signed_root(prediction, g);
  out[3] = signed_root(past[0], g);
  memmove(past + 1, past, (op.order - 1) * sizeof *past);
}

}  // namespace

namespace rows {

constexpr Word kStepUpWords[] = {
    number(1, "order", 1, kMostOrder), reads(4, "input", {Size::word, 1, 0}), writes(6, "out", {Size::word, 1, 0}), {}};

const OperationRow step_up = {Code::step_up, "step_up", kInFrame,    kStepUpWords, nullptr,
                              nullptr,       nullptr,   run_step_up, nullptr,      step_up_products};

constexpr Word kPredictWords[] = {number(1, "order", 1, kMostOrder),
                                  reads(4, "input", {Size::word, 1, 0}),
                                  writes(6, "out", {Size::constant, 4, 0}),
                                  reads(8, "gain", {Size::constant, 1, 0}),
                                  updates(10, "past", {Size::word, 1, 0}),
                                  real(12, "least_gain", "in (0, 1]", kAboveZero, 1),
                                  {}};

const OperationRow predict = {Code::predict, "predict", kInSample,   kPredictWords, nullptr,
                              nullptr,       nullptr,   run_predict, nullptr};

}  // namespace rows
}  // namespace linnet
