// AVX-512 VNNI with 256-bit registers: products of int8 matrices.
#include "kernels/sets.h"

#if defined(__x86_64__) || defined(_M_X64)

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "kernels/arithmetic.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"))), \
                             apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")
#endif

#include "kernels/functions.h"
#define LINNET_VPDPBUSD "vpdpbusd"
#define LINNET_VPDPBUSD_INTRINSIC _mm256_dpbusd_epi32
#include "kernels/x86/int8_vnni.h"

namespace linnet {

void overlay_avx512_vnni(Kernels* kernels) { overlay_int8<Vnni, 8>(kernels); }

}  // namespace linnet

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#endif
