// Reads and validates a file: header and directory here, tensors in tensors.cpp, operations in validation.cpp, and in
// limits.cpp how much it asks for.
#include <stdlib.h>
#include <string.h>

#include "file/checksum.h"
#include "file/header.h"
#include "file/limits.h"
#include "file/model.h"
#include "file/tensors.h"
#include "file/validation.h"
#include "operations/logistics.h"
#include "operations/match.h"

namespace linnet {
namespace {

constexpr uint8_t kMagic[8] = {0x89, 'L', 'I', 'N', 'N', 'E', 'T', 0x0A};
constexpr uint16_t kMajor = 1;
constexpr size_t kChecksumFrom = 32;  // the bytes before are checked one by one

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
    return errors.fail(AT(Header, header_size), "header_size is %u, expected %llu", h.header_size,
                       printable(sizeof(Header)));
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
         range(AT(Header, samples_per_step), "samples_per_step", h.samples_per_step, 1, kMostSubBands) &&
         range(AT(Header, steps_per_row), "steps_per_row", h.steps_per_row, 1, 65536) &&
         range(AT(Header, n_matches), "n_matches", h.n_matches, 0, 1) &&
         section(AT(Header, metadata_offset), "metadata", h.metadata_offset, h.metadata_size, 1) &&
         section(AT(Header, tensors_offset), "tensor directory", h.tensors_offset,
                 uint64_t{h.n_tensors} * sizeof(TensorEntry), 8) &&
         section(AT(Header, operations_offset), "operations", h.operations_offset,
                 (uint64_t{h.n_frame_operations} + h.n_sample_operations + h.n_matches) * sizeof(Operation), 8);
}

bool read(Errors& errors, const Bytes& file, Model* model) {
  if (file.size < sizeof(Header)) {
    return errors.fail(0, "the file has %llu bytes, less than a header's %llu", printable(file.size),
                       printable(sizeof(Header)));
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
  if (h.n_matches != 0) model->match = &model->sample_program[h.n_sample_operations].as<MatchWords>();
  model->tensors = static_cast<Matrix*>(calloc(h.n_tensors + size_t{1}, sizeof(Matrix)));
  if (model->tensors == nullptr) return errors.fail(0, "no memory for %u tensors", h.n_tensors);
  if (!check_sections(errors, file, h.tensors_offset, h.n_tensors)) return false;
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
  return check_programs(errors, h.operations_offset, model) && check_limits(errors, h.operations_offset, *model);
}

}  // namespace

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
