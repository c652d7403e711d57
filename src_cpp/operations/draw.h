// The end of a sample: from logits to tokens, and from tokens to 16 bits.
#pragma once

#include "run/engine.h"

namespace linnet {

inline uint32_t groups_of(uint32_t classes) { return (classes + kGroup - 1) / kGroup; }

// The index-th random number of the step: uniform in [0, 1), 24 bits.
float uniform(const State& state, uint32_t index);

// The first class with the greatest logit; 0 where none is greater than minus infinity.
uint32_t likeliest(const float* logits, uint32_t classes);  // (classes)

// A class drawn at the stream's temperature, which is not 0, by the index-th random number.
uint32_t draw_from(State* state, const float* logits, uint32_t classes, uint32_t index);  // (classes)

// A class drawn at the stream's temperature.
uint32_t draw_class(State* state, const DrawOp& op, const float* logits);  // (classes)

// Nats of one class at temperature 1, from the same exponentials that a draw uses.
double class_nats(State* state, const DrawOp& op, const float* logits, uint32_t token);  // (classes)

// The value that the slots' tokens stand for, expanded.
float output_value(const State& state, const OutputOp& op);

// A sample in [-1, 1) to 16 bits, clamped; the least for what is not a number.
int16_t rounded(float y);

// De-emphasised, and rounded to 16 bits. `previous` is the filter's state.
int16_t to_pcm(float e, float pre_emphasis, float* previous);

}  // namespace linnet
