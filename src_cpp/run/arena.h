// Memory for what a stream needs, in one piece.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace linnet {

// Hands out aligned pieces of one block of memory; with a null base it only measures.
class Carver {
 public:
  static constexpr size_t kAlignment = 64;

  explicit Carver(void* base) : base_(static_cast<uint8_t*>(base)) {}

  template <class T>
  T* take(size_t count) {
    const size_t at = used_;
    used_ += (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    return base_ ? reinterpret_cast<T*>(base_ + at) : nullptr;
  }

  size_t used() const { return used_; }

 private:
  uint8_t* base_;
  size_t used_ = 0;
};

}  // namespace linnet
