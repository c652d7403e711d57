// The proof that the operations of a file stay within its arena, slots and tensors.
#pragma once

#include "checks.h"
#include "model.h"

namespace linnet {

struct BlockShape {
  uint32_t rows, cols;
};

// Rows and columns of a layout's block; a dense panel has 16 rows and reads x one by one.
BlockShape block_shape(Layout layout);

// Validates both programs of `model`, whose config and tensors are valid, and sets config.most_classes.
bool check_program(Errors& errors, uint64_t operations_offset, Model* model);

}  // namespace linnet
