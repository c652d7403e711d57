#include "file/checksum.h"

namespace linnet {
namespace {

struct Crc32Table {
  uint32_t of[256];
  constexpr Crc32Table() : of() {
    for (uint32_t byte = 0; byte < 256; ++byte) {
      uint32_t c = byte;
      for (int bit = 0; bit < 8; ++bit) c = (c & 1) ? 0xEDB88320u ^ (c >> 1) : c >> 1;
      of[byte] = c;
    }
  }
};
constexpr Crc32Table kCrc32;

}  // namespace

uint32_t crc32(const uint8_t* data, size_t size) {
  uint32_t c = 0xFFFFFFFFu;
  for (size_t i = 0; i < size; ++i) c = kCrc32.of[(c ^ data[i]) & 0xFF] ^ (c >> 8);
  return c ^ 0xFFFFFFFFu;
}

}  // namespace linnet
