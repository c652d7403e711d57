// The header and the tensor directory as they lie in the file (export/FORMAT.md), and how their fields are checked.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "file/errors.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "linnet runs on little-endian machines only: it uses the numbers of a .linnet file where they lie"
#endif

namespace linnet {

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
  float input_range;
  uint32_t reserved;
};
static_assert(sizeof(TensorEntry) == 128, "a directory entry has 128 bytes");

constexpr size_t kSectionAlignment = 64;  // of weights

// The file as bytes.
struct Bytes {
  const uint8_t* data;
  size_t size;
};

inline unsigned long long printable(uint64_t n) { return n; }

bool check_range(Errors& errors, uint64_t at, const char* field, uint32_t value, uint32_t least, uint32_t most);

// Whether a section lies in the file, behind the header, at a multiple of `alignment`.
bool check_section(Errors& errors, const Bytes& file, uint64_t at, const char* field, uint64_t offset, uint64_t size,
                   size_t alignment);

}  // namespace linnet
