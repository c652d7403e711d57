// Mixtures of logistics: from parameters to values, one for each band.
#pragma once

#include "run/engine.h"

namespace linnet {

// An operation's parameters in a step, each (bands, mixtures).
struct Mixture {
  const LogisticsOp& op;
  const float *logits, *means, *scales;
};

// A band's value, drawn at the stream's temperature.
float draw_logistic(State* state, const Mixture& mixture, uint32_t band);

// The value that a token stands for.
float logistic_value(const LogisticsOp& op, uint32_t token);

// Nats of one token of a band at temperature 1: of the values that are rounded to it.
double logistic_nats(State* state, const Mixture& mixture, uint32_t band, uint32_t token);

}  // namespace linnet
