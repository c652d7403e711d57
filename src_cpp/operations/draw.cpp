#include "operations/draw.h"

#include <math.h>

#include "kernels/arithmetic.h"
#include "operations/random.h"

namespace linnet {

float uniform(const State& state, uint32_t index) {
  const PhiloxBlock counter = {
      {static_cast<uint32_t>(state.step), static_cast<uint32_t>(state.step >> 32), index >> 2, state.sampling.stream}};
  const PhiloxBlock block =
      philox4x32(counter, static_cast<uint32_t>(state.sampling.seed), static_cast<uint32_t>(state.sampling.seed >> 32));
  return static_cast<float>(block.words[index & 3] >> 8) * 0x1p-24f;
}

uint32_t likeliest(const float* logits, uint32_t classes) {
  uint32_t best = 0;
  float greatest = -INFINITY;
  for (uint32_t k = 0; k < classes; ++k) {
    if (logits[k] > greatest) {
      greatest = logits[k];
      best = k;
    }
  }
  return best;
}

// Inverts the cumulative distribution: first among the groups of 16 classes, then within one.
uint32_t draw_from(State* state, const float* logits, uint32_t classes, uint32_t index) {
  state->kernels.exponentials(classes, state->inverse_temperature, logits, state->e, state->groups);
  const uint32_t n_groups = groups_of(classes);
  float* cumulative = state->groups;
  for (uint32_t g = 1; g < n_groups; ++g) cumulative[g] = cumulative[g - 1] + cumulative[g];
  const float threshold = uniform(*state, index) * cumulative[n_groups - 1];
  uint32_t g = 0;
  while (g + 1 < n_groups && !(cumulative[g] > threshold)) ++g;
  const uint32_t last = (g + 1 < n_groups ? (g + 1) * kGroup : classes) - 1;
  uint32_t k = g * kGroup;
  float sum = (g == 0 ? 0.0f : cumulative[g - 1]) + state->e[k];
  while (k < last && !(sum > threshold)) sum = sum + state->e[++k];
  return k;
}

uint32_t draw_class(State* state, const DrawOp& op, const float* logits) {
  if (state->inverse_temperature == 0.0f) return likeliest(logits, op.classes);
  return draw_from(state, logits, op.classes, op.word);
}

double class_nats(State* state, const DrawOp& op, const float* logits, uint32_t token) {
  const float greatest = state->kernels.exponentials(op.classes, 1.0f, logits, state->e, state->groups);
  float total = state->groups[0];
  for (uint32_t g = 1; g < groups_of(op.classes); ++g) total = total + state->groups[g];
  return log(static_cast<double>(total)) - (static_cast<double>(logits[token]) - static_cast<double>(greatest));
}

float output_value(const State& state, const OutputOp& op) {
  uint32_t token = state.slots[op.high];
  if (op.low != kNone) token = token * 256 + state.slots[op.low];
  const float v = fmaf(static_cast<float>(token), op.scale, op.offset);
  if (op.companding == Companding::linear) return v;
  return copysignf((exp_scalar(fabsf(v) * op.log1p_mu) - 1.0f) * op.inverse_mu, v);
}

int16_t rounded(float y) {
  float z = y * 32768.0f;
  z = z > -32768.0f ? z : -32768.0f;
  z = z < 32767.0f ? z : 32767.0f;
  const uint32_t whole = bits_of(z + kRound) - bits_of(kRound);  // the integer nearest to z, ties to even
  return static_cast<int16_t>(static_cast<int32_t>(whole));
}

int16_t to_pcm(float e, float pre_emphasis, float* previous) {
  const float y = fmaf(pre_emphasis, *previous, e);
  *previous = y;
  return rounded(y);
}

}  // namespace linnet
