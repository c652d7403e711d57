#include "products/packing.h"

#include <new>
#include <stdlib.h>
#include <string.h>

#include "file/tensors.h"
#include "products/rounding.h"
#include "run/arena.h"

namespace linnet {
namespace {

// The pieces of a linnet_matrix in `memory`, or only their size without it.
struct Pieces {
  Pieces(const Matrix& shape, uint32_t n_blocks, void* memory) {
    BumpAllocator pieces(memory);
    const SectionSizes sizes = section_sizes(shape, n_blocks);
    matrix = pieces.take<linnet_matrix>(1);
    values = pieces.take<uint8_t>(sizes.values);
    columns = pieces.take<uint8_t>(sizes.columns);
    quads = pieces.take<Quad>(shape.n_quads);
    size = pieces.used();
  }

  linnet_matrix* matrix;
  uint8_t *values, *columns;
  Quad* quads;
  size_t size;
};

}  // namespace

size_t matrix_size(const Matrix& shape, uint32_t n_blocks) { return Pieces(shape, n_blocks, nullptr).size; }

linnet_matrix* place_matrix(const Matrix& shape, uint32_t n_blocks, void* memory) {
  const Pieces pieces(shape, n_blocks, memory);
  linnet_matrix* matrix = new (pieces.matrix) linnet_matrix{shape, n_blocks, false};
  matrix->view.values = pieces.values;
  if (shape.dtype == Dtype::int8)
    matrix->view.scales = reinterpret_cast<const float*>(pieces.values + scales_at(weights_of(shape, n_blocks)));
  if (is_sparse(shape.layout)) {
    matrix->view.columns = pieces.columns;
    matrix->view.quads = pieces.quads;
  }
  return matrix;
}

Packing::~Packing() {
  free(scales_);
  free(block_rows_);
}

bool Packing::find_scales() {
  scales_ = static_cast<float*>(malloc(shape_.rows * sizeof(float)));
  out_of_memory_ = scales_ == nullptr;
  if (out_of_memory_) return false;
  for (uint32_t row = 0; row < shape_.rows; ++row)
    scales_[row] = int8_scale(shape_.cols, weights_ + uint64_t{row} * shape_.cols);
  return true;
}

bool Packing::count(const Matrix& shape, const float* weights) {
  shape_ = shape;
  weights_ = weights;
  uint32_t bits;
  for (uint64_t i = 0; i < uint64_t{shape.rows} * shape.cols; ++i) {
    if (!round_weight(shape.dtype, weights[i], 1.0f, &bits)) return false;
  }
  if (shape.dtype == Dtype::int8 && (shape.cols > kMostInt8Columns || !find_scales())) return false;
  if (!is_sparse(shape.layout)) return true;
  const uint32_t n = shape.block_rows();
  block_rows_ = static_cast<BlockRow*>(malloc(n * sizeof(BlockRow)));
  out_of_memory_ = block_rows_ == nullptr;
  if (out_of_memory_) return false;
  for (uint32_t row = 0; row < n; ++row) {
    block_rows_[row] = BlockRow{row, 0};
    for (uint32_t col = 0; col < shape.block_cols(); ++col) block_rows_[row].count += occupied(row, col);
  }
  qsort(block_rows_, n, sizeof(BlockRow), fuller_first);
  uint64_t blocks = 0;
  for (uint32_t first = 0; first < n; first += 4) blocks += uint64_t{4} * block_rows_[first].count;
  n_blocks_ = static_cast<uint32_t>(blocks);
  return blocks == n_blocks_;
}

int Packing::fuller_first(const void* a, const void* b) {
  const auto &one = *static_cast<const BlockRow*>(a), &other = *static_cast<const BlockRow*>(b);
  if (one.count != other.count) return one.count > other.count ? -1 : 1;
  return one.number < other.number ? -1 : 1;
}

// Rounded; 0 beyond the matrix.
uint32_t Packing::bits_at(uint64_t row, uint64_t col) const {
  uint32_t bits = 0;
  if (row >= shape_.rows || col >= shape_.cols) return bits;
  round_weight(shape_.dtype, weights_[row * shape_.cols + col], scales_ ? scales_[row] : 1.0f, &bits);
  return bits;
}

bool Packing::occupied(uint32_t block_row, uint32_t block_col) const {
  const BlockShape block = block_shape(shape_.layout, shape_.dtype);
  for (uint64_t r = 0; r < block.rows; ++r) {
    for (uint64_t c = 0; c < block.cols; ++c) {
      if (is_nonzero(shape_.dtype, bits_at(uint64_t{block_row} * block.rows + r, uint64_t{block_col} * block.cols + c)))
        return true;
    }
  }
  return false;
}

// Little-endian, as all hosts of this library are.
void Packing::put(linnet_matrix* matrix, uint64_t index, uint32_t bits) const {
  const uint32_t size = weight_bytes(shape_.dtype);
  memcpy(static_cast<uint8_t*>(const_cast<void*>(matrix->view.values)) + index * size, &bits, size);
}

void Packing::fill(linnet_matrix* matrix) const {
  if (scales_ != nullptr) {
    auto* scales = const_cast<float*>(matrix->view.scales);
    for (uint32_t row = 0; row < round_up(shape_.rows, kGroup); ++row)
      scales[row] = row < shape_.rows ? scales_[row] : 0.0f;
  }
  if (!is_sparse(shape_.layout)) return fill_dense(matrix);
  uint64_t block = 0;
  for (uint32_t quad = 0; quad < shape_.n_quads; ++quad) {
    fill_quad(matrix, quad, block);
    block += uint64_t{4} * matrix->view.quads[quad].depth;
  }
}

void Packing::fill_dense(linnet_matrix* matrix) const {
  const BlockShape panel = block_shape(Layout::dense, shape_.dtype);
  const uint64_t steps = shape_.padded_cols() / panel.cols;
  for (uint64_t row = 0; row < round_up(shape_.rows, panel.rows); ++row) {
    for (uint64_t col = 0; col < shape_.padded_cols(); ++col) {
      const uint64_t column = (row / panel.rows * steps + col / panel.cols) * panel.rows + row % panel.rows;
      put(matrix, column * panel.cols + col % panel.cols, bits_at(row, col));
    }
  }
}

// The blocks of the quad's four block rows in turn; those of a shorter one end in its last column again, with zeros.
void Packing::fill_quad(linnet_matrix* matrix, uint32_t quad, uint64_t first_block) const {
  const uint32_t n_rows = shape_.block_rows(), depth = block_rows_[4 * quad].count;
  Quad& out = const_cast<Quad*>(matrix->view.quads)[quad];
  out.depth = depth;
  for (uint32_t q = 0; q < 4; ++q) {
    const bool exists = 4 * quad + q < n_rows;
    const BlockRow row = exists ? block_rows_[4 * quad + q] : BlockRow{kNoBlockRow, 0};
    out.block_rows[q] = static_cast<uint16_t>(row.number);
    uint32_t next = 0, last = 0;
    for (uint32_t k = 0; k < depth; ++k) {
      const bool zeros = k >= row.count;
      if (!zeros) {
        while (!occupied(row.number, next)) ++next;
        last = next++;
      }
      fill_block(matrix, first_block + uint64_t{4} * k + q, row.number, last, zeros);
    }
  }
}

void Packing::fill_block(linnet_matrix* matrix, uint64_t block, uint32_t block_row, uint32_t block_col,
                         bool zeros) const {
  const uint32_t width = shape_.index_width;
  memcpy(static_cast<uint8_t*>(const_cast<void*>(matrix->view.columns)) + block * width, &block_col, width);
  const BlockShape shape = block_shape(shape_.layout, shape_.dtype);
  for (uint64_t r = 0; r < shape.rows; ++r) {
    for (uint64_t c = 0; c < shape.cols; ++c) {
      const uint64_t row = uint64_t{block_row} * shape.rows + r, col = uint64_t{block_col} * shape.cols + c;
      put(matrix, (block * shape.rows + r) * shape.cols + c, zeros ? 0 : bits_at(row, col));
    }
  }
}

}  // namespace linnet

uint64_t linnet_matrix::stored_bytes() const {
  const linnet::SectionSizes sizes = linnet::section_sizes(view, n_blocks);
  return sizes.values + sizes.columns + sizes.quads;
}
