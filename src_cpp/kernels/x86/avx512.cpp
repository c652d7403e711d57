// AVX-512 (F, BW, VL, DQ): the functions, with 512-bit registers and masks. Zen 4, gcc 12, against AVX2: gates of 1024
// units 0.82 us for 1.22, exponentials of 256 classes 95 ns for 124, tanh of 1024 0.30 us for 0.52. Layers of 16 units
// lose (their voices take 5 to 25 % longer): presumably, narrower stores just made are not forwarded to 512-bit loads.
//
// Products one by one stay with the AVX2 set. There, at 3072 x 1024 with 95 % zeros, 512-bit registers made them slower
// (fp16 4x4 7.6 us for 5.1, dense 6.1 for 3.6: vcvtph2ps of 16 weights takes 1.33 cycles, two of 8 from memory take 1)
// or no faster (fp32), and so did AVX-512's encoding of 256-bit instructions with its 32 registers (5.2). Only 8x4 in
// fp16 and bf16 gains from these registers (1.15 and 1.12 x), because AVX2 has not enough of them for a quad.
#include "kernels/sets.h"

#if defined(__x86_64__) || defined(_M_X64)

#if defined(__GNUC__) && \
    !defined(__clang__)  // gcc's bug 105593: its header gives intrinsics an unset operand on purpose
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif
#include <math.h>
#include <string.h>

#include "kernels/arithmetic.h"

#if defined(__clang__) && __clang_major__ >= 18 && __clang_major__ <= 20  // zig's leave 512 bits out unasked
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,evex512,avx2,fma,f16c"))), \
                             apply_to = function)
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c"))), \
                             apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")
#endif

#include "kernels/functions.h"
#include "kernels/x86/avx2_8x4.h"

namespace linnet {
namespace {

// The wrappers of functions.h.
struct Avx512 {
  using F = __m512;
  static constexpr uint32_t kWidth = 16;
  static __mmask16 first(size_t n) { return static_cast<__mmask16>((1u << n) - 1); }
  static F all(float v) { return _mm512_set1_ps(v); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, F v) { _mm512_storeu_ps(p, v); }
  static F load_part(const float* p, size_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
  static void store_part(float* p, F v, size_t n) { _mm512_mask_storeu_ps(p, first(n), v); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F divide(F a, F b) { return _mm512_div_ps(a, b); }
  static F negate(F v) { return _mm512_xor_ps(v, all(-0.0f)); }
  static F greater(F a, F b) { return _mm512_max_ps(a, b); }  // vmaxps gives its second operand where one is a NaN
  static F less(F a, F b) { return _mm512_min_ps(a, b); }
  static F shift_in(F p, F t) {
    const __m512i power = _mm512_sub_epi32(_mm512_castps_si512(t), _mm512_castps_si512(all(kRound)));
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32(power, 23)));
  }
  static F split(F x, F* n) {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i power = _mm512_srli_epi32(_mm512_sub_epi32(bits, _mm512_set1_epi32(kTwoThirds)), 23);
    const __m512i times = _mm512_sub_epi32(power, _mm512_set1_epi32(126));
    *n = _mm512_cvtepi32_ps(times);
    return _mm512_castsi512_ps(_mm512_sub_epi32(bits, _mm512_slli_epi32(times, 23)));
  }
  static F keep(F v, size_t n) { return _mm512_maskz_mov_ps(first(n), v); }
  static float greatest(F v) {
    const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }
  static float fold(const F (&v)[1]) {
    const __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v[0]), _mm512_extractf32x8_ps(v[0], 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehdup_ps(b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehl_ps(b, b)));
  }
};

template <Dtype D>
void overlay_8x4(Kernels* kernels) {
  kernels->matvec[Layout::block_8x4][D] = by_index_width<matvec_8x4<D, uint8_t, 4>, matvec_8x4<D, uint16_t, 4>>;
}

}  // namespace

void overlay_avx512(Kernels* kernels) {
  overlay_8x4<Dtype::fp16>(kernels);
  overlay_8x4<Dtype::bf16>(kernels);
  kernels->activate = activate<Avx512>;
  kernels->gates = gates_in_pieces<Avx512, 128>;  // 8 % faster than pieces of 64
  kernels->exponentials = exponentials<Avx512>;
  kernels->harmonics = harmonics<Avx512>;
  kernels->corrections = corrections<Avx512>;
  kernels->put_piece = put_piece<Avx512>;
  overlay_avx512_matvecs(kernels);
}

}  // namespace linnet

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#endif
