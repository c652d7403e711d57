#include "file/header.h"

namespace linnet {
namespace {

bool inside(const Bytes& file, uint64_t offset, uint64_t size) {
  return offset <= file.size && size <= file.size - offset;
}

}  // namespace

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
    return errors.fail(at, "%s: offset %llu is not a multiple of %llu", field, printable(offset), printable(alignment));
  return true;
}

}  // namespace linnet
