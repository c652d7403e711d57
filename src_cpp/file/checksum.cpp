#include "file/checksum.h"

#include <string.h>

namespace linnet {
namespace {

constexpr size_t kSlice = 16;  // bytes that are taken at once

// of[k][b]: what byte b changes in the checksum when k more bytes follow it. Made anew for every checksum, which takes
// some microseconds; as a constant it would be 16 KiB of the library.
struct Crc32Tables {
  uint32_t of[kSlice][256];

  Crc32Tables() {
    for (uint32_t byte = 0; byte < 256; ++byte) {
      uint32_t c = byte;
      for (int bit = 0; bit < 8; ++bit) c = (c & 1) ? 0xEDB88320u ^ (c >> 1) : c >> 1;
      of[0][byte] = c;
    }
    for (size_t k = 1; k < kSlice; ++k) {
      for (uint32_t byte = 0; byte < 256; ++byte) of[k][byte] = of[k - 1][byte] >> 8 ^ of[0][of[k - 1][byte] & 0xFF];
    }
  }
};

}  // namespace

// "Slicing": Kounavis and Berry 2005, "A systematic approach to building high performance software-based CRC
// generators".
uint32_t crc32(const uint8_t* data, size_t size) {
  const Crc32Tables tables;
  uint32_t c = 0xFFFFFFFFu;
  for (; size >= kSlice; data += kSlice, size -= kSlice) {
    uint32_t words[kSlice / 4];
    memcpy(words, data, sizeof words);
    words[0] ^= c;
    c = 0;
    for (size_t w = 0; w < kSlice / 4; ++w) {
      const uint32_t(*of)[256] = tables.of + (kSlice - 4 - 4 * w);
      c ^= of[3][words[w] & 0xFF] ^ of[2][words[w] >> 8 & 0xFF] ^ of[1][words[w] >> 16 & 0xFF] ^ of[0][words[w] >> 24];
    }
  }
  for (; size != 0; ++data, --size) c = tables.of[0][(c ^ *data) & 0xFF] ^ (c >> 8);
  return c ^ 0xFFFFFFFFu;
}

}  // namespace linnet
