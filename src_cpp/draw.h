// The end of a sample: from logits to tokens, and from tokens to 16 bits.
#pragma once

#include "engine.h"

namespace linnet {

inline uint32_t groups_of(uint32_t classes) { return (classes + kGroup - 1) / kGroup; }

// A class drawn at the stream's temperature.
uint32_t draw_class(State* state, const DrawOp& op, const float* logits);  // (classes)

// Nats of one class at temperature 1, from the same exponentials that a draw uses.
double class_nats(State* state, const DrawOp& op, const float* logits, uint32_t token);  // (classes)

// The sample that the slots' tokens stand for. `previous` is the filter's state.
int16_t output_sample(const State& state, const OutputOp& op, float* previous);

}  // namespace linnet
