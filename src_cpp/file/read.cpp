// Reads and validates a file: header, tensor directory and sections here, the operations in program.cpp.
#include "file/model.h"

#include <stdlib.h>
#include <string.h>

#include "file/errors.h"
#include "file/validation.h"

namespace linnet {
namespace {

struct Header {
  uint8_t magic[8];
  uint16_t major, minor;
  uint32_t header_size;
  uint64_t file_size;
  uint32_t checksum;
  uint32_t reserved1;
  uint32_t sample_rate, hop_length, n_features, lookahead, priming, arena_size, n_slots, features_at;
  uint32_t n_tensors, n_frame_operations, n_sample_operations;
  uint32_t samples_per_step;
  uint64_t metadata_offset, metadata_size, tensors_offset, operations_offset;
  uint32_t steps_per_row, silence;
  uint32_t n_matches, reserved2;
};
static_assert(sizeof(Header) == 128, "the header has 128 bytes");

struct TensorEntry {
  char name[48];
  uint32_t layout, dtype, rows, cols, n_blocks, index_width;
  uint64_t values_offset, values_size, columns_offset, columns_size, quads_offset, quads_size;
  uint64_t reserved;
};
static_assert(sizeof(TensorEntry) == 128, "a directory entry has 128 bytes");

constexpr uint8_t kMagic[8] = {0x89, 'L', 'I', 'N', 'N', 'E', 'T', 0x0A};
constexpr uint16_t kMajor = 1;
constexpr size_t kChecksumFrom = 32;  // the bytes before are checked one by one
constexpr size_t kSectionAlignment = 64;
constexpr uint32_t kMaxSide = 1u << 20;
constexpr uint32_t kMaxBlocksAside = 65535;

unsigned long long printable(uint64_t n) { return n; }

bool inside(const Bytes& file, uint64_t offset, uint64_t size) {
  return offset <= file.size && size <= file.size - offset;
}

bool check_range(Errors& errors, uint64_t at, const char* field, uint32_t value, uint32_t least, uint32_t most) {
  if (value >= least && value <= most) return true;
  return errors.fail(at, "%s is %u, outside %u .. %u", field, value, least, most);
}

bool check_section(Errors& errors, const Bytes& file, uint64_t at, const char* field, uint64_t offset, uint64_t size,
                   size_t alignment) {
  if (offset < sizeof(Header) || !inside(file, offset, size)) {
    return errors.fail(at, "%s: bytes %llu .. +%llu do not lie in the file's %llu bytes", field, printable(offset),
                       printable(size), printable(file.size));
  }
  if (offset % alignment != 0)
    return errors.fail(at, "%s: offset %llu is not a multiple of %zu", field, printable(offset), alignment);
  return true;
}

#define AT(type, field) (offsetof(type, field))

bool check_header(Errors& errors, const Bytes& file, const Header& h) {
  const auto section = [&](uint64_t at, const char* field, uint64_t offset, uint64_t size, size_t alignment) {
    return check_section(errors, file, at, field, offset, size, alignment);
  };
  const auto range = [&](uint64_t at, const char* field, uint32_t value, uint32_t least, uint32_t most) {
    return check_range(errors, at, field, value, least, most);
  };
  if (h.major != kMajor) {
    return errors.fail(AT(Header, major), "the file has format version %u.%u; this library reads version %u", h.major,
                       h.minor, kMajor);
  }
  if (h.header_size != sizeof(Header)) {
    return errors.fail(AT(Header, header_size), "header_size is %u, expected %zu", h.header_size, sizeof(Header));
  }
  if (h.file_size != file.size) {
    return errors.fail(AT(Header, file_size), "file_size is %llu but there are %llu bytes", printable(h.file_size),
                       printable(file.size));
  }
  if (h.reserved1 != 0) return errors.fail(AT(Header, reserved1), "reserved is %u, expected 0", h.reserved1);
  const uint32_t checksum = crc32(file.data + kChecksumFrom, file.size - kChecksumFrom);
  if (h.checksum != checksum) {
    return errors.fail(AT(Header, checksum), "checksum is %08x but the bytes give %08x: the file is corrupt",
                       h.checksum, checksum);
  }
  if (h.reserved2 != 0) return errors.fail(AT(Header, reserved2), "reserved is not 0");
  if (h.samples_per_step != 0 && h.hop_length % h.samples_per_step != 0) {
    return errors.fail(AT(Header, samples_per_step), "samples_per_step is %u, which does not divide a hop of %u",
                       h.samples_per_step, h.hop_length);
  }
  if (h.steps_per_row != 0 && h.samples_per_step != 0 && h.hop_length / h.samples_per_step % h.steps_per_row != 0) {
    return errors.fail(AT(Header, steps_per_row), "steps_per_row is %u, which does not divide the frame's %u steps",
                       h.steps_per_row, h.hop_length / h.samples_per_step);
  }
  return range(AT(Header, sample_rate), "sample_rate", h.sample_rate, 1, 384000) &&
         range(AT(Header, hop_length), "hop_length", h.hop_length, 1, 65536) &&
         range(AT(Header, n_features), "n_features", h.n_features, 1, 65536) &&
         range(AT(Header, lookahead), "lookahead", h.lookahead, 0, 1024) &&
         range(AT(Header, priming), "priming", h.priming, 0, 1024) &&
         range(AT(Header, arena_size), "arena_size", h.arena_size, 1, 1u << 26) &&
         range(AT(Header, n_slots), "n_slots", h.n_slots, 0, 256) &&
         range(AT(Header, n_tensors), "n_tensors", h.n_tensors, 0, 65536) &&
         range(AT(Header, n_frame_operations), "n_frame_operations", h.n_frame_operations, 0, 65536) &&
         range(AT(Header, n_sample_operations), "n_sample_operations", h.n_sample_operations, 1, 65536) &&
         range(AT(Header, samples_per_step), "samples_per_step", h.samples_per_step, 1, kMostBands) &&
         range(AT(Header, steps_per_row), "steps_per_row", h.steps_per_row, 1, 65536) &&
         range(AT(Header, n_matches), "n_matches", h.n_matches, 0, 1) &&
         section(AT(Header, metadata_offset), "metadata", h.metadata_offset, h.metadata_size, 1) &&
         section(AT(Header, tensors_offset), "tensor directory", h.tensors_offset,
                 uint64_t{h.n_tensors} * sizeof(TensorEntry), 8) &&
         section(AT(Header, operations_offset), "operations", h.operations_offset,
                 (uint64_t{h.n_frame_operations} + h.n_sample_operations + h.n_matches) * sizeof(Operation), 8);
}

uint32_t bytes_per_weight(Dtype dtype) { return dtype == Dtype::fp32 ? 4 : 2; }

uint64_t round_up(uint64_t n, uint64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// Exponent bits all ones: infinite or not a number.
bool all_finite(Dtype dtype, const uint8_t* values, uint64_t size) {
  uint32_t found = 0;
  if (dtype == Dtype::fp32) {
    const auto* v = reinterpret_cast<const uint32_t*>(values);
    for (uint64_t i = 0; i < size / 4; ++i) found |= (v[i] & 0x7F800000u) == 0x7F800000u;
  } else {
    const uint16_t mask = dtype == Dtype::fp16 ? 0x7C00 : 0x7F80;
    const auto* v = reinterpret_cast<const uint16_t*>(values);
    for (uint64_t i = 0; i < size / 2; ++i) found |= (v[i] & mask) == mask;
  }
  return found == 0;
}

bool read_tensor(Errors& errors, const Bytes& file, uint64_t at, const TensorEntry& t, Matrix* m) {
  const auto fail = [&](size_t field, const char* what, uint64_t value) {
    return errors.fail(at + field, "tensor at %llu: %s is %llu", printable(at), what, printable(value));
  };
  if (memchr(t.name, 0, sizeof t.name) == nullptr)
    return errors.fail(at, "tensor at %llu: the name does not end", printable(at));
  if (t.layout > static_cast<uint32_t>(Layout::block_1x4)) return fail(AT(TensorEntry, layout), "layout", t.layout);
  if (t.dtype < 1 || t.dtype > 3) return fail(AT(TensorEntry, dtype), "dtype", t.dtype);
  if (t.rows < 1 || t.rows > kMaxSide) return fail(AT(TensorEntry, rows), "rows", t.rows);
  if (t.cols < 1 || t.cols > kMaxSide) return fail(AT(TensorEntry, cols), "cols", t.cols);
  if (t.reserved != 0) return fail(AT(TensorEntry, reserved), "reserved", t.reserved);

  const Layout layout = static_cast<Layout>(t.layout);
  const Dtype dtype = static_cast<Dtype>(t.dtype);
  const uint64_t weight = bytes_per_weight(dtype);
  const BlockShape shape = block_shape(layout);
  *m = Matrix{layout, dtype, t.rows, t.cols, 0, t.index_width, nullptr, nullptr, nullptr};
  uint64_t values_size = 0;
  uint32_t block_rows = 0, block_columns = 0;
  switch (layout) {
    case Layout::vector:
      if (dtype != Dtype::fp32) return fail(AT(TensorEntry, dtype), "dtype of a vector", t.dtype);
      if (t.cols != 1) return fail(AT(TensorEntry, cols), "cols of a vector", t.cols);
      values_size = round_up(t.rows, kGroup) * weight;
      break;
    case Layout::table:
      values_size = t.rows * round_up(t.cols, kGroup) * weight;
      break;
    case Layout::dense:
      values_size = round_up(t.rows, shape.rows) * t.cols * weight;
      break;
    default:
      block_rows = static_cast<uint32_t>(round_up(t.rows, shape.rows) / shape.rows);
      block_columns = static_cast<uint32_t>(round_up(t.cols, shape.cols) / shape.cols);
      values_size = uint64_t{t.n_blocks} * shape.rows * shape.cols * weight;
      m->n_quads = (block_rows + 3) / 4;
      if (block_rows > kMaxBlocksAside) return fail(AT(TensorEntry, rows), "rows", t.rows);
      if (block_columns > kMaxBlocksAside) return fail(AT(TensorEntry, cols), "cols", t.cols);
  }
  const bool sparse = block_columns != 0;
  const uint32_t index_width = !sparse ? 0 : block_columns <= 256 ? 1 : 2;
  const uint64_t columns_size = sparse ? uint64_t{t.n_blocks} * index_width : 0;
  const uint64_t quads_size = uint64_t{m->n_quads} * sizeof(Quad);
  if (t.index_width != index_width) return fail(AT(TensorEntry, index_width), "index_width", t.index_width);
  if (!sparse && t.n_blocks != 0) return fail(AT(TensorEntry, n_blocks), "n_blocks", t.n_blocks);
  if (t.values_size != values_size) return fail(AT(TensorEntry, values_size), "values_size", t.values_size);
  if (t.columns_size != columns_size) return fail(AT(TensorEntry, columns_size), "columns_size", t.columns_size);
  if (t.quads_size != quads_size) return fail(AT(TensorEntry, quads_size), "quads_size", t.quads_size);
  if (!check_section(errors, file, at + AT(TensorEntry, values_offset), t.name, t.values_offset, values_size,
                     kSectionAlignment))
    return false;
  m->values = file.data + t.values_offset;
  if (!all_finite(dtype, file.data + t.values_offset, values_size)) {
    return errors.fail(t.values_offset, "tensor %s: a weight is infinite or not a number", t.name);
  }
  if (!sparse) {
    if (t.columns_offset != 0) return fail(AT(TensorEntry, columns_offset), "columns_offset", t.columns_offset);
    if (t.quads_offset != 0) return fail(AT(TensorEntry, quads_offset), "quads_offset", t.quads_offset);
    return true;
  }
  if (!check_section(errors, file, at + AT(TensorEntry, columns_offset), t.name, t.columns_offset, columns_size,
                     kSectionAlignment) ||
      !check_section(errors, file, at + AT(TensorEntry, quads_offset), t.name, t.quads_offset, quads_size,
                     kSectionAlignment)) {
    return false;
  }
  m->columns = file.data + t.columns_offset;
  m->quads = reinterpret_cast<const Quad*>(file.data + t.quads_offset);
  return check_blocks(errors, t.name, *m, t.n_blocks, t.quads_offset, t.columns_offset);
}

bool read(Errors& errors, const Bytes& file, Model* model) {
  if (file.size < sizeof(Header)) {
    return errors.fail(0, "the file has %llu bytes, less than a header's %zu", printable(file.size), sizeof(Header));
  }
  if (memcmp(file.data, kMagic, sizeof kMagic) != 0) return errors.fail(0, "magic: this is not a .linnet file");
  const Header& h = *reinterpret_cast<const Header*>(file.data);
  if (!check_header(errors, file, h)) return false;
  model->config = Config{h.sample_rate,
                         h.hop_length,
                         h.n_features,
                         h.lookahead,
                         h.priming,
                         h.arena_size,
                         h.n_slots,
                         h.features_at,
                         h.n_tensors,
                         h.n_frame_operations,
                         h.n_sample_operations,
                         h.samples_per_step,
                         h.steps_per_row,
                         h.silence,
                         0,
                         0,
                         0,
                         0};
  model->file_size = h.file_size;
  model->metadata = reinterpret_cast<const char*>(file.data + h.metadata_offset);
  model->metadata_size = static_cast<size_t>(h.metadata_size);
  model->frame_program = reinterpret_cast<const Operation*>(file.data + h.operations_offset);
  model->sample_program = model->frame_program + h.n_frame_operations;
  if (h.n_matches != 0) model->match = &model->sample_program[h.n_sample_operations].match;
  model->tensors = static_cast<Matrix*>(calloc(h.n_tensors + size_t{1}, sizeof(Matrix)));
  if (model->tensors == nullptr) return errors.fail(0, "no memory for %u tensors", h.n_tensors);
  const auto* entries = reinterpret_cast<const TensorEntry*>(file.data + h.tensors_offset);
  for (uint32_t i = 0; i < h.n_tensors; ++i) {
    if (!read_tensor(errors, file, h.tensors_offset + uint64_t{i} * sizeof(TensorEntry), entries[i],
                     &model->tensors[i]))
      return false;
  }
  if (h.silence != kNone) {
    const bool fits = h.silence < h.n_tensors && model->tensors[h.silence].layout == Layout::vector &&
                      model->tensors[h.silence].rows == h.n_features;
    if (!fits) return errors.fail(AT(Header, silence), "silence is not a vector of %u features", h.n_features);
  }
  return check_program(errors, h.operations_offset, model);
}

}  // namespace

BlockShape block_shape(Layout layout) {
  switch (layout) {
    case Layout::block_4x4:
      return {4, 4};
    case Layout::block_16x1:
    case Layout::dense:
      return {16, 1};
    case Layout::block_1x16:
      return {1, 16};
    case Layout::block_1x4:
      return {1, 4};
    default:
      return {1, 1};
  }
}

bool check_blocks(Errors& errors, const char* name, const Matrix& m, uint32_t n_blocks, uint64_t quads_offset,
                  uint64_t columns_offset) {
  const BlockShape shape = block_shape(m.layout);
  const uint32_t block_rows = (m.rows + shape.rows - 1) / shape.rows;
  const uint32_t block_columns = (m.cols + shape.cols - 1) / shape.cols;
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
    blocks += uint64_t{4} * m.quads[i].steps;
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

linnet_status read_model(const uint8_t* data, size_t size, Model* model, linnet_error* error) {
  memset(model, 0, sizeof *model);
  Errors errors(error);
  if (read(errors, Bytes{data, size}, model)) return LINNET_OK;
  free_model(model);
  return LINNET_ERROR_FORMAT;
}

void free_model(Model* model) {
  free(model->tensors);
  model->tensors = nullptr;
}

}  // namespace linnet
