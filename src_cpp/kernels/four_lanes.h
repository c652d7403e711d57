// The wrappers of transforms.h as compilers have them for any instruction set: vectors of four floats. Where there are
// none, one number at a time.
#pragma once

#include "kernels/transforms.h"

// 32-bit Arm's vectors flush subnormals.
#if defined(__has_builtin) && !defined(__arm__)
#if __has_builtin(__builtin_shufflevector)
#define LINNET_FOUR_LANES
#endif
#endif

namespace linnet {
namespace {

#if defined(LINNET_FOUR_LANES)

struct FourLanes {
  typedef float F __attribute__((vector_size(16)));
  typedef F InMemory __attribute__((aligned(alignof(float)), may_alias));
  static constexpr uint32_t kWidth = 4;
  LINNET_INLINE static F all(float v) { return F{v, v, v, v}; }
  LINNET_INLINE static F load(const float* p) { return *reinterpret_cast<const InMemory*>(p); }
  LINNET_INLINE static void store(float* p, F v) { *reinterpret_cast<InMemory*>(p) = v; }
  LINNET_INLINE static F add(F a, F b) { return a + b; }
  LINNET_INLINE static F sub(F a, F b) { return a - b; }
  LINNET_INLINE static F mul(F a, F b) { return a * b; }
  LINNET_INLINE static F root(F v) { return F{sqrtf(v[0]), sqrtf(v[1]), sqrtf(v[2]), sqrtf(v[3])}; }
  LINNET_INLINE static F reverse(F v) { return __builtin_shufflevector(v, v, 3, 2, 1, 0); }
  LINNET_INLINE static F low_pairs(F a, F b) { return __builtin_shufflevector(a, b, 0, 4, 1, 5); }
  LINNET_INLINE static F high_pairs(F a, F b) { return __builtin_shufflevector(a, b, 2, 6, 3, 7); }
  LINNET_INLINE static void load_pairs(const float* p, F* a, F* b) {
    const F low = load(p), high = load(p + 4);
    *a = __builtin_shufflevector(low, high, 0, 2, 4, 6);
    *b = __builtin_shufflevector(low, high, 1, 3, 5, 7);
  }
  LINNET_INLINE static void store_pairs(float* p, F a, F b) {
    store(p, low_pairs(a, b));
    store(p + 4, high_pairs(a, b));
  }
  template <uint32_t kPiece>
  LINNET_INLINE static void store_turned(float* p, F a, F b, F c, F d) {
    store_pairs(p, low_pairs(a, c), low_pairs(b, d));
    store_pairs(p + 8, high_pairs(a, c), high_pairs(b, d));
  }
};

#else

using FourLanes = OneLane;

#endif

}  // namespace
}  // namespace linnet
