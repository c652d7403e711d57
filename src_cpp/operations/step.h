// One step of one stream: what operations run on.
#pragma once

#include "file/model.h"
#include "kernels/contract.h"
#include "operations/operation.h"

namespace linnet {

struct Sampling {
  uint64_t seed;
  uint32_t stream_number;
  float temperature;
};

// What draws use and change.
struct Sampler {
  Sampling sampling;
  float inverse_temperature;  // 0 where the likeliest class is taken
  uint64_t step;              // since the reset
  uint32_t* slots;            // (n_slots) tokens
  float* e;                   // (most_classes, padded) scratch: exponentials
  float* groups;              // (most_classes / 16) scratch: their sums in groups
  float recorded;             // the last sample of the recording that a score is given, where it is
};

struct Step {
  const Model* model;
  const Kernels* kernels;
  float* arena;
  Sampler* sampler;
  uint32_t row;            // within its frame
  const uint16_t* forced;  // (samples_per_step) tokens in the place of draws, or null
  int16_t* samples;        // (samples_per_step) or null
  double nats;             // grows by the scores of forced tokens

  float* at(const Operand& operand) const { return arena + operand.offset + size_t{operand.stride} * row; }
};

}  // namespace linnet
