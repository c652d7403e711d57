// An all-pole filter: from autocorrelations, and as the end of a step of several samples.
#include <math.h>
#include <string.h>

#include "file/validation.h"
#include "operations/pcm.h"
#include "operations/step.h"

namespace linnet {
namespace {

constexpr uint32_t kMostOrder = 64;
constexpr float kMostGain = 256.0f;
constexpr uint32_t kMostSamples = 64;

struct LevinsonWords {
  Code code;
  uint32_t lags;
  uint32_t unused1[2];
  uint32_t input, input_stride;  // rows of a frame: autocorrelations (lags)
  uint32_t out, out_stride;      // rows of a frame: coefficients (lags - 1), gain
  uint32_t unused2[4];
  float power;       // by which that of the prediction error is multiplied
  float least_gain;  // is taken off the gain
  uint32_t unused3[2];
};

bool check_levinson(Checks& checks, const Operation& operation) {
  const auto& op = operation.as<LevinsonWords>();
  return op.out_stride >= op.lags || checks.fail("its rows overlap");
}

// Levinson 1946, "The Wiener RMS error criterion in filter design and prediction".
void levinson(uint32_t order, const float* r, float power, float least_gain, float* a) {
  float error = r[0];
  for (uint32_t i = 0; i < order; ++i) {
    float sum = r[i + 1];
    for (uint32_t j = 0; j < i; ++j) sum = fused(a[j], r[i - j], sum);
    const float k = clamped(-sum / error, -1.0f, 1.0f);
    for (uint32_t j = 0; 2 * j < i; ++j) {
      const float low = a[j], high = a[i - 1 - j];
      a[j] = fused(k, high, low);
      a[i - 1 - j] = fused(k, low, high);
    }
    a[i] = k;
    error = error * fused(-k, k, 1.0f);
  }
  a[order] = relu_scalar(sqrtf(relu_scalar(power * error)) - least_gain);
}

void run_levinson(Step& step, const Operation& operation, const Part&) {
  const auto& op = operation.as<LevinsonWords>();
  for (uint32_t row = 0; row < step.model->config.rows(); ++row) {
    levinson(op.lags - 1, step.arena + op.input + size_t{op.input_stride} * row, op.power, op.least_gain,
             step.arena + op.out + size_t{op.out_stride} * row);
  }
}

uint64_t levinson_products(const Model& model, const Operation& operation) {
  const uint64_t lags = operation.as<LevinsonWords>().lags;
  return model.config.rows() * lags * lags;
}

struct AllPoleWords {
  Code code;
  uint32_t order;
  uint32_t samples;  // of a step
  uint32_t unused1;
  Operand input;         // the excitation (samples)
  Operand state;         // of the de-emphasis (1)
  Operand coefficients;  // (order)
  Operand gain;          // (1)
  Operand past;          // samples (order), the newest first
  float pre_emphasis;
  uint32_t unused2;
};

bool check_all_pole(Checks& checks, const Operation& operation) {
  if (operation.as<AllPoleWords>().samples != checks.config().samples_per_step)
    return checks.fail("its samples are not those of a step");
  if (checks.logistics != nullptr) return checks.fail("a mixture of logistics that is not in the output");
  return checks.config().n_slots == 0 || checks.fail("slots that are not in the output");
}

void run_all_pole(Step& step, const Operation& operation, const Part&) {
  const auto& op = operation.as<AllPoleWords>();
  const uint32_t n = op.samples;
  const float *e = step.at(op.input), *a = step.at(op.coefficients);
  float *past = step.at(op.past), *state = step.at(op.state);
  const float gain = clamped(*step.at(op.gain), 0.0f, kMostGain);
  float samples[kMostSamples + kMostOrder];  // the newest first
  memcpy(samples + n, past, op.order * sizeof *past);
  step.kernels->all_pole(n, op.order, gain, a, e, samples + n);
  for (uint32_t i = 0; i < n; ++i) {
    const int16_t sample = to_pcm(samples[n - 1 - i], op.pre_emphasis, state);
    if (step.samples != nullptr) step.samples[i] = sample;
  }
  memcpy(past, samples, op.order * sizeof *past);
}

uint64_t all_pole_products(const Model&, const Operation& operation) {
  const auto& op = operation.as<AllPoleWords>();
  return uint64_t{op.order} * op.samples;
}

}  // namespace

namespace rows {

constexpr Word kLevinsonWords[] = {number(1, "lags", 2, kMostOrder + 1),
                                   reads(4, "input", {Size::spaced_rows, 1, 0}, "offset, row stride"),
                                   writes(6, "out", {Size::spaced_rows, 1, 0}, "offset, row stride"),
                                   real(12, "power", "0 or more", 0),
                                   real(13, "least_gain", "0 or more", 0),
                                   {}};

const OperationRow levinson = {Code::levinson, "levinson", kInFrame,     kLevinsonWords, nullptr,
                               check_levinson, nullptr,    run_levinson, nullptr,        levinson_products};

constexpr Word kAllPoleWords[] = {number(1, "order", 1, kMostOrder),
                                  number(2, "samples", 1, kMostSamples),
                                  reads(4, "input", {Size::word, 2, 0}),
                                  updates(6, "state", {Size::constant, 1, 0}),
                                  reads(8, "coefficients", {Size::word, 1, 0}),
                                  reads(10, "gain", {Size::constant, 1, 0}),
                                  updates(12, "past", {Size::word, 1, 0}),
                                  real(14, "pre_emphasis", "in (-1, 1)", -kBelowOne, kBelowOne),
                                  {}};

const OperationRow all_pole = {Code::all_pole, "all_pole", kEndsSample,  kAllPoleWords, nullptr,
                               check_all_pole, nullptr,    run_all_pole, nullptr,       all_pole_products};

}  // namespace rows
}  // namespace linnet
