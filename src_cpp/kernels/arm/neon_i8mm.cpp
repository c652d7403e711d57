// NEON with Armv8.6's products of integer matrices (FEAT_I8MM, most phones since 2022): products of int8 matrices with
// eight vectors together. smmla multiplies two rows of eight columns by two vectors, twice what sdot does.
//
// Two blocks of a block row are zipped to rows of eight columns, and so are the pieces of the vectors that meet them.
// By llvm-mca's models, in cycles per 16 weights and vector of eight, that pays where a zip serves many products; the
// loops of sdot beside them are ordered by hand as well:
//
//                               Neoverse N2       Cortex-A510
//   8x4                         0.38 for 0.50     0.75 for 0.94
//   dense (vectors unzipped)    0.31 for 0.50     0.63 for 0.88
//   4x4                         0.44 for 0.50     1.06 for 1.00, so not built
//
// With four vectors it is 0.44 and 1.06 in 8x4, 0.50 and 1.06 in 4x4.
#include "kernels/sets.h"

#if defined(LINNET_I8MM)

#include <arm_neon.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod,i8mm"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod+i8mm")
#endif

#include "kernels/functions.h"

#include "kernels/arm/neon_common.h"

#include "kernels/arm/int8_products.h"

#include "kernels/arm/int8_together.h"

namespace linnet {
namespace {

constexpr size_t kLanes = 8;
constexpr int8_t kNoWeights[32] = {};

// Eight rows of eight products, in the registers v0 .. v15 of the loops below. of[r][l]: rows 2 r and 2 r + 1, each of
// the vectors 2 l and 2 l + 1.
struct Squares {
  S4 of[4][4] = {};

  void store(const Matrix& w, size_t row, const float* steps, const float* bias, float* const* y) const {
    for (size_t half = 0; half < 4; half += 2, row += 4) {
      for (size_t l = 0; l < 4; ++l) {
        const S4 first = of[half][l], second = of[half + 1][l];
        scale_rows4(w, row, vuzp1q_s32(first, second), steps[2 * l], bias, y[2 * l]);
        scale_rows4(w, row, vuzp2q_s32(first, second), steps[2 * l + 1], bias, y[2 * l + 1]);
      }
    }
  }
};

#define LINNET_TWO_SQUARES(ldp, k, l, at) #ldp " q" #k ", q" #l ", [%[s], #" #at "]\n"
#define LINNET_ALL_SQUARES(ldp)        \
  LINNET_TWO_SQUARES(ldp, 0, 1, 0)     \
  LINNET_TWO_SQUARES(ldp, 2, 3, 32)    \
  LINNET_TWO_SQUARES(ldp, 4, 5, 64)    \
  LINNET_TWO_SQUARES(ldp, 6, 7, 96)    \
  LINNET_TWO_SQUARES(ldp, 8, 9, 128)   \
  LINNET_TWO_SQUARES(ldp, 10, 11, 160) \
  LINNET_TWO_SQUARES(ldp, 12, 13, 192) \
  LINNET_TWO_SQUARES(ldp, 14, 15, 224)

#define LINNET_LOAD(to, from, at) "ldr q" #to ", [" from ", #" #at "]\n"
#define LINNET_OF(instruction, to, a, b, size) instruction " v" #to ".4s, v" #a size ", v" #b size "\n"
#define LINNET_ZIP(first, last, a, b) LINNET_OF("zip1", first, a, b, ".4s") LINNET_OF("zip2", last, a, b, ".4s")
// Two rows at w times four registers of vectors.
#define LINNET_SMMLA(a, b, c, d, w, x, y, z, u) \
  LINNET_OF("smmla", a, w, x, ".16b")           \
  LINNET_OF("smmla", b, w, y, ".16b") LINNET_OF("smmla", c, w, z, ".16b") LINNET_OF("smmla", d, w, u, ".16b")
#define LINNET_ALL_SMMLA(x, y, z, u)         \
  LINNET_SMMLA(0, 1, 2, 3, 24, x, y, z, u)   \
  LINNET_SMMLA(4, 5, 6, 7, 25, x, y, z, u)   \
  LINNET_SMMLA(8, 9, 10, 11, 26, x, y, z, u) \
  LINNET_SMMLA(12, 13, 14, 15, 27, x, y, z, u)
#define LINNET_ALL_VECTORS                                                                                            \
  "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", \
      "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31"

// Adds the products of n blocks at v, four block rows apart, with their columns at j, and of as many at u and i.
template <class Index>
void add_8x4(const int8_t* v, const int8_t* u, const Index* j, const Index* i, uint32_t n, const int8_t* q,
             Squares* squares) {
#define LINNET_STEPS(LOAD, STEP) \
  __asm__ volatile(LINNET_ALL_SQUARES(ldp) "1:\n" LOAD " w8, [%[j]]\n" LOAD " w9, [%[i]]\n"                     \
                   "add %[j], %[j], #" STEP "\n" LINNET_LOAD(16, "%[v]", 0) LINNET_LOAD(18, "%[u]", 0)           \
                   "add %[i], %[i], #" STEP "\n"                                                                 \
                   "add x8, %[q], x8, lsl #5\n"                                                                  \
                   "add x9, %[q], x9, lsl #5\n" LINNET_LOAD(20, "x8", 0) LINNET_LOAD(22, "x9", 0)                \
                   LINNET_LOAD(17, "%[v]", 16) LINNET_LOAD(19, "%[u]", 16) LINNET_LOAD(21, "x8", 16)             \
                   LINNET_LOAD(23, "x9", 16)                                                                     \
                   "add %[v], %[v], #256\n"                                                                      \
                   "add %[u], %[u], #256\n"                                                                      \
                   "subs %w[n], %w[n], #1\n" LINNET_ZIP(24, 25, 16, 18) LINNET_ZIP(28, 29, 20, 22)               \
                   LINNET_ZIP(26, 27, 17, 19) LINNET_ZIP(30, 31, 21, 23) LINNET_ALL_SMMLA(28, 29, 30, 31)        \
                   "b.ne 1b\n" LINNET_ALL_SQUARES(stp)                                                           \
                   : [n] "+r"(n), [v] "+r"(v), [u] "+r"(u), [j] "+r"(j), [i] "+r"(i)                             \
                   : [q] "r"(q), [s] "r"(squares)                                                                \
                   : "x8", "x9", "cc", "memory", LINNET_ALL_VECTORS)
  if constexpr (sizeof(Index) == 1) {
    LINNET_STEPS("ldrb", "8");
  } else {
    LINNET_STEPS("ldrh", "16");
  }
}

template <class Index>
void multiply_all_8x4(const Matrix& w, const float* const* x, const float* bias, float* packed, float* const* y) {
  const Operands<kLanes> in(w, x, packed);
  const auto* values = static_cast<const int8_t*>(w.values);
  const auto* columns = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    const uint32_t pairs = quad->depth / 2;
    for (size_t k = 0; k < 4; ++k) {
      const int8_t* v = values + 32 * k;
      const Index* j = columns + k;
      Squares s;
      if (pairs != 0) add_8x4(v, v + 128, j, j + 4, pairs, in.q, &s);
      if (quad->depth % 2 != 0) {
        j += size_t{8} * pairs;
        add_8x4(v + size_t{256} * pairs, kNoWeights, j, j, 1, in.q, &s);
      }
      s.store(w, size_t{8} * quad->block_rows[k], in.steps, bias, y);
    }
    values += size_t{128} * quad->depth;
    columns += size_t{4} * quad->depth;
  }
}

// Adds the products of eight rows of 4 n columns at v, eight columns from the next, and of as many at u.
void add_dense(const int8_t* v, const int8_t* u, uint32_t n, const int8_t* q, Squares* squares) {
  __asm__ volatile(LINNET_ALL_SQUARES(ldp)
                   "1:\n"
                   "subs %w[n], %w[n], #1\n" LINNET_LOAD(16, "%[v]", 0) LINNET_LOAD(18, "%[u]", 0)
                   LINNET_LOAD(17, "%[v]", 16) LINNET_LOAD(19, "%[u]", 16) LINNET_LOAD(20, "%[q]", 0)
                   LINNET_LOAD(21, "%[q]", 16) LINNET_LOAD(22, "%[q]", 32) LINNET_LOAD(23, "%[q]", 48)
                   "add %[v], %[v], #128\n"
                   "add %[u], %[u], #128\n"
                   "add %[q], %[q], #64\n" LINNET_ZIP(24, 25, 16, 18) LINNET_ZIP(26, 27, 17, 19)
                   LINNET_ALL_SMMLA(20, 21, 22, 23)
                   "b.ne 1b\n" LINNET_ALL_SQUARES(stp)
                   : [n] "+r"(n), [v] "+r"(v), [u] "+r"(u), [q] "+r"(q)
                   : [s] "r"(squares)
                   : "cc", "memory", LINNET_ALL_VECTORS);
}

// Eight rows at a time.
void multiply_all_dense(const Matrix& w, const float* const* x, const float* bias, float* packed, float* const* y) {
  const Operands<kLanes, 8> in(w, x, packed);
  const auto* panel = static_cast<const int8_t*>(w.values);
  const size_t cols = w.padded_cols();
  const auto pairs = static_cast<uint32_t>(cols / 8);
  for (size_t row = 0; row < w.rows; row += 8) {
    const int8_t* v = panel + (row % 16 == 0 ? 0 : 32);
    Squares s;
    if (pairs != 0) add_dense(v, v + 64, pairs, in.q, &s);
    if (cols % 8 != 0) add_dense(v + size_t{128} * pairs, kNoWeights, 1, in.of_all(pairs), &s);
    s.store(w, row, in.steps, bias, y);
    if (row % 16 != 0) panel += 16 * cols;
  }
}

// Four vectors alone are left to dot products.
template <Multiply narrow, Multiply wide>
void by_eights(const Matrix& w, uint32_t n, const float* const* x, const float* bias, float* packed, float* const* y) {
  static_assert(kTogether == kLanes && kFewest == 4, "four or eight");
  if (n == kLanes) return (w.index_width == 2 ? wide : narrow)(w, x, bias, packed, y);
  Kernels lower;
  overlay_neon_dotprod_matvecs(&lower);
  lower.matvecs_for(w)(w, n, x, bias, packed, y);
}

}  // namespace

void overlay_neon_i8mm(Kernels* kernels) {
  auto& together = kernels->matvecs;
  together[Layout::dense][Dtype::int8] = by_eights<multiply_all_dense, multiply_all_dense>;
  together[Layout::block_8x4][Dtype::int8] = by_eights<multiply_all_8x4<uint8_t>, multiply_all_8x4<uint16_t>>;
}

}  // namespace linnet

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
