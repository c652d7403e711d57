// The end of a step of one sample: token, companded value, expanded value, de-emphasised, 16 bits. A value may be an
// excitation, which is multiplied by a gain and added to a linear prediction.
#include "operations/output.h"

#include <math.h>

#include "file/validation.h"
#include "kernels/fused.h"
#include "operations/pcm.h"
#include "operations/subscale.h"

namespace linnet {
namespace {

enum class Companding : uint32_t { linear, mu_law, excitation };

constexpr float kMostSignal = 2.0f;  // pre-emphasised samples lie within it

struct OutputWords {
  Code code;
  uint32_t high;  // slot
  uint32_t low;   // slot or kNone
  Companding companding;
  Operand predicted;  // of an excitation: prediction and gain
  Operand state;
  float scale, offset;
  float mu, log1p_mu, inverse_mu;
  float pre_emphasis;
  Operand past;  // of an excitation: where the sample goes
};

bool check(Checks& checks, const Operation& operation) {
  const auto& op = operation.as<OutputWords>();
  Config& config = checks.config();
  const bool two = op.low != kNone;
  const uint32_t made = checks.model.subscale == nullptr ? 1 : checks.model.subscale->sub_tensors;
  if (config.samples_per_step != made) {
    return checks.fail(made == 1 ? "one sample where a step has several" : "its sub-tensors are not a step's samples");
  }
  if (checks.logistics != nullptr) return checks.fail("a mixture of logistics that is not in the output");
  if (op.low == op.high) return checks.fail("the low slot is the high slot");
  if (two && checks.classes[op.low] > 256) return checks.fail("the low slot has more than 256 classes");
  config.high_classes = checks.classes[op.high];
  config.low_classes = two ? checks.classes[op.low] : 0;
  if (uint64_t{config.high_classes} * (two ? 256 : 1) > 65536) return checks.fail("tokens beyond 65535");
  if (config.n_slots != (two ? 2u : 1u)) return checks.fail("a slot is neither high nor low");
  if (op.companding != Companding::excitation) return true;
  if (made != 1) return checks.fail("an excitation of sub-tensors");
  if (two) return checks.fail("an excitation of two slots");
  if (!(op.scale > 0.0f) || !(op.log1p_mu > 0.0f)) return checks.fail("scale or log(1 + mu) is not positive");
  config.high_classes = 65536;  // of the recording that a score is given
  return true;
}

float expanded(const OutputWords& op, float v) {
  if (op.companding == Companding::linear) return v;
  return copysignf((exp_scalar(fabsf(v) * op.log1p_mu) - 1.0f) * op.inverse_mu, v);
}

void run(Step& step, const Operation& operation, const Part&) {
  const auto& op = operation.as<OutputWords>();
  float value = expanded(op, companded(operation, token_of(operation, step.sampler->slots)));
  if (op.companding == Companding::excitation) {
    const float* predicted = step.at(op.predicted);
    value = clamped(fused(value, predicted[1], predicted[0]), -kMostSignal, kMostSignal);
    *step.at(op.past) = value;
  }
  const int16_t sample = to_pcm(value, op.pre_emphasis, step.at(op.state));
  if (step.samples != nullptr) *step.samples = sample;
}

}  // namespace

uint32_t forced_token(Step& step, uint32_t slot, uint32_t classes) {
  const auto& op = last_operation(*step.model).as<OutputWords>();
  const uint16_t forced = *step.forced;
  if (op.companding != Companding::excitation)
    return op.low == kNone ? forced : slot == op.high ? forced >> 8 : forced & 255u;
  const float x = (static_cast<float>(forced) - 32768.0f) * 0x1p-15f;
  const float sample = fused(-op.pre_emphasis, step.sampler->recorded, x);
  step.sampler->recorded = x;
  const float* predicted = step.at(op.predicted);
  const float u = (sample - predicted[0]) / predicted[1];
  const float size = log_scalar(fused(fabsf(u), op.mu, 1.0f)) / op.log1p_mu;
  const float v = u > 0.0f ? size : -size;
  return static_cast<uint32_t>(nearest(clamped((v - op.offset) / op.scale, 0.0f, static_cast<float>(classes - 1))));
}

uint32_t token_of(const Operation& output, const uint32_t* slots) {
  const auto& op = output.as<OutputWords>();
  return op.low == kNone ? slots[op.high] : 256 * slots[op.high] + slots[op.low];
}

float companded(const Operation& output, uint32_t token) {
  const auto& op = output.as<OutputWords>();
  return fused(static_cast<float>(token), op.scale, op.offset);
}

int16_t sample_of(const Operation& output, uint32_t token, float* state) {
  const auto& op = output.as<OutputWords>();
  return to_pcm(expanded(op, companded(output, token)), op.pre_emphasis, state);
}

const Operand* predicted_of(const Operation& last) {
  if (last.code() != Code::output) return nullptr;
  const auto& op = last.as<OutputWords>();
  return op.companding == Companding::excitation ? &op.predicted : nullptr;
}

namespace rows {

constexpr uint8_t kExcitation = static_cast<uint8_t>(Companding::excitation);

constexpr Word kOutputWords[] = {named(1, WordKind::slot, "high"),
                                 optional(named(2, WordKind::slot, "low")),
                                 number(3, "companding", 0, kExcitation, "0 linear, 1 mu-law, 2 excitation"),
                                 only_if(3, kExcitation, reads(4, "predicted", {Size::constant, kPredicted, 0})),
                                 updates(6, "state", {Size::constant, 1, 0}),
                                 real(8, "scale"),
                                 real(9, "offset"),
                                 real(10, "mu", "mu / range"),
                                 real(11, "log1p_mu", "log(1 + mu)"),
                                 real(12, "inverse_mu", "range / mu"),
                                 real(13, "pre_emphasis", "in (-1, 1)", -kBelowOne, kBelowOne),
                                 only_if(3, kExcitation, writes(14, "past", {Size::constant, 1, 0})),
                                 {}};

const OperationRow output = {Code::output, "output", kEndsSample, kOutputWords, nullptr, check, nullptr, run, nullptr};

}  // namespace rows
}  // namespace linnet
