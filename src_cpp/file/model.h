// A model: the numbers of a file's header and views of its sections. Reading validates everything once, so that neither
// the engine nor the kernels check anything.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "file/errors.h"
#include "kernels/contract.h"
#include "linnet.h"
#include "operations/operations.h"

namespace linnet {

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

  uint32_t steps() const { return hop_length / samples_per_step; }  // per frame
  uint32_t rows() const { return steps() / steps_per_row; }         // per frame
};

struct Model {
  Config config;
  uint64_t file_size;
  const char* metadata;  // JSON, in the file
  size_t metadata_size;
  Matrix* tensors;                  // (n_tensors) views; owned
  const Operation* frame_program;   // (n_frame_operations), in the file
  const Operation* sample_program;  // (n_sample_operations), in the file; the last one is the output
  const MatchOp* match;             // in the file; null without one
};

// Floats of the operation's state: of the de-emphasis, and of two filters per merging of two bands.
inline uint64_t bands_state_size(const BandsOp& op, const Matrix* tensors) {
  if (op.levels == 0) return 1;
  return 1 + ((uint64_t{1} << op.levels) - 1) * (uint64_t{tensors[op.weights].rows} + 2);
}

struct BlockShape {
  uint32_t rows, cols;
};

// Rows and columns of a layout's block; a dense panel has 16 rows and reads x one by one.
BlockShape block_shape(Layout layout);

// Whether the quads of a block matrix name every block row once and hold n_blocks blocks, and its columns are in range:
// all that a kernel relies on. The offsets say where quads and columns lie, for the error.
bool check_blocks(Errors& errors, const char* name, const Matrix& m, uint32_t n_blocks, uint64_t quads_offset,
                  uint64_t columns_offset);

// Validate the file in data[0 .. size) and fill `model`, which points into it. `data` starts at a multiple of 64.
// On failure `error` says which field at which offset, and nothing is owned.
linnet_status read_model(const uint8_t* data, size_t size, Model* model, linnet_error* error);

void free_model(Model* model);

}  // namespace linnet
