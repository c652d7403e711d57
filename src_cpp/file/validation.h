// The proof that the operations of a file stay within its arena, slots and tensors.
#pragma once

#include "file/errors.h"
#include "file/model.h"
#include "operations/operation.h"

namespace linnet {

// What the rules of an operation are told, and what they find out about the program.
struct Checks {
  Errors& errors;
  Model& model;
  uint64_t at;                 // the operation's offset in the file
  const char* program;         // "frame", "sample" or "match"
  uint32_t number;             // of the operation within its program
  uint64_t rows;               // of a frame, as this program sees them
  uint32_t classes[256];       // of each slot; 0 without a draw
  const Operation* logistics;  // null without one

  Config& config() { return model.config; }
  bool fail(const char* what);
};

// Validates the programs of `model`, whose config and tensors are valid, and completes its config.
bool check_programs(Errors& errors, uint64_t operations_offset, Model* model);

}  // namespace linnet
