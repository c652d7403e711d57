// What others need to know of an output: a draw that is forced to a token, and a subscale, which runs it apart.
#pragma once

#include "operations/step.h"

namespace linnet {

// The part of the step's forced token that a slot holds: a byte of two, the whole, or, of an excitation, the class
// whose value leads from the prediction nearest to the recording's sample.
uint32_t forced_token(Step& step, uint32_t slot, uint32_t classes);

// The operand that a forced draw reads, which is the prediction under an excitation; null where there is none.
const Operand* predicted_of(const Operation& last);

// The token that the slots hold, the companded value that it stands for, and the sample that follows those before it,
// of which `state` tells; of an output that is no excitation.
uint32_t token_of(const Operation& output, const uint32_t* slots);
float companded(const Operation& output, uint32_t token);
int16_t sample_of(const Operation& output, uint32_t token, float* state);

constexpr uint32_t kPredicted = 2;  // floats of it: prediction and gain

}  // namespace linnet
