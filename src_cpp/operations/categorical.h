// Classes drawn from a softmax over logits.
#pragma once

#include "operations/step.h"

namespace linnet {

inline uint32_t groups_of(uint32_t classes) { return (classes + kGroup - 1) / kGroup; }

// A class drawn at the stream's temperature by the index-th random number of the step.
uint32_t draw_class(Step& step, const float* logits, uint32_t classes, uint32_t index);  // (classes)

// What -log softmax of one logit needs, at temperature 1, from the same exponentials that a draw uses:
// log_total - (logit - greatest), in nats.
struct Softmax {
  double log_total;
  double greatest;
};

Softmax softmax_of(Step& step, const float* logits, uint32_t classes);  // (classes)

}  // namespace linnet
