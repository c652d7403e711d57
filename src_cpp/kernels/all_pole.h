// The all-pole filter of FORMAT.md, "all_pole", for sets whose instructions fuse better than the baseline's. To be
// included within a target region, as functions.h is.
#pragma once

#include "kernels/arithmetic.h"
#include "kernels/contract.h"

namespace linnet {
namespace {

constexpr float kMostSignal = 2.0f;  // pre-emphasised samples lie within it
constexpr float kMostExcitation = 65536.0f;

void all_pole(uint32_t n, uint32_t order, float gain, const float* coefficients, const float* excitation,
              float* samples) {
  for (uint32_t i = 0; i < n; ++i) {
    const float* a = coefficients + order;
    float* newest = samples - i;
    const float* s = newest + order;
    float p0 = 0.0f, p1 = 0.0f, p2 = 0.0f, p3 = 0.0f;
    if (order % 4 > 2) p2 = fused(*--a, *--s, p2);
    if (order % 4 > 1) p1 = fused(*--a, *--s, p1);
    if (order % 4 > 0) p0 = fused(*--a, *--s, p0);
    while (a != coefficients) {
      a -= 4;
      s -= 4;
      p3 = fused(a[3], s[3], p3);
      p2 = fused(a[2], s[2], p2);
      p1 = fused(a[1], s[1], p1);
      p0 = fused(a[0], s[0], p0);
    }
    const float prediction = -((p0 + p1) + (p2 + p3));
    const float e = clamped(excitation[i], -kMostExcitation, kMostExcitation);
    newest[-1] = clamped(fused(e, gain, prediction), -kMostSignal, kMostSignal);
  }
}

}  // namespace
}  // namespace linnet
