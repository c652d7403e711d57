// Tensors: from an entry of the directory to a view of the file that kernels can rely on.
#pragma once

#include "file/errors.h"
#include "file/header.h"
#include "kernels/contract.h"

namespace linnet {

constexpr uint32_t kMaxSide = 1u << 20;      // rows and columns of a tensor
constexpr uint32_t kMaxBlocksAside = 65535;  // block rows and block columns

// Bytes of a tensor's sections.
struct SectionSizes {
  uint64_t values, columns, quads;
};

// A matrix without its sections; rows and cols are 1 .. kMaxSide.
Matrix empty_matrix(Layout layout, Dtype dtype, uint32_t rows, uint32_t cols);

// n_blocks: 0 where the layout has none.
SectionSizes section_sizes(const Matrix& m, uint32_t n_blocks);

// The weights that a tensor's section of values holds, those that fill it up included.
uint64_t weights_of(const Matrix& m, uint32_t n_blocks);

// Where in that section the scales of an int8 tensor stand, behind its weights.
inline uint64_t scales_at(uint64_t n_weights) { return round_up(n_weights, kSectionAlignment); }

// Whether the quads of a block matrix name every block row once and hold n_blocks blocks, and its columns are in range:
// all that a kernel relies on. The offsets say where quads and columns lie, for the error.
bool check_blocks(Errors& errors, const char* name, const Matrix& m, uint32_t n_blocks, uint64_t quads_offset,
                  uint64_t columns_offset);

// Validates the entry `t`, which stands at byte `at`, with its sections, and makes `m` a view of them.
bool read_tensor(Errors& errors, const Bytes& file, uint64_t at, const TensorEntry& t, Matrix* m);

}  // namespace linnet
