// AVX-VNNI, for CPUs that have VNNI without AVX-512: products of int8 matrices.
#include "kernels/sets.h"

#if defined(__x86_64__) || defined(_M_X64)

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "kernels/arithmetic.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avxvnni,avx2,fma,f16c"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avxvnni,avx2,fma,f16c")
#endif

#include "kernels/functions.h"
#if !defined(LINNET_VPDPBUSD)  // tests/cpp/avx_vnni_as_evex.cpp has its own
#define LINNET_VPDPBUSD "%{vex%} vpdpbusd"
#endif
#define LINNET_VPDPBUSD_INTRINSIC _mm256_dpbusd_avx_epi32
#include "kernels/x86/int8_vnni.h"

namespace linnet {

void overlay_avx_vnni(Kernels* kernels) { overlay_int8<Vnni, 4>(kernels); }

}  // namespace linnet

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#endif
