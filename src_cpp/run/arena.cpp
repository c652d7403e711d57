#include "run/arena.h"

#include <stdlib.h>

namespace linnet {

bool aligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % kAlignment == 0; }

// malloc, aligned to 64 bytes: the address to free stands just before the memory.
void* allocate(size_t size) {
  void* raw = malloc(size + kAlignment + sizeof(void*));
  if (raw == nullptr) return nullptr;
  const uintptr_t first = reinterpret_cast<uintptr_t>(raw) + sizeof(void*);
  void** memory = reinterpret_cast<void**>((first + kAlignment - 1) / kAlignment * kAlignment);
  memory[-1] = raw;
  return memory;
}

void release(void* memory) { free(static_cast<void**>(memory)[-1]); }

}  // namespace linnet
