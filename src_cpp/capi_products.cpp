// The C API's matrices and products: argument checks and ownership.
#include <string.h>

#include "cpu/float_mode.h"
#include "file/tensors.h"
#include "linnet.h"
#include "products/packing.h"
#include "products/product.h"
#include "run/arena.h"

namespace {

using namespace linnet;

// The layouts of matrices, in the order of their numbers.
const char* matrix_layout(size_t index, Layout* layout) {
  for (Layout one : kLayouts) {
    if (!is_matrix(one) || index-- != 0) continue;
    *layout = one;
    return layout_name(one);
  }
  return nullptr;
}

bool find_layout(const char* name, Layout* layout) {
  const char* known;
  for (size_t i = 0; (known = matrix_layout(i, layout)) != nullptr; ++i) {
    if (strcmp(name, known) == 0) return true;
  }
  return false;
}

bool find_dtype(const char* name, Dtype* dtype) {
  for (Dtype one : kDtypes) {
    *dtype = one;
    if (strcmp(name, dtype_name(one)) == 0) return true;
  }
  return false;
}

bool side_in_range(uint32_t n) { return n >= 1 && n <= kMaxSide; }

// Counts the blocks to be stored, and gives the matrix without them.
linnet_status prepare(const float* weights, uint32_t rows, uint32_t cols, const char* block, const char* dtype,
                      Packing* packing, Matrix* shape) {
  Layout layout;
  Dtype type;
  if (weights == nullptr || block == nullptr || dtype == nullptr) return LINNET_ERROR_ARGUMENT;
  if (!find_layout(block, &layout) || !find_dtype(dtype, &type)) return LINNET_ERROR_ARGUMENT;
  if (!side_in_range(rows) || !side_in_range(cols)) return LINNET_ERROR_ARGUMENT;
  *shape = empty_matrix(layout, type, rows, cols);
  if (is_sparse(layout) && (shape->block_rows() > kMaxBlocksAside || shape->block_cols() > kMaxBlocksAside))
    return LINNET_ERROR_ARGUMENT;
  if (packing->count(*shape, weights)) return LINNET_OK;
  return packing->out_of_memory() ? LINNET_ERROR_MEMORY : LINNET_ERROR_ARGUMENT;
}

// `size` bytes of the caller's memory, or of ours where it gave none.
linnet_status take_memory(size_t size, size_t given, void** memory, bool* owned) {
  *owned = *memory == nullptr;
  if (*owned) *memory = allocate(size);
  if (*memory == nullptr || (!*owned && given < size)) return LINNET_ERROR_MEMORY;
  return aligned(*memory) ? LINNET_OK : LINNET_ERROR_ALIGNMENT;
}

}  // namespace

const char* linnet_blocks(size_t index) {
  Layout layout;
  return matrix_layout(index, &layout);
}

const char* linnet_dtypes(size_t index) { return index < kDtypeCount ? dtype_name(kDtypes[index]) : nullptr; }

size_t linnet_matrix_size(const float* weights, uint32_t rows, uint32_t cols, const char* block, const char* dtype) {
  const IeeeFloatMode mode;
  Packing packing;
  Matrix shape;
  if (prepare(weights, rows, cols, block, dtype, &packing, &shape) != LINNET_OK) return 0;
  return matrix_size(shape, packing.n_blocks());
}

linnet_status linnet_matrix_pack(const float* weights, uint32_t rows, uint32_t cols, const char* block,
                                 const char* dtype, void* memory, size_t memory_size, linnet_matrix** matrix) {
  if (matrix == nullptr) return LINNET_ERROR_ARGUMENT;
  *matrix = nullptr;
  const IeeeFloatMode mode;
  Packing packing;
  Matrix shape;
  bool owned;
  linnet_status status = prepare(weights, rows, cols, block, dtype, &packing, &shape);
  if (status != LINNET_OK) return status;
  status = take_memory(matrix_size(shape, packing.n_blocks()), memory_size, &memory, &owned);
  if (status != LINNET_OK) return status;
  linnet_matrix* packed = place_matrix(shape, packing.n_blocks(), memory);
  packed->owned = owned;
  packing.fill(packed);
  *matrix = packed;
  return LINNET_OK;
}

linnet_status linnet_matrix_storage(const linnet_matrix* matrix, linnet_storage* storage) {
  if (matrix == nullptr || storage == nullptr) return LINNET_ERROR_ARGUMENT;
  const Matrix& view = matrix->view;
  const BlockShape block = block_shape(view.layout, view.dtype);
  const uint64_t weights =
      is_sparse(view.layout) ? uint64_t{matrix->n_blocks} * block.rows * block.cols : uint64_t{view.rows} * view.cols;
  *storage = linnet_storage{view.rows, view.cols, weights, matrix->stored_bytes()};
  return LINNET_OK;
}

void linnet_matrix_close(linnet_matrix* matrix) {
  if (matrix != nullptr && matrix->owned) release(matrix);
}

size_t linnet_product_size(const linnet_matrix* matrix, uint32_t threads) {
  if (matrix == nullptr || !threads_in_range(threads)) return 0;
  return product_size(matrix->view, threads);
}

linnet_status linnet_product_create(const linnet_matrix* matrix, uint32_t threads, const char* kernels, void* memory,
                                    size_t memory_size, linnet_product** product) {
  if (product == nullptr) return LINNET_ERROR_ARGUMENT;
  *product = nullptr;
  if (matrix == nullptr || !threads_in_range(threads)) return LINNET_ERROR_ARGUMENT;
  Kernels chosen;
  if (!select_kernels(kernels, &chosen)) return LINNET_ERROR_KERNELS;
  bool owned;
  const linnet_status status = take_memory(product_size(matrix->view, threads), memory_size, &memory, &owned);
  if (status != LINNET_OK) return status;
  *product = make_product(matrix->view, chosen, threads, memory);
  if (*product == nullptr) {
    if (owned) release(memory);
    return LINNET_ERROR_SYSTEM;
  }
  (*product)->owned = owned;
  return LINNET_OK;
}

linnet_status linnet_product_run(linnet_product* product, size_t n, const float* x, const float* bias, float* y) {
  if (product == nullptr || (n != 0 && (x == nullptr || y == nullptr))) return LINNET_ERROR_ARGUMENT;
  const IeeeFloatMode mode;
  run_product(product, n, x, bias, y);
  return LINNET_OK;
}

const char* linnet_product_kernels(const linnet_product* product) {
  return product == nullptr ? nullptr : product->kernels.name;
}

void linnet_product_close(linnet_product* product) {
  if (product == nullptr) return;
  const bool owned = product->owned;
  end_product(product);
  if (owned) release(product);
}
