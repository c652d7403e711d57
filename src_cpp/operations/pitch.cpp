// The pitch of a frame, from logits of bins of its logarithm and the logit of being voiced.
#include <math.h>

#include "kernels/arithmetic.h"
#include "operations/step.h"

namespace linnet {
namespace {

constexpr float kMostBins = 4096;

struct PitchWords {
  Code code;
  uint32_t bins;
  uint32_t centres;  // vector (bins): logarithms of cycles a sample
  uint32_t reach;    // bins on both sides of the likeliest that count
  Operand input;     // (bins)
  Operand out;       // (2): cycles a sample, and 1 where voiced
  Operand voicing;   // (1)
  uint32_t unused[6];
};

void run(Step& step, const Operation& operation, const Part&) {
  const auto& op = operation.as<PitchWords>();
  const float *logits = step.at(op.input), *centres = step.model->floats(op.centres);
  float* out = step.at(op.out);
  uint32_t best = 0;
  for (uint32_t i = 1; i < op.bins; ++i) best = logits[i] > logits[best] ? i : best;
  const uint32_t first = best > op.reach ? best - op.reach : 0;
  const uint32_t last = op.bins - 1 - best > op.reach ? best + op.reach : op.bins - 1;
  float weights = 0.0f, sum = 0.0f;
  for (uint32_t i = first; i <= last; ++i) {
    const float weight = exp_scalar(logits[i] - logits[best]);
    weights = weights + weight;
    sum = fused(weight, centres[i], sum);
  }
  const float voiced = *step.at(op.voicing) > 0.0f ? 1.0f : 0.0f;
  out[0] = exp_scalar(sum / weights);
  out[1] = voiced;
}

}  // namespace

namespace rows {

constexpr Word kPitchWords[] = {number(1, "bins", 1, kMostBins),
                                named(2, WordKind::vector, "centres", {Size::word, 1, 0}),
                                number(3, "reach", 0, kMostBins),
                                reads(4, "input", {Size::word, 1, 0}, "logits"),
                                writes(6, "out", {Size::constant, 2, 0}),
                                reads(8, "voicing", {Size::constant, 1, 0}, "a logit"),
                                {}};

const OperationRow pitch = {Code::pitch, "pitch", kInFrame, kPitchWords, nullptr, nullptr, nullptr, run, nullptr};

}  // namespace rows
}  // namespace linnet
