// Tensors: from an entry of the directory to a view of the file that kernels can rely on.
#pragma once

#include "file/errors.h"
#include "file/header.h"
#include "kernels/contract.h"

namespace linnet {

// Where the scales of a tensor of int8 stand in its section of values, behind the weights; and the bytes of such a
// section.
inline uint64_t scales_at(uint64_t n_weights) { return round_up(n_weights, kSectionAlignment); }
inline uint64_t values_bytes(Dtype dtype, uint64_t n_weights, uint32_t rows) {
  if (dtype != Dtype::int8) return n_weights * weight_bytes(dtype);
  return scales_at(n_weights) + round_up(rows, kGroup) * sizeof(float);
}

// Whether the quads of a block matrix name every block row once and hold n_blocks blocks, and its columns are in range:
// all that a kernel relies on. The offsets say where quads and columns lie, for the error.
bool check_blocks(Errors& errors, const char* name, const Matrix& m, uint32_t n_blocks, uint64_t quads_offset,
                  uint64_t columns_offset);

// Validates the entry `t`, which stands at byte `at`, with its sections, and makes `m` a view of them.
bool read_tensor(Errors& errors, const Bytes& file, uint64_t at, const TensorEntry& t, Matrix* m);

}  // namespace linnet
