// NEON with Armv8.2's dot products (FEAT_DotProd): products of int8 matrices with four vectors together.
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

#include "kernels/arm/int8_together.h"

namespace linnet {
namespace {

// An element of a register holds what meets a block in each of the products.
constexpr size_t kLanes = 4;

template <int lane>
inline void dot_lane(B16 w, B16 x, S4* sums) {
  __asm__("sdot %0.4s, %1.16b, %2.4b[%c3]" : "+w"(*sums) : "w"(w), "w"(x), "i"(lane));
}

struct GroupSums {
  S4 a, b, c, d;

  GroupSums() : a(vdupq_n_s32(0)), b(a), c(a), d(a) {}
  void add(B16 w, B16 x) {
    dot_lane<0>(w, x, &a);
    dot_lane<1>(w, x, &b);
    dot_lane<2>(w, x, &c);
    dot_lane<3>(w, x, &d);
  }
  void store(const Matrix& w, size_t row, const Operands<kLanes>& in, const float* bias, float* const* y) const {
    scale_rows4(w, row, a, in.steps[0], bias, y[0]);
    scale_rows4(w, row, b, in.steps[1], bias, y[1]);
    scale_rows4(w, row, c, in.steps[2], bias, y[2]);
    scale_rows4(w, row, d, in.steps[3], bias, y[3]);
  }
};

#define LINNET_WEIGHTS(weights, at) "ldr q" #weights ", [%[v], #" #at "]\n"
#define LINNET_PIECE(piece, column) "ldr q" #piece ", [%[q], " column ", lsl #4]\n"
#define LINNET_NEXT_PIECE(piece, at) "ldr q" #piece ", [%[j], #" #at "]\n"
#define LINNET_COLUMN(to, from, at, bits) "ubfx " to ", " from ", #" at ", #" bits "\n"
#define LINNET_ADVANCE(pointer, by) "add %[" #pointer "], %[" #pointer "], #" #by "\n"
#define LINNET_LOAD_COLUMNS(LOAD, second, by) \
  LOAD " w8, [%[j]]\n" LOAD " w9, [%[j], #" #second "]\n" LINNET_ADVANCE(j, by)
#define LINNET_SDOT(sums, weights, piece, lane) "sdot %[" #sums "].4s, v" #weights ".16b, v" #piece ".4b[" #lane "]\n"
#define LINNET_SDOTS(a, b, c, d, weights, piece) \
  LINNET_SDOT(a, weights, piece, 0)              \
  LINNET_SDOT(b, weights, piece, 1) LINNET_SDOT(c, weights, piece, 2) LINNET_SDOT(d, weights, piece, 3)

// Two steps of two of the quad's block rows of 4x4. The loads come first: by llvm-mca's models a Cortex-A510 takes 1.1
// cycles per 16 weights and vector, a Cortex-A55 2.1 (a block at a time in gcc's order: 3.0 and 4.8).
#define LINNET_TWO_STEPS_4X4(LOAD, BITS)                                                                       \
  "1:\n" LOAD "subs %w[n], %w[n], #2\n" LINNET_WEIGHTS(16, 0) LINNET_WEIGHTS(17, 16)                           \
      LINNET_COLUMN("x10", "x8", "0", BITS) LINNET_COLUMN("x11", "x8", BITS, BITS) LINNET_PIECE(20, "x10")     \
          LINNET_PIECE(21, "x11") LINNET_COLUMN("x12", "x9", "0", BITS) LINNET_COLUMN("x13", "x9", BITS, BITS) \
              LINNET_WEIGHTS(18, 64) LINNET_PIECE(22, "x12") LINNET_WEIGHTS(19, 80) LINNET_PIECE(23, "x13")    \
                  LINNET_ADVANCE(v, 128) LINNET_SDOTS(a, b, c, d, 16, 20) LINNET_SDOTS(e, f, g, h, 17, 21)     \
                      LINNET_SDOTS(a, b, c, d, 18, 22) LINNET_SDOTS(e, f, g, h, 19, 23) "b.ne 1b\n"

// Two steps of one block row of 8x4.
#define LINNET_TWO_STEPS_8X4(LOAD)                                                                           \
  "1:\n" LOAD "subs %w[n], %w[n], #2\n" LINNET_WEIGHTS(16, 0) LINNET_WEIGHTS(17, 16) LINNET_PIECE(20, "x8")  \
      LINNET_PIECE(21, "x9") LINNET_WEIGHTS(18, 128) LINNET_WEIGHTS(19, 144) LINNET_ADVANCE(v, 256)          \
          LINNET_SDOTS(a, b, c, d, 16, 20) LINNET_SDOTS(e, f, g, h, 17, 20) LINNET_SDOTS(a, b, c, d, 18, 21) \
              LINNET_SDOTS(e, f, g, h, 19, 21) "b.ne 1b\n"

// Two steps of eight rows of a panel, whose pieces follow each other at j.
#define LINNET_TWO_STEPS_DENSE \
  "1:\n" LINNET_WEIGHTS(16, 0) LINNET_WEIGHTS(17, 16) LINNET_NEXT_PIECE(20, 0) LINNET_NEXT_PIECE(21, 16)     \
      LINNET_ADVANCE(j, 32) LINNET_WEIGHTS(18, 64) LINNET_WEIGHTS(19, 80) LINNET_ADVANCE(v, 128)             \
          LINNET_SDOTS(a, b, c, d, 16, 20) LINNET_SDOTS(e, f, g, h, 17, 20) LINNET_SDOTS(a, b, c, d, 18, 21) \
              LINNET_SDOTS(e, f, g, h, 19, 21) "subs %w[n], %w[n], #2\n" "b.ne 1b\n"

#define LINNET_CLOBBERED \
  "x8", "x9", "x10", "x11", "x12", "x13", "cc", "memory", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23"
#define LINNET_SUMS(s, t)                                                                                  \
  [a] "+w"(s.a), [b] "+w"(s.b), [c] "+w"(s.c), [d] "+w"(s.d), [e] "+w"(t.a), [f] "+w"(t.b), [g] "+w"(t.c), \
      [h] "+w"(t.d), [n] "+r"(n), [v] "+r"(v), [j] "+r"(j)

template <class Index>
void multiply_4x4(const Matrix& w, const float* const* x, const float* bias, float* packed, float* const* y) {
  const Operands<kLanes> in(w, x, packed);
  const auto* values = static_cast<const int8_t*>(w.values);
  const auto* columns = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    for (size_t k = 0; k < 4; k += 2) {
      const int8_t* v = values + 16 * k;
      const Index* j = columns + k;
      GroupSums s, t;
      if (uint32_t n = quad->depth & ~1u; n != 0) {
        if constexpr (sizeof(Index) == 1) {
          __asm__ volatile(LINNET_TWO_STEPS_4X4(LINNET_LOAD_COLUMNS("ldrh", 4, 8), "8")
                           : LINNET_SUMS(s, t)
                           : [q] "r"(in.q)
                           : LINNET_CLOBBERED);
        } else {
          __asm__ volatile(LINNET_TWO_STEPS_4X4(LINNET_LOAD_COLUMNS("ldr", 8, 16), "16")
                           : LINNET_SUMS(s, t)
                           : [q] "r"(in.q)
                           : LINNET_CLOBBERED);
        }
      }
      if (quad->depth % 2 != 0) {
        s.add(vld1q_s8(v), vld1q_s8(in.of_all(j[0])));
        t.add(vld1q_s8(v + 16), vld1q_s8(in.of_all(j[1])));
      }
      s.store(w, size_t{4} * quad->block_rows[k], in, bias, y);
      t.store(w, size_t{4} * quad->block_rows[k + 1], in, bias, y);
    }
    values += size_t{64} * quad->depth;
    columns += size_t{4} * quad->depth;
  }
}

template <class Index>
void multiply_8x4(const Matrix& w, const float* const* x, const float* bias, float* packed, float* const* y) {
  const Operands<kLanes> in(w, x, packed);
  const auto* values = static_cast<const int8_t*>(w.values);
  const auto* columns = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    for (size_t k = 0; k < 4; ++k) {
      const int8_t* v = values + 32 * k;
      const Index* j = columns + k;
      GroupSums s, t;
      if (uint32_t n = quad->depth & ~1u; n != 0) {
        if constexpr (sizeof(Index) == 1) {
          __asm__ volatile(LINNET_TWO_STEPS_8X4(LINNET_LOAD_COLUMNS("ldrb", 4, 8))
                           : LINNET_SUMS(s, t)
                           : [q] "r"(in.q)
                           : LINNET_CLOBBERED);
        } else {
          __asm__ volatile(LINNET_TWO_STEPS_8X4(LINNET_LOAD_COLUMNS("ldrh", 8, 16))
                           : LINNET_SUMS(s, t)
                           : [q] "r"(in.q)
                           : LINNET_CLOBBERED);
        }
      }
      if (quad->depth % 2 != 0) {
        const B16 piece = vld1q_s8(in.of_all(*j));
        s.add(vld1q_s8(v), piece);
        t.add(vld1q_s8(v + 16), piece);
      }
      s.store(w, size_t{8} * quad->block_rows[k], in, bias, y);
      t.store(w, size_t{8} * quad->block_rows[k] + 4, in, bias, y);
    }
    values += size_t{128} * quad->depth;
    columns += size_t{4} * quad->depth;
  }
}

// Eight rows at a time.
void multiply_dense(const Matrix& w, const float* const* x, const float* bias, float* packed, float* const* y) {
  const Operands<kLanes> in(w, x, packed);
  const auto* panel = static_cast<const int8_t*>(w.values);
  const size_t cols = w.padded_cols();
  for (size_t row = 0; row < w.rows; row += 8) {
    const int8_t* v = panel + (row % 16 == 0 ? 0 : 32);
    const int8_t* j = in.q;
    GroupSums s, t;
    if (uint32_t n = static_cast<uint32_t>(cols / 8) * 2; n != 0)
      __asm__ volatile(LINNET_TWO_STEPS_DENSE : LINNET_SUMS(s, t) : : LINNET_CLOBBERED);
    if (cols % 8 != 0) {
      const B16 piece = vld1q_s8(j);
      s.add(vld1q_s8(v), piece);
      t.add(vld1q_s8(v + 16), piece);
    }
    s.store(w, row, in, bias, y);
    t.store(w, row + 4, in, bias, y);
    if (row % 16 != 0) panel += 16 * cols;
  }
}

}  // namespace

void overlay_neon_dotprod_matvecs(Kernels* kernels) {
  auto& together = kernels->matvecs;
  together[Layout::dense][Dtype::int8] = in_groups<kLanes, multiply_dense, multiply_dense>;
  together[Layout::block_4x4][Dtype::int8] = in_groups<kLanes, multiply_4x4<uint8_t>, multiply_4x4<uint16_t>>;
  together[Layout::block_8x4][Dtype::int8] = in_groups<kLanes, multiply_8x4<uint8_t>, multiply_8x4<uint16_t>>;
}

}  // namespace linnet

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
