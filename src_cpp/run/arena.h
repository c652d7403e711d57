// Memory for all that a stream, a matrix or a product needs, in one piece.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace linnet {

constexpr size_t kAlignment = 64;

bool aligned(const void* pointer);

// Aligned memory, to be released; null where there is none.
void* allocate(size_t size);
void release(void* memory);

// Hands out aligned pieces of one block of memory. Without a block it only measures.
class BumpAllocator {
 public:
  explicit BumpAllocator(void* block) : block_(static_cast<uint8_t*>(block)) {}

  template <class T>
  T* take(size_t count) {
    const size_t at = used_;
    used_ += (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    return block_ ? reinterpret_cast<T*>(block_ + at) : nullptr;
  }

  size_t used() const { return used_; }

 private:
  uint8_t* block_;
  size_t used_ = 0;
};

}  // namespace linnet
