#include "operations/categorical.h"

#include <math.h>

#include "operations/random.h"

namespace linnet {
namespace {

// The first class with the greatest logit; 0 where none is greater than minus infinity.
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

}  // namespace

// Inverts the cumulative distribution: first among the groups of 16 classes, then within one.
uint32_t draw_class(Step& step, const float* logits, uint32_t classes, uint32_t index) {
  Sampler& sampler = *step.sampler;
  if (sampler.inverse_temperature == 0.0f) return likeliest(logits, classes);
  step.kernels->exponentials(classes, sampler.inverse_temperature, logits, sampler.e, sampler.groups);
  const uint32_t n_groups = groups_of(classes);
  float* cumulative = sampler.groups;
  for (uint32_t g = 1; g < n_groups; ++g) cumulative[g] = cumulative[g - 1] + cumulative[g];
  const float threshold = uniform(sampler, index) * cumulative[n_groups - 1];
  uint32_t g = 0;
  while (g + 1 < n_groups && !(cumulative[g] > threshold)) ++g;
  const uint32_t last = (g + 1 < n_groups ? (g + 1) * kGroup : classes) - 1;
  uint32_t k = g * kGroup;
  float sum = (g == 0 ? 0.0f : cumulative[g - 1]) + sampler.e[k];
  while (k < last && !(sum > threshold)) sum = sum + sampler.e[++k];
  return k;
}

Softmax softmax_of(Step& step, const float* logits, uint32_t classes) {
  Sampler& sampler = *step.sampler;
  const float greatest = step.kernels->exponentials(classes, 1.0f, logits, sampler.e, sampler.groups);
  float total = sampler.groups[0];
  for (uint32_t g = 1; g < groups_of(classes); ++g) total = total + sampler.groups[g];
  return {log(static_cast<double>(total)), static_cast<double>(greatest)};
}

}  // namespace linnet
