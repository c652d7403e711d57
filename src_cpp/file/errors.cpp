#include "file/errors.h"

#include <stdarg.h>
#include <stdio.h>

namespace linnet {

bool Errors::fail(uint64_t offset, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error_->message, sizeof error_->message, format, arguments);
  va_end(arguments);
  error_->offset = offset;
  return false;
}

}  // namespace linnet
