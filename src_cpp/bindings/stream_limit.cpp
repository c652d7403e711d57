#include "stream_limit.h"

#include <math.h>
#include <string.h>

#include "kernels/arithmetic.h"
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace linnet {
namespace {

// A block in sixteen lanes; compilers vectorise it as far as the baseline allows.
template <Dtype D>
float pass_portable(const StreamBlock* blocks, size_t n) {
  constexpr size_t kSize = D == Dtype::fp32 ? 4 : 2;
  constexpr size_t kWeights = sizeof(StreamBlock) / kSize;
  float sums[kWeights] = {0};
  for (size_t i = 0; i < n; ++i) {
    for (size_t l = 0; l < kWeights; ++l) {
      uint32_t stored = 0;
      memcpy(&stored, blocks[i].bytes + l * kSize, kSize);
      const float w = D == Dtype::fp16   ? widen_fp16(static_cast<uint16_t>(stored))
                      : D == Dtype::bf16 ? widen_bf16(static_cast<uint16_t>(stored))
                                         : float_of(stored);
      sums[l] = fmaf(w, 0.5f, sums[l]);
    }
  }
  float sum = 0;
  for (const float s : sums) sum += s;
  return sum;
}

}  // namespace
}  // namespace linnet

#if defined(__x86_64__) || defined(_M_X64)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

namespace linnet {
namespace {

template <Dtype D>
inline __m256 load8(const unsigned char* p) {
  if (D == Dtype::fp32) return _mm256_loadu_ps(reinterpret_cast<const float*>(p));
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

// Adds the products of sixteen weights. Those in bf16 come with one load: the upper halves of eight words, and the
// lower ones.
template <Dtype D>
inline void add16(const unsigned char* p, __m256 x, __m256* s0, __m256* s1) {
  if (D == Dtype::bf16) {
    const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    const __m256i upper = _mm256_and_si256(words, _mm256_set1_epi32(static_cast<int>(0xFFFF0000u)));
    *s0 = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_slli_epi32(words, 16)), x, *s0);
    *s1 = _mm256_fmadd_ps(_mm256_castsi256_ps(upper), x, *s1);
  } else {
    *s0 = _mm256_fmadd_ps(load8<D>(p), x, *s0);
    *s1 = _mm256_fmadd_ps(load8<D>(p + (D == Dtype::fp32 ? 32 : 16)), x, *s1);
  }
}

// Eight chains in registers: enough to hide the latency of the multiply-add (4 cycles, two a cycle).
template <Dtype D>
float pass_avx2(const StreamBlock* blocks, size_t n) {
  constexpr size_t kStep = D == Dtype::fp32 ? 64 : 32;  // bytes of sixteen weights
  const __m256 x = _mm256_set1_ps(0.5f);
  __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
  const unsigned char* p = blocks->bytes;
  const unsigned char* end = p + n * sizeof(StreamBlock);
  for (; p + 4 * kStep <= end; p += 4 * kStep) {
    add16<D>(p, x, &s0, &s1);
    add16<D>(p + kStep, x, &s2, &s3);
    add16<D>(p + 2 * kStep, x, &s4, &s5);
    add16<D>(p + 3 * kStep, x, &s6, &s7);
  }
  for (; p < end; p += kStep) add16<D>(p, x, &s0, &s1);
  s0 = _mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3));
  s4 = _mm256_add_ps(_mm256_add_ps(s4, s5), _mm256_add_ps(s6, s7));
  float lanes[8];
  _mm256_storeu_ps(lanes, _mm256_add_ps(s0, s4));
  return lanes[0] + lanes[1] + lanes[2] + lanes[3] + lanes[4] + lanes[5] + lanes[6] + lanes[7];
}

}  // namespace
}  // namespace linnet

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#endif

namespace linnet {

StreamLimitFn choose_stream_limit(Dtype dtype) {
#if defined(__x86_64__) || defined(_M_X64)
  Kernels kernels;
  if (select_kernels("avx2", &kernels)) {
    switch (dtype) {
      case Dtype::fp16:
        return pass_avx2<Dtype::fp16>;
      case Dtype::bf16:
        return pass_avx2<Dtype::bf16>;
      case Dtype::fp32:
        return pass_avx2<Dtype::fp32>;
    }
  }
#endif
  switch (dtype) {
    case Dtype::fp16:
      return pass_portable<Dtype::fp16>;
    case Dtype::bf16:
      return pass_portable<Dtype::bf16>;
    case Dtype::fp32:
      break;
  }
  return pass_portable<Dtype::fp32>;
}

}  // namespace linnet
