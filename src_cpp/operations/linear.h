// What else is to be known of linear operations: their second half, and products of several streams together.
#pragma once

#include "operations/step.h"

namespace linnet {

// Whether the operation is linear and adds or activates: that is its finish.
bool needs_finish(const Operation& op);

// The product of a linear operation for `count` streams of one model, up to kTogether. `packed` is scratch.
void multiply_together(const Operation& op, const Step* steps, uint32_t count, float* packed);

}  // namespace linnet
