// A place to keep the first error that the validator finds.
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
  bool
  fail(uint64_t offset, const char* format, ...);

 private:
  linnet_error* error_;
};

}  // namespace linnet
