// AVX-512VL: the products of avx2_matvecs.cpp with eight vectors at once, in 32 registers of 256 bits.
#include "kernels/sets.h"

#if defined(__x86_64__) || defined(_M_X64)

#include <immintrin.h>
#include <string.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c"))), \
                             apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")
#endif

#include "kernels/x86/avx2_matvecs.h"

namespace linnet {

void overlay_avx512_matvecs(Kernels* kernels) { overlay_matvecs<8>(kernels); }

}  // namespace linnet

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#endif
