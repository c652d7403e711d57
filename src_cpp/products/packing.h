// A matrix of floats laid out in blocks, as linnet/format/blocks.py does it in Python: the same bytes.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/contract.h"

struct linnet_matrix {
  linnet::Matrix view;
  uint32_t n_blocks;  // 0 where dense
  bool owned;         // in memory that the library allocated

  // Bytes of its three sections together.
  uint64_t stored_bytes() const;
};

namespace linnet {

// Bytes of a linnet_matrix with `n_blocks` blocks, sections included.
size_t matrix_size(const Matrix& shape, uint32_t n_blocks);

// A linnet_matrix in `memory` (aligned, matrix_size bytes), whose sections are to be filled.
linnet_matrix* place_matrix(const Matrix& shape, uint32_t n_blocks, void* memory);

// The blocks of (rows, cols) weights, before they are laid out.
class Packing {
 public:
  // Count them. False where a weight is not finite or beyond the range of the type, or no memory is left, or the
  // matrix has too many blocks, or columns for int8; `out_of_memory` tells these apart.
  bool count(const Matrix& shape, const float* weights);

  ~Packing();
  Packing() = default;
  Packing(const Packing&) = delete;
  Packing& operator=(const Packing&) = delete;

  bool out_of_memory() const { return out_of_memory_; }
  uint32_t n_blocks() const { return n_blocks_; }

  // Lay out what was counted.
  void fill(linnet_matrix* matrix) const;

 private:
  struct BlockRow {
    uint32_t number;
    uint32_t count;  // blocks that are not all zeros
  };

  static int fuller_first(const void* a, const void* b);
  bool find_scales();
  uint32_t bits_at(uint64_t row, uint64_t col) const;
  bool occupied(uint32_t block_row, uint32_t block_col) const;
  void put(linnet_matrix* matrix, uint64_t index, uint32_t bits) const;
  void fill_dense(linnet_matrix* matrix) const;
  void fill_quad(linnet_matrix* matrix, uint32_t quad, uint64_t first_block) const;
  void fill_block(linnet_matrix* matrix, uint64_t block, uint32_t block_row, uint32_t block_col, bool zeros) const;

  Matrix shape_{};
  const float* weights_ = nullptr;
  float* scales_ = nullptr;         // (rows), of int8
  BlockRow* block_rows_ = nullptr;  // (block rows), those with most blocks first
  uint32_t n_blocks_ = 0;
  bool out_of_memory_ = false;
};

}  // namespace linnet
