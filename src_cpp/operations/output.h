// What a draw that is forced to a token needs to know of the program's output.
#pragma once

#include "operations/step.h"

namespace linnet {

// The part of the step's forced token that a slot holds: a byte of two, the whole, or, of an excitation, the class
// whose value leads from the prediction nearest to the recording's sample.
uint32_t forced_token(Step& step, uint32_t slot, uint32_t classes);

// The operand that a forced draw reads, which is the prediction under an excitation; null where there is none.
const Operand* predicted_of(const Operation& last);

constexpr uint32_t kPredicted = 2;  // floats of it: prediction and gain

}  // namespace linnet
