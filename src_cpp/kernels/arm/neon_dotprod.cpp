// NEON with Armv8.2's dot products (FEAT_DotProd, most phones since 2019): products of int8 matrices. sdot adds the
// products of four rows' four columns with four bytes of the operand, which stand in one element of a register.
//
// The loops over quads are written out, because compilers order them badly for cores that issue in order: four columns
// or eight are loaded at once, and each load stands some instructions before what needs it. By llvm-mca's models,
// cycles per 16 weights of 4x4 blocks: Cortex-A55 3.5, Cortex-A510 3.3, Neoverse N1 1.3 (gcc's order of the same:
// 9, 7.3 and 1.5).
#include "kernels/sets.h"

#if defined(LINNET_DOTPROD)

#include <arm_neon.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif

#include "kernels/functions.h"

#include "kernels/arm/neon_common.h"

#include "kernels/arm/int8_products.h"

namespace linnet {
namespace {

// The instruction itself: clang before 16 has the intrinsic only where its baseline has it.
inline void dot(B16 w, B16 x, S4* sums) { __asm__("sdot %0.4s, %1.16b, %2.16b" : "+w"(*sums) : "w"(w), "w"(x)); }

struct Sdot {
  using Sums = S4;
  static Sums none() { return vdupq_n_s32(0); }
  static void add(B16 w, B16 x, Sums* sums) { dot(w, x, sums); }
  static void add_two(B16 w, B16 x, B16 u, B16 z, Sums* sums) {
    dot(w, x, sums);
    dot(u, z, sums);
  }
  static S4 total(Sums sums) { return sums; }
};

// Columns of one step or two, in x8 or x8 and x9; COLUMN(k) puts one of them in a register of its own.
#define LINNET_LOAD_STEPS_8 "ldr x8, [%[j]], #8\n"
#define LINNET_LOAD_STEPS_16 "ldp x8, x9, [%[j]], #16\n"
#define LINNET_LOAD_STEP_8 "ldr w8, [%[j]], #4\n"
#define LINNET_LOAD_STEP_16 "ldr x8, [%[j]], #8\n"
#define LINNET_COLUMN_8(to, k) "ubfx " to ", x8, #8*" #k ", #8\n"
#define LINNET_COLUMN_16(to, k) "ubfx " to ", x8, #16*" #k ", #16\n"
#define LINNET_COLUMN_16_9(to, k) "ubfx " to ", x9, #16*" #k ", #16\n"
#define LINNET_PIECE(piece, column) "ldr s" #piece ", [%[q], " column ", lsl #2]\n"
#define LINNET_WEIGHTS(weights, at) "ldr q" #weights ", [%[v], #" #at "]\n"
#define LINNET_SDOT(sums, weights, piece) "sdot %[" #sums "].4s, v" #weights ".16b, v" #piece ".4b[0]\n"

// Two steps of 4x4 blocks: weights in v16 .. v23, pieces in v24 .. v31.
#define LINNET_TWO_STEPS_4X4(LOAD, COLUMN, COLUMN_OF_SECOND, k4, k5, k6, k7) \
  "1:\n" LOAD "subs %w[n], %w[n], #2\n" LINNET_WEIGHTS(16, 0) COLUMN("x10", 0) COLUMN("x11", 1)                \
  LINNET_PIECE(24, "x10") COLUMN("x12", 2) LINNET_WEIGHTS(17, 16)                                              \
  LINNET_PIECE(25, "x11") COLUMN("x13", 3) LINNET_WEIGHTS(18, 32)                                              \
  LINNET_PIECE(26, "x12") COLUMN_OF_SECOND("x10", k4) LINNET_WEIGHTS(19, 48) LINNET_SDOT(a, 16, 24)            \
  LINNET_PIECE(27, "x13") COLUMN_OF_SECOND("x11", k5) LINNET_WEIGHTS(20, 64) LINNET_SDOT(b, 17, 25)            \
  LINNET_PIECE(28, "x10") COLUMN_OF_SECOND("x12", k6) LINNET_WEIGHTS(21, 80) LINNET_SDOT(c, 18, 26)            \
  LINNET_PIECE(29, "x11") COLUMN_OF_SECOND("x13", k7) LINNET_WEIGHTS(22, 96) LINNET_SDOT(d, 19, 27)            \
  LINNET_PIECE(30, "x12") LINNET_WEIGHTS(23, 112) LINNET_SDOT(a, 20, 28)                                       \
  LINNET_PIECE(31, "x13") LINNET_SDOT(b, 21, 29) LINNET_SDOT(c, 22, 30) LINNET_SDOT(d, 23, 31)                 \
  "add %[v], %[v], #128\n"                                                                                     \
  "b.ne 1b\n"

// One step of 8x4 blocks: weights in v16 .. v23, pieces in v24 .. v27.
#define LINNET_STEP_8X4(LOAD, COLUMN) \
  "1:\n" LOAD "subs %w[n], %w[n], #1\n" LINNET_WEIGHTS(16, 0) COLUMN("x10", 0) COLUMN("x11", 1)                \
  LINNET_WEIGHTS(17, 16) LINNET_PIECE(24, "x10") COLUMN("x12", 2) LINNET_WEIGHTS(18, 32)                       \
  LINNET_WEIGHTS(19, 48) LINNET_PIECE(25, "x11") COLUMN("x13", 3) LINNET_WEIGHTS(20, 64) LINNET_SDOT(a, 16, 24) \
  LINNET_WEIGHTS(21, 80) LINNET_SDOT(b, 17, 24) LINNET_PIECE(26, "x12") LINNET_WEIGHTS(22, 96)                 \
  LINNET_SDOT(c, 18, 25) LINNET_WEIGHTS(23, 112) LINNET_SDOT(d, 19, 25) LINNET_PIECE(27, "x13")                \
  LINNET_SDOT(e, 20, 26) LINNET_SDOT(f, 21, 26) LINNET_SDOT(g, 22, 27) LINNET_SDOT(h, 23, 27)                  \
  "add %[v], %[v], #128\n"                                                                                     \
  "b.ne 1b\n"

#define LINNET_VECTORS "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27"
#define LINNET_CLOBBERED "x8", "x9", "x10", "x11", "x12", "x13", "cc", "memory", LINNET_VECTORS

template <class Index>
void matvec_4x4(const Matrix& w, const float* x, const float* bias, float* y) {
  int8_t q[kMostInt8Columns];
  const float step = quantise(w, x, q);
  const auto* v = static_cast<const int8_t*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    S4 a = Sdot::none(), b = a, c = a, d = a;
    if (quad->depth >= 2) {
      uint32_t n = quad->depth & ~1u;
      if constexpr (sizeof(Index) == 1) {
        __asm__ volatile(LINNET_TWO_STEPS_4X4(LINNET_LOAD_STEPS_8, LINNET_COLUMN_8, LINNET_COLUMN_8, 4, 5, 6, 7)
                         : [a] "+w"(a), [b] "+w"(b), [c] "+w"(c), [d] "+w"(d), [n] "+r"(n), [v] "+r"(v), [j] "+r"(j)
                         : [q] "r"(q)
                         : LINNET_CLOBBERED, "v28", "v29", "v30", "v31");
      } else {
        __asm__ volatile(LINNET_TWO_STEPS_4X4(LINNET_LOAD_STEPS_16, LINNET_COLUMN_16, LINNET_COLUMN_16_9, 0, 1, 2, 3)
                         : [a] "+w"(a), [b] "+w"(b), [c] "+w"(c), [d] "+w"(d), [n] "+r"(n), [v] "+r"(v), [j] "+r"(j)
                         : [q] "r"(q)
                         : LINNET_CLOBBERED, "v28", "v29", "v30", "v31");
      }
    }
    if (quad->depth % 2 != 0) {
      dot(vld1q_s8(v), four_bytes(q + 4 * size_t{j[0]}), &a);
      dot(vld1q_s8(v + 16), four_bytes(q + 4 * size_t{j[1]}), &b);
      dot(vld1q_s8(v + 32), four_bytes(q + 4 * size_t{j[2]}), &c);
      dot(vld1q_s8(v + 48), four_bytes(q + 4 * size_t{j[3]}), &d);
      v += 64;
      j += 4;
    }
    scale_rows4(w, size_t{4} * quad->block_rows[0], a, step, bias, y);
    scale_rows4(w, size_t{4} * quad->block_rows[1], b, step, bias, y);
    scale_rows4(w, size_t{4} * quad->block_rows[2], c, step, bias, y);
    scale_rows4(w, size_t{4} * quad->block_rows[3], d, step, bias, y);
  }
}

template <class Index>
void matvec_8x4(const Matrix& w, const float* x, const float* bias, float* y) {
  int8_t q[kMostInt8Columns];
  const float step = quantise(w, x, q);
  const auto* v = static_cast<const int8_t*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    S4 a = Sdot::none(), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
    uint32_t n = quad->depth;
    if (n != 0) {
      if constexpr (sizeof(Index) == 1) {
        __asm__ volatile(LINNET_STEP_8X4(LINNET_LOAD_STEP_8, LINNET_COLUMN_8)
                         : [a] "+w"(a), [b] "+w"(b), [c] "+w"(c), [d] "+w"(d), [e] "+w"(e), [f] "+w"(f), [g] "+w"(g),
                           [h] "+w"(h), [n] "+r"(n), [v] "+r"(v), [j] "+r"(j)
                         : [q] "r"(q)
                         : LINNET_CLOBBERED);
      } else {
        __asm__ volatile(LINNET_STEP_8X4(LINNET_LOAD_STEP_16, LINNET_COLUMN_16)
                         : [a] "+w"(a), [b] "+w"(b), [c] "+w"(c), [d] "+w"(d), [e] "+w"(e), [f] "+w"(f), [g] "+w"(g),
                           [h] "+w"(h), [n] "+r"(n), [v] "+r"(v), [j] "+r"(j)
                         : [q] "r"(q)
                         : LINNET_CLOBBERED);
      }
    }
    const S4 sums[4][2] = {{a, b}, {c, d}, {e, f}, {g, h}};
    for (size_t k = 0; k < 4; ++k) {
      scale_rows4(w, size_t{8} * quad->block_rows[k], sums[k][0], step, bias, y);
      scale_rows4(w, size_t{8} * quad->block_rows[k] + 4, sums[k][1], step, bias, y);
    }
  }
}

}  // namespace

void overlay_neon_dotprod(Kernels* kernels) {
  auto& matvec = kernels->matvec;
  matvec[Layout::dense][Dtype::int8] = int8_dense<Sdot>;
  matvec[Layout::block_4x4][Dtype::int8] = by_index_width<matvec_4x4<uint8_t>, matvec_4x4<uint16_t>>;
  matvec[Layout::block_8x4][Dtype::int8] = by_index_width<matvec_8x4<uint8_t>, matvec_8x4<uint16_t>>;
  matvec[Layout::block_1x16][Dtype::int8] = by_index_width<int8_1x16<Sdot, uint8_t>, int8_1x16<Sdot, uint16_t>>;
  kernels->stream_limit[Dtype::int8] = int8_stream_limit<Sdot>;
  overlay_neon_dotprod_matvecs(kernels);
}

}  // namespace linnet

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
