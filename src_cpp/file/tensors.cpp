#include "file/tensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

namespace linnet {
namespace {

// Whether no byte is -128. Eight at a time: where a byte of `v` is that, one of `zeros` is 0, and borrows.
bool none_is_least(const uint8_t* values, uint64_t size) {
  constexpr uint64_t kOnes = 0x0101010101010101u, kHigh = 0x8080808080808080u;
  uint64_t found = 0;
  for (uint64_t i = 0; i + 8 <= size; i += 8) {
    uint64_t v;
    memcpy(&v, values + i, sizeof v);
    const uint64_t zeros = v ^ kHigh;
    found |= (zeros - kOnes) & ~zeros & kHigh;
  }
  return found == 0;
}

// Whether no weight has all bits of its exponent set, as infinite ones and those that are not numbers have. Eight bytes
// at a time: adding `lowest`, the exponent's lowest bit, to an exponent of ones carries into the place of the sign.
bool none_has(uint64_t exponent, uint64_t lowest, uint64_t sign, const uint8_t* values, uint64_t size) {
  uint64_t found = 0;
  for (uint64_t i = 0; i + 8 <= size; i += 8) {
    uint64_t v;
    memcpy(&v, values + i, sizeof v);
    found |= (v & exponent) + lowest;
  }
  return (found & sign) == 0;
}

// Sections of values are multiples of eight bytes: a matrix has sixteen weights or four in a block, vectors and tables
// are padded.
bool all_valid(Dtype dtype, const uint8_t* values, uint64_t size) {
  constexpr uint64_t kHalves = 0x0001000100010001u, kWords = 0x0000000100000001u;
  switch (dtype) {
    case Dtype::fp16:
      return none_has(0x7C00 * kHalves, 0x0400 * kHalves, 0x8000 * kHalves, values, size);
    case Dtype::bf16:
      return none_has(0x7F80 * kHalves, 0x0080 * kHalves, 0x8000 * kHalves, values, size);
    case Dtype::fp32:
      return none_has(0x7F800000 * kWords, 0x00800000 * kWords, 0x80000000 * kWords, values, size);
    case Dtype::int8:
      return none_is_least(values, size);
  }
  return false;
}

}  // namespace

Matrix empty_matrix(Layout layout, Dtype dtype, uint32_t rows, uint32_t cols) {
  Matrix m = {layout, dtype, rows, cols, 0, 0, nullptr, nullptr, nullptr};
  if (is_sparse(layout)) {
    m.n_quads = (m.block_rows() + 3) / 4;
    m.index_width = m.block_cols() <= 256 ? 1 : 2;
  }
  return m;
}

uint64_t weights_of(const Matrix& m, uint32_t n_blocks) {
  const BlockShape shape = block_shape(m.layout, m.dtype);
  switch (m.layout) {
    case Layout::vector:
      return round_up(m.rows, kGroup);
    case Layout::table:
      return m.rows * round_up(m.cols, kGroup);
    case Layout::dense:
      return round_up(m.rows, shape.rows) * m.padded_cols();
    case Layout::block_4x4:
    case Layout::block_16x1:
    case Layout::block_1x16:
    case Layout::block_1x4:
    case Layout::block_8x4:
      return uint64_t{n_blocks} * shape.rows * shape.cols;
  }
  return 0;
}

SectionSizes section_sizes(const Matrix& m, uint32_t n_blocks) {
  const uint64_t n = weights_of(m, n_blocks);
  const uint64_t scales = round_up(m.rows, kGroup) * sizeof(float);
  const uint64_t values = m.dtype == Dtype::int8 ? scales_at(n) + scales : n * weight_bytes(m.dtype);
  if (!is_sparse(m.layout)) return {values, 0, 0};
  return {values, uint64_t{n_blocks} * m.index_width, m.n_quads * sizeof(Quad)};
}

bool check_blocks(Errors& errors, const char* name, const Matrix& m, uint32_t n_blocks, uint64_t quads_offset,
                  uint64_t columns_offset) {
  const BlockShape shape = block_shape(m.layout, m.dtype);
  const uint32_t block_rows = m.block_rows(), block_columns = m.block_cols();
  uint8_t* seen = static_cast<uint8_t*>(calloc(block_rows, 1));
  if (seen == nullptr) return errors.fail(0, "tensor %s: no memory to check it", name);
  uint32_t rows_found = 0;
  uint64_t blocks = 0;
  bool ok = true;
  for (uint32_t i = 0; ok && i < m.n_quads; ++i) {
    const uint64_t at = quads_offset + uint64_t{i} * sizeof(Quad);
    for (uint32_t row : m.quads[i].block_rows) {
      if (row == kNoBlockRow) continue;
      if (row >= block_rows || seen[row]++ != 0) {
        ok = errors.fail(at, "tensor %s: quad %u names block row %u, which is beyond %u or in another quad", name, i,
                         row, block_rows);
        break;
      }
      ++rows_found;
    }
    if (ok && m.dtype == Dtype::int8 && uint64_t{m.quads[i].depth} * shape.cols > kMostInt8Weights)
      ok = errors.fail(at, "tensor %s: quad %u has rows of more than %u weights", name, i, kMostInt8Weights);
    blocks += uint64_t{4} * m.quads[i].depth;
    if (ok && blocks > n_blocks)
      ok = errors.fail(at, "tensor %s: the quads hold more than n_blocks = %u", name, n_blocks);
  }
  free(seen);
  if (!ok) return false;
  if (rows_found != block_rows || blocks != n_blocks) {
    return errors.fail(quads_offset, "tensor %s: the quads hold %u block rows of %u and %llu blocks of %u", name,
                       rows_found, block_rows, printable(blocks), n_blocks);
  }
  for (uint32_t k = 0; k < n_blocks; ++k) {
    const uint32_t column =
        m.index_width == 1 ? static_cast<const uint8_t*>(m.columns)[k] : static_cast<const uint16_t*>(m.columns)[k];
    if (column >= block_columns) {
      return errors.fail(columns_offset + uint64_t{k} * m.index_width, "tensor %s: column index %u is beyond %u", name,
                         column, block_columns);
    }
  }
  return true;
}

bool read_tensor(Errors& errors, const Bytes& file, uint64_t at, const TensorEntry& t, Matrix* m) {
  const auto fail = [&](size_t field, const char* what, uint64_t value) {
    return errors.fail(at + field, "tensor at %llu: %s is %llu", printable(at), what, printable(value));
  };
  if (memchr(t.name, 0, sizeof t.name) == nullptr)
    return errors.fail(at, "tensor at %llu: the name does not end", printable(at));
  if (!known_layout(t.layout)) return fail(offsetof(TensorEntry, layout), "layout", t.layout);
  if (!known_dtype(t.dtype)) return fail(offsetof(TensorEntry, dtype), "dtype", t.dtype);
  if (t.rows < 1 || t.rows > kMaxSide) return fail(offsetof(TensorEntry, rows), "rows", t.rows);
  if (t.cols < 1 || t.cols > kMaxSide) return fail(offsetof(TensorEntry, cols), "cols", t.cols);
  if (t.reserved != 0) return fail(offsetof(TensorEntry, reserved), "reserved", t.reserved);

  const Layout layout = static_cast<Layout>(t.layout);
  const Dtype dtype = static_cast<Dtype>(t.dtype);
  const bool product_of_int8 = dtype == Dtype::int8 && is_matrix(layout);
  if (product_of_int8 && t.cols > kMostInt8Columns) return fail(offsetof(TensorEntry, cols), "cols of int8", t.cols);
  const bool ranged = product_of_int8 && t.input_range > kLeastInt8Range && isfinite(t.input_range);
  if (t.input_range != 0.0f && !ranged)
    return errors.fail(at + offsetof(TensorEntry, input_range), "tensor at %llu: input_range is %g", printable(at),
                       static_cast<double>(t.input_range));
  *m = empty_matrix(layout, dtype, t.rows, t.cols);
  const bool sparse = is_sparse(layout);
  if (layout == Layout::vector) {
    if (dtype != Dtype::fp32) return fail(offsetof(TensorEntry, dtype), "dtype of a vector", t.dtype);
    if (t.cols != 1) return fail(offsetof(TensorEntry, cols), "cols of a vector", t.cols);
  }
  if (sparse) {
    if (m->block_rows() > kMaxBlocksAside) return fail(offsetof(TensorEntry, rows), "rows", t.rows);
    if (m->block_cols() > kMaxBlocksAside) return fail(offsetof(TensorEntry, cols), "cols", t.cols);
  }
  const SectionSizes sizes = section_sizes(*m, t.n_blocks);
  if (t.index_width != m->index_width) return fail(offsetof(TensorEntry, index_width), "index_width", t.index_width);
  if (!sparse && t.n_blocks != 0) return fail(offsetof(TensorEntry, n_blocks), "n_blocks", t.n_blocks);
  if (t.values_size != sizes.values) return fail(offsetof(TensorEntry, values_size), "values_size", t.values_size);
  if (t.columns_size != sizes.columns) return fail(offsetof(TensorEntry, columns_size), "columns_size", t.columns_size);
  if (t.quads_size != sizes.quads) return fail(offsetof(TensorEntry, quads_size), "quads_size", t.quads_size);
  if (!check_section(errors, file, at + offsetof(TensorEntry, values_offset), t.name, t.values_offset, sizes.values,
                     kSectionAlignment))
    return false;
  const uint64_t n_weights = weights_of(*m, t.n_blocks);
  const uint8_t* values = file.data + t.values_offset;
  m->values = values;
  if (!all_valid(dtype, values, n_weights * weight_bytes(dtype))) {
    return errors.fail(t.values_offset, "tensor %s: a weight is %s", t.name,
                       dtype == Dtype::int8 ? "-128" : "infinite or not a number");
  }
  if (dtype == Dtype::int8) {
    const uint8_t* scales = values + scales_at(n_weights);
    m->scales = reinterpret_cast<const float*>(scales);
    m->input_range = t.input_range;
    if (!all_valid(Dtype::fp32, scales, round_up(t.rows, kGroup) * sizeof(float)))
      return errors.fail(t.values_offset + scales_at(n_weights), "tensor %s: a scale is infinite or not a number",
                         t.name);
  }
  if (!sparse) {
    if (t.columns_offset != 0) return fail(offsetof(TensorEntry, columns_offset), "columns_offset", t.columns_offset);
    if (t.quads_offset != 0) return fail(offsetof(TensorEntry, quads_offset), "quads_offset", t.quads_offset);
    return true;
  }
  if (!check_section(errors, file, at + offsetof(TensorEntry, columns_offset), t.name, t.columns_offset, sizes.columns,
                     kSectionAlignment) ||
      !check_section(errors, file, at + offsetof(TensorEntry, quads_offset), t.name, t.quads_offset, sizes.quads,
                     kSectionAlignment)) {
    return false;
  }
  m->columns = file.data + t.columns_offset;
  m->quads = reinterpret_cast<const Quad*>(file.data + t.quads_offset);
  return check_blocks(errors, t.name, *m, t.n_blocks, t.quads_offset, t.columns_offset);
}

}  // namespace linnet
