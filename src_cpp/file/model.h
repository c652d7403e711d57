// A model: the numbers of a file's header and views of its sections.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/contract.h"
#include "linnet.h"

namespace linnet {

constexpr uint32_t kNone = 0xFFFFFFFFu;

struct Config {
  uint32_t sample_rate;  // Hz
  uint32_t hop_length;   // samples per frame
  uint32_t n_features;   // floats per frame
  uint32_t lookahead;    // frames
  uint32_t priming;      // frames
  uint32_t arena_size;   // floats
  uint32_t n_slots;
  uint32_t features_at;  // floats
  uint32_t n_tensors;
  uint32_t n_frame_operations;
  uint32_t n_sample_operations;
  uint32_t samples_per_step;  // of the sample program
  uint32_t steps_per_row;     // that see the same row of what a frame has for its samples
  uint32_t silence;           // tensor: vector of a silent frame's features, or kNone: zeros
  uint32_t most_classes;      // of any draw
  uint32_t high_classes;      // of the output's high slot, or of a mixture of logistics
  uint32_t low_classes;       // of its low slot; 0 without one
  uint32_t most_cols;         // of any product, up to the next multiple of its block's columns

  uint32_t rows() const { return hop_length / samples_per_step / steps_per_row; }  // per frame
};

struct Operation;
struct MatchWords;
struct SubscaleWords;

struct Model {
  Config config;
  uint64_t file_size;
  const char* metadata;  // JSON, in the file
  size_t metadata_size;
  Matrix* tensors;                  // (n_tensors) views; owned
  const Operation* frame_program;   // (n_frame_operations), in the file
  const Operation* sample_program;  // (n_sample_operations), in the file; the last one gives the samples
  const MatchWords* match;          // in the file; null without one
  const SubscaleWords* subscale;    // in the file; null without one: then a step makes its samples at once

  const float* floats(uint32_t vector) const { return static_cast<const float*>(tensors[vector].values); }
};

// Validate the file in data[0 .. size) and fill `model`, which points into it: afterwards neither the engine nor the
// kernels check anything. `data` starts at a multiple of 64. On failure `error` says which field at which offset, and
// nothing is owned.
linnet_status read_model(const uint8_t* data, size_t size, Model* model, linnet_error* error);

void free_model(Model* model);

}  // namespace linnet
