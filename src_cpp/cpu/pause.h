// What a thread does between two looks at a flag that another thread will soon set: nothing, for some tens of cycles,
// at little cost to the rest of the core.
#pragma once

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#elif defined(_MSC_VER)
#include <intrin.h>
#endif

namespace linnet {

static inline void pause_briefly() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(_MSC_VER)
  __yield();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");  // `yield` does nothing on most cores
#elif defined(__arm__)
  __asm__ volatile("yield" ::: "memory");
#endif
}

}  // namespace linnet
