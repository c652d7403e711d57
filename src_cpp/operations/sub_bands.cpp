// The end of a step whose samples are made in sub-bands: one value of each becomes as many samples.
#include <math.h>
#include <string.h>

#include "file/validation.h"
#include "kernels/fused.h"
#include "operations/logistics.h"
#include "operations/pcm.h"
#include "operations/step.h"

namespace linnet {
namespace {

constexpr uint32_t kMostSections = 16;  // of a filter

struct SubBandsWords {
  Code code;
  uint32_t levels;   // 2^levels sub-bands
  uint32_t weights;  // the filters' coefficients, or kNone
  uint32_t unused1;
  Operand input, state;
  uint32_t unused2[5];
  float pre_emphasis;
  uint32_t unused3[2];
};

bool check(Checks& checks, const Operation& operation) {
  const auto& op = operation.as<SubBandsWords>();
  const uint32_t n = 1u << op.levels;
  if (n != checks.config().samples_per_step) return checks.fail("its sub-bands are not the samples of a step");
  if (checks.config().n_slots != 0) return checks.fail("slots that are not in the output");
  const LogisticsWords* logistics = checks.logistics ? &checks.logistics->as<LogisticsWords>() : nullptr;
  if (logistics == nullptr || logistics->bands != n)
    return checks.fail("no mixture of logistics draws as many sub-bands");
  checks.config().high_classes = logistics->classes;
  if ((op.weights == kNone) != (op.levels == 0))
    return checks.fail("levels without weights, or weights without levels");
  if (op.levels == 0) return true;
  const uint32_t coefficients = checks.model.tensors[op.weights].rows;
  return (coefficients % 2 == 0 && coefficients <= 2 * kMostSections) ||
         checks.fail("weights is not a vector of twice 1 .. 16 sections");
}

// Sections z in turn: y[n] = z x[n] + x[n-1] - z y[n-1]. `previous` is the first one's last input and then the last
// output of each, which is the next one's last input.
float all_pass(uint32_t sections, const float* z, float* previous, float x) {
  for (uint32_t k = 0; k < sections; ++k) {
    const float y = fused(z[k], x - previous[k + 1], previous[k]);
    previous[k] = x;
    x = y;
  }
  previous[sections] = x;
  return x;
}

// Cut to 16 bits.
float cut(float v) { return static_cast<float>(static_cast<int32_t>(clamped(v, -32768.0f, 32767.0f))); }

// Two signals of n samples after two of n samples become one of 2 n samples after the other.
void merge(uint32_t n_bands, uint32_t sections, const float* first, float* memory, float* x) {
  const float* second = first + sections;
  for (uint32_t n = 1; n < n_bands; n *= 2) {
    float merged[kMostSubBands];
    for (uint32_t pair = 0; pair < n_bands / (2 * n); ++pair, memory += 2 * (sections + 1)) {
      // The upper half of a band that was split has its frequencies reversed, so its own halves have changed places.
      const float* low = x + (2 * pair + pair % 2) * n;
      const float* high = x + (2 * pair + 1 - pair % 2) * n;
      float* out = merged + 2 * pair * n;
      for (uint32_t t = 0; t < n; ++t) {
        out[2 * t] = cut(all_pass(sections, second, memory + sections + 1, low[t] + high[t]));
        out[2 * t + 1] = cut(all_pass(sections, first, memory, low[t] - high[t]));
      }
    }
    memcpy(x, merged, n_bands * sizeof *x);
  }
}

void run(Step& step, const Operation& operation, const Part&) {
  const auto& op = operation.as<SubBandsWords>();
  const uint32_t n = 1u << op.levels;
  float x[kMostSubBands];
  float* state = step.at(op.state);
  memcpy(x, step.at(op.input), n * sizeof *x);
  if (op.levels > 0) {
    const Matrix& filters = step.model->tensors[op.weights];
    for (uint32_t k = 0; k < n; ++k) x[k] = x[k] * 32768.0f;
    merge(n, filters.rows / 2, static_cast<const float*>(filters.values), state + 1, x);
    for (uint32_t k = 0; k < n; ++k) x[k] = x[k] * 0x1p-15f;
  }
  for (uint32_t k = 0; k < n; ++k) {
    const int16_t sample = to_pcm(x[k], op.pre_emphasis, state);
    if (step.samples != nullptr) step.samples[k] = sample;
  }
}

}  // namespace

namespace rows {

constexpr Word kSubBandsWords[] = {number(1, "levels", 0, 6),
                                   optional(named(2, WordKind::vector, "weights")),
                                   reads(4, "input", {Size::power, 1, 0}),
                                   updates(6, "state", {Size::merge_state, 1, 2}),
                                   real(13, "pre_emphasis", "in (-1, 1)", -kBelowOne, kBelowOne),
                                   {}};

const OperationRow sub_bands = {Code::sub_bands, "sub_bands", kEndsSample, kSubBandsWords, nullptr,
                                check,           nullptr,     run,         nullptr};

}  // namespace rows
}  // namespace linnet
