// The proof that the operations of a file stay within its arena, slots and tensors.
#pragma once

#include "file/errors.h"
#include "file/model.h"

namespace linnet {

// Validates both programs of `model`, whose config and tensors are valid, and sets config.most_classes and most_cols.
bool check_program(Errors& errors, uint64_t operations_offset, Model* model);

}  // namespace linnet
