// AVX2: products of int8 matrices.
#include "kernels/sets.h"

#if defined(__x86_64__) || defined(_M_X64)

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "kernels/arithmetic.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

#include "kernels/functions.h"
#include "kernels/x86/int8_products.h"

namespace linnet {
namespace {

// vpmaddubsw adds two products of a byte without a sign and one with a sign, in 16 bits. The magnitude of x, and w with
// the sign of x, have the same product; two of 127 x 127 are 32258, which 16 bits hold. x is kept as its sign and its
// magnitude in one byte, which has the sign of x for vpsignb, too: one load serves both.
struct Maddubs {
  static constexpr int kOffset = 0;
  static I8 keep(I8 bytes) {
    return _mm256_or_si256(_mm256_abs_epi8(bytes), _mm256_and_si256(bytes, _mm256_set1_epi8(-128)));
  }
  static void add(I8 x, I8 w, I8* sums) {
    const I8 magnitudes = _mm256_and_si256(x, _mm256_set1_epi8(127));
    const I8 pairs = _mm256_maddubs_epi16(magnitudes, _mm256_sign_epi8(w, x));
    *sums = _mm256_add_epi32(*sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  static void add_offsets(I8, I8*) {}
};

}  // namespace

void overlay_avx2_int8(Kernels* kernels) { overlay_int8<Maddubs, 4>(kernels); }

}  // namespace linnet

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#endif
