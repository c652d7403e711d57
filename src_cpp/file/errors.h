// What the validator is made of: a place to keep the first error, and the bounds of a file.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "linnet.h"

namespace linnet {

// Keeps the first error. `fail` is false, so that a check can end in `return errors.fail(...)`.
class Errors {
 public:
  explicit Errors(linnet_error* error) : error_(error) {}
#if defined(__GNUC__)
  __attribute__((format(printf, 3, 4)))
#endif
  bool fail(uint64_t offset, const char* format, ...);

 private:
  linnet_error* error_;
};

// The file as bytes.
struct Bytes {
  const uint8_t* data;
  size_t size;
};

// CRC-32 as zlib computes it.
uint32_t crc32(const uint8_t* data, size_t size);

}  // namespace linnet
