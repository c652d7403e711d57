// Work of several streams, or several lanes of one, whose products read the weights together.
#pragma once

#include "operations/step.h"
#include "run/plan.h"

namespace linnet {

// A task of a plan for one thread, for `count` steps of one model, up to kTogether. `packed` is scratch for products.
void run_together(const Plan& plan, uint32_t task, Step* steps, uint32_t count,
                  float* packed);  // (kTogether, most_cols)

}  // namespace linnet
