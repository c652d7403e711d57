// Linear prediction: a sample is what the samples before foretell, and an excitation that the network models.
#pragma once

#include "run/engine.h"

namespace linnet {

// Reflection coefficients (order) to those of the prediction -sum a[i] s[n - 1 - i], of a filter that is stable.
void step_up(uint32_t order, const float* reflection, float* a);

// From the newest samples (order) to `out` (4): prediction, gain, and the roots of the prediction and of the newest
// sample in gains. Makes room for a new sample in past[0].
void predict(const PredictOp& op, const float* a, float gain, float* past, float* out);

// The sample of an excitation e in gains; `predicted` holds prediction and gain.
float excited(const float* predicted, float e);

// The token whose excitation leads from the prediction nearest to a sample.
uint32_t token_of(const OutputOp& op, uint32_t classes, const float* predicted, float sample);

}  // namespace linnet
