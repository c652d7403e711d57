// Memory that starts at a multiple of 64 bytes.
#pragma once

#include <stdint.h>
#include <stdlib.h>

#include "run/arena.h"

namespace linnet {

// Null where there is too little. The address to free stands just before the memory.
inline void* allocate_aligned(size_t size) {
  void* raw = malloc(size + kAlignment + sizeof(void*));
  if (raw == nullptr) return nullptr;
  const uintptr_t first = reinterpret_cast<uintptr_t>(raw) + sizeof(void*);
  void** memory = reinterpret_cast<void**>((first + kAlignment - 1) / kAlignment * kAlignment);
  memory[-1] = raw;
  return memory;
}

inline void free_aligned(void* memory) { free(static_cast<void**>(memory)[-1]); }

}  // namespace linnet
