// CRC-32.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace linnet {

// As zlib computes it.
uint32_t crc32(const uint8_t* data, size_t size);

}  // namespace linnet
