// AVX-512 (F, BW, VL, DQ): the functions, with 512-bit registers and masks. Zen 4, gcc 12, against AVX2: gates of 1024
// units 0.82 us for 1.22, exponentials of 256 classes 95 ns for 124, tanh of 1024 0.30 us for 0.52. Layers of 16 units
// lose (their voices take 5 to 25 % longer): presumably, narrower stores just made are not forwarded to 512-bit loads.
//
// Products one by one stay with the AVX2 set. There, at 3072 x 1024 with 95 % zeros, 512-bit registers made them slower
// (fp16 4x4 7.6 us for 5.1, dense 6.1 for 3.6: vcvtph2ps of 16 weights takes 1.33 cycles, two of 8 from memory take 1)
// or no faster (fp32), and so did AVX-512's encoding of 256-bit instructions with its 32 registers (5.2).
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

#include "kernels/arithmetic.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c"))), \
                             apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")
#endif

namespace linnet {
namespace {

using F4 = __m128;
using F8 = __m256;
using F16 = __m512;

inline F16 zero16() { return _mm512_setzero_ps(); }
inline F16 load16(const float* p) { return _mm512_loadu_ps(p); }
inline void store16(float* p, F16 v) { _mm512_storeu_ps(p, v); }
inline F16 all16(float v) { return _mm512_set1_ps(v); }
inline F16 add16(F16 a, F16 b) { return _mm512_add_ps(a, b); }
inline F16 fma16(F16 a, F16 b, F16 c) { return _mm512_fmadd_ps(a, b, c); }

// The first n < 16 lanes.
inline __mmask16 first(size_t n) { return static_cast<__mmask16>((1u << n) - 1); }
inline F16 load_part(const float* p, size_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
inline void store_part(float* p, F16 v, size_t n) { _mm512_mask_storeu_ps(p, first(n), v); }

// The functions of arithmetic.h, sixteen at a time.

inline F16 exp16(F16 x) {
  x = _mm512_max_ps(x, all16(kExpLow));  // vmaxps gives its second operand where x is a NaN
  x = _mm512_min_ps(x, all16(kExpHigh));
  const F16 t = fma16(x, all16(kLog2E), all16(kRound));
  const F16 n = _mm512_sub_ps(t, all16(kRound));
  F16 r = fma16(n, all16(-kLn2High), x);
  r = fma16(n, all16(-kLn2Low), r);
  F16 p = all16(kExp6);
  p = fma16(p, r, all16(kExp5));
  p = fma16(p, r, all16(kExp4));
  p = fma16(p, r, all16(kExp3));
  p = fma16(p, r, all16(kExp2));
  p = fma16(p, r, all16(1.0f));
  p = fma16(p, r, all16(1.0f));
  const __m512i power = _mm512_sub_epi32(_mm512_castps_si512(t), _mm512_castps_si512(all16(kRound)));
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32(power, 23)));
}

inline F16 sigmoid16(F16 x) {
  const F16 e = exp16(_mm512_xor_ps(x, all16(-0.0f)));
  return _mm512_div_ps(all16(1.0f), add16(all16(1.0f), e));
}

inline F16 tanh16(F16 x) { return fma16(all16(2.0f), sigmoid16(add16(x, x)), all16(-1.0f)); }

inline F16 relu16(F16 x) { return _mm512_max_ps(x, zero16()); }

inline F16 activate16(Activation activation, F16 x) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return relu16(x);
    case Activation::tanh:
      return tanh16(x);
    case Activation::sigmoid:
      return sigmoid16(x);
    case Activation::exp:
      return exp16(x);
  }
  return x;
}

void finish(uint32_t n, Activation activation, const float* add, float* y) {
  uint32_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const F16 v = add ? add16(load16(y + i), load16(add + i)) : load16(y + i);
    store16(y + i, activate16(activation, v));
  }
  if (i < n) {
    const F16 v = add ? add16(load_part(y + i, n - i), load_part(add + i, n - i)) : load_part(y + i, n - i);
    store_part(y + i, activate16(activation, v), n - i);
  }
}

// In pieces, as in avx2.cpp; of 128 units, because their loops here are half as long (8 % of this kernel for 64).
void gates(uint32_t units, uint32_t stride, const float* recurrent, const float* input, float* state) {
  const float *ru = recurrent, *rr = ru + stride, *re = rr + stride;
  const float *iu = input, *ir = iu + stride, *ie = ir + stride;
  constexpr uint32_t kPiece = 128;
  alignas(64) float update[kPiece], candidate[kPiece];
  for (uint32_t start = 0; start < units; start += kPiece) {
    const uint32_t left = units - start, n = left < kPiece ? left : kPiece;
    uint32_t k = 0;
    for (; k + 16 <= n; k += 16) {
      const uint32_t i = start + k;
      store16(update + k, sigmoid16(add16(load16(ru + i), load16(iu + i))));
      const F16 r = sigmoid16(add16(load16(rr + i), load16(ir + i)));
      store16(candidate + k, fma16(r, load16(re + i), load16(ie + i)));
    }
    if (k < n) {
      const uint32_t i = start + k;
      const size_t m = n - k;
      store16(update + k, sigmoid16(add16(load_part(ru + i, m), load_part(iu + i, m))));
      const F16 r = sigmoid16(add16(load_part(rr + i, m), load_part(ir + i, m)));
      store16(candidate + k, fma16(r, load_part(re + i, m), load_part(ie + i, m)));
    }
    float* s = state + start;
    for (k = 0; k + 16 <= n; k += 16) {
      const F16 e = tanh16(load16(candidate + k));
      store16(s + k, fma16(load16(update + k), _mm512_sub_ps(load16(s + k), e), e));
    }
    if (k < n) {
      const F16 e = tanh16(load16(candidate + k));
      store_part(s + k, fma16(load16(update + k), _mm512_sub_ps(load_part(s + k, n - k), e), e), n - k);
    }
  }
}

// ((A0 + A4) + (A1 + A5)) + ((A2 + A6) + (A3 + A7)) with A[l] = v[l] + v[l + 8].
inline float fold16(F16 v) {
  const F8 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  F4 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  b = _mm_add_ps(b, _mm_movehdup_ps(b));
  return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehl_ps(b, b)));
}

float exponentials(uint32_t n, float inverse_temperature, const float* logits, float* e, float* groups) {
  F16 most = all16(-INFINITY);
  uint32_t i = 0;
  for (; i + 16 <= n; i += 16) most = _mm512_max_ps(load16(logits + i), most);
  if (i < n) most = _mm512_mask_max_ps(most, first(n - i), load_part(logits + i, n - i), most);
  const F8 eight = _mm256_max_ps(_mm512_castps512_ps256(most), _mm512_extractf32x8_ps(most, 1));
  const F4 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const F4 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  const float greatest = _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));

  const F16 m = all16(greatest), s = all16(inverse_temperature);
  for (i = 0; i + 16 <= n; i += 16) {
    const F16 v = exp16(_mm512_mul_ps(_mm512_sub_ps(load16(logits + i), m), s));
    store16(e + i, v);
    groups[i / kGroup] = fold16(v);
  }
  if (i < n) {
    const F16 x = _mm512_mul_ps(_mm512_sub_ps(load_part(logits + i, n - i), m), s);
    const F16 v = _mm512_maskz_mov_ps(first(n - i), exp16(x));
    store16(e + i, v);
    groups[i / kGroup] = fold16(v);
  }
  return greatest;
}

}  // namespace

void overlay_avx512(Kernels* kernels) {
  kernels->finish = finish;
  kernels->gates = gates;
  kernels->exponentials = exponentials;
  overlay_avx512_matvecs(kernels);
}

}  // namespace linnet

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#endif
