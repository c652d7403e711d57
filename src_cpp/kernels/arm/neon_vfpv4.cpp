// NEON with VFPv4 on 32-bit Arm (Cortex-A7, A15 and later): 128-bit registers. Long, because one file holds all that
// is compiled for these instructions.
//
// This NEON flushes subnormal operands and results to zero, which the arithmetic contract forbids; but it says so.
// "Advanced SIMD instructions set each cumulative exception bit if the corresponding exception occurs" (Arm
// Architecture Reference Manual, ARMv7-A, FPSCR): a flushed operand sets IDC, a flushed result UFC. So every kernel
// runs with these bits cleared, and where one of them is set afterwards, the portable kernel (VFP, which keeps
// subnormals) computes it again.
#include "kernels/sets.h"

#if defined(LINNET_NEON_VFPV4)

#include <math.h>
#include <string.h>

#include "kernels/arithmetic.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("neon,vfp4,fp16"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("fpu=neon-vfpv4")
#endif

// Keeps arithmetic from moving across a look at the flags.
#define LINNET_APART __attribute__((noinline))

#include <arm_neon.h>  // within the region: GCC's offers only what the region has

#include "kernels/functions.h"

#include "kernels/arm/neon_common.h"

#include "kernels/arm/int8_products.h"

namespace linnet {
namespace {

inline void clear_flags() { __asm__ volatile("vmsr fpscr, %0" : : "r"(0) : "memory"); }

inline bool flushed() {
  constexpr uint32_t kUnderflow = 1u << 3, kInputDenormal = 1u << 7;
  uint32_t fpscr;
  __asm__ volatile("vmrs %0, fpscr" : "=r"(fpscr) : : "memory");
  return (fpscr & (kUnderflow | kInputDenormal)) != 0;
}

inline Kernels portable() {
  Kernels kernels;
  overlay_portable(&kernels);
  return kernels;
}

// Two block rows of a quad at a time: there are 16 registers. A register holds one row of a block.
template <class W, class Index>
LINNET_APART void matvec_4x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    for (size_t half = 0; half < 4; half += 2) {
      const auto* u = v + 16 * half;
      const Index* i = j + half;
      F16 a = zero16(), b = zero16();
      for (uint32_t n = quad->depth; n != 0; --n, i += 4, u += 64) {
        a = fma16(W::load16(u), four_times(x + 4 * size_t{i[0]}), a);
        b = fma16(W::load16(u + 16), four_times(x + 4 * size_t{i[1]}), b);
      }
      store_rows4(w, size_t{4} * quad->block_rows[half], sums_of_4(a), bias, y);
      store_rows4(w, size_t{4} * quad->block_rows[half + 1], sums_of_4(b), bias, y);
    }
    v += size_t{64} * quad->depth;
    j += size_t{4} * quad->depth;
  }
}

// One block row at a time.
template <class W, class Index>
LINNET_APART void matvec_8x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    for (size_t q = 0; q < 4; ++q) {
      const auto* u = v + 32 * q;
      const Index* i = j + q;
      F16 a = zero16(), b = zero16();
      for (uint32_t n = quad->depth; n != 0; --n, i += 4, u += 128) {
        const F16 piece = four_times(x + 4 * size_t{i[0]});
        a = fma16(W::load16(u), piece, a);
        b = fma16(W::load16(u + 16), piece, b);
      }
      store_rows4(w, size_t{8} * quad->block_rows[q], sums_of_4(a), bias, y);
      store_rows4(w, size_t{8} * quad->block_rows[q] + 4, sums_of_4(b), bias, y);
    }
    v += size_t{128} * quad->depth;
    j += size_t{4} * quad->depth;
  }
}

template <class W, class Index>
LINNET_APART void matvec_16x1(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    for (size_t half = 0; half < 4; half += 2) {
      const auto* u = v + 16 * half;
      const Index* i = j + half;
      F16 a = zero16(), b = zero16();
      for (uint32_t n = quad->depth; n != 0; --n, i += 4, u += 64) {
        a = fma16(W::load16(u), x[i[0]], a);
        b = fma16(W::load16(u + 16), x[i[1]], b);
      }
      store_rows16(w, size_t{16} * quad->block_rows[half], a, bias, y);
      store_rows16(w, size_t{16} * quad->block_rows[half + 1], b, bias, y);
    }
    v += size_t{64} * quad->depth;
    j += size_t{4} * quad->depth;
  }
}

template <class W, class Index>
LINNET_APART void matvec_1x16(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    F4 sums[4];
    for (size_t half = 0; half < 4; half += 2) {
      const auto* u = v + 16 * half;
      const Index* i = j + half;
      F16 a = zero16(), b = zero16();
      for (uint32_t n = quad->depth; n != 0; --n, i += 4, u += 64) {
        a = fma16(W::load16(u), load16(x + 16 * size_t{i[0]}), a);
        b = fma16(W::load16(u + 16), load16(x + 16 * size_t{i[1]}), b);
      }
      sums[half] = quarters(a);
      sums[half + 1] = quarters(b);
    }
    store_quad(w, *quad, sums_of_4({sums[0], sums[1], sums[2], sums[3]}), bias, y);
    v += size_t{64} * quad->depth;
    j += size_t{4} * quad->depth;
  }
}

// What is computed between two looks at the flags.
constexpr uint32_t kTile = 64;

LINNET_APART void try_activate(uint32_t n, Activation activation, const float* add, float* y) {
  activate<Neon>(n, activation, add, y);
}

void activate_in_tiles(uint32_t n, Activation activation, const float* add, float* y) {
  for (uint32_t i = 0; i < n; i += kTile) {
    const uint32_t size = n - i < kTile ? n - i : kTile;
    const float* a = add ? add + i : nullptr;
    float out[kTile];
    memcpy(out, y + i, size * sizeof *out);
    clear_flags();
    try_activate(size, activation, a, out);
    if (flushed()) {
      portable().activate(size, activation, a, y + i);
    } else {
      memcpy(y + i, out, size * sizeof *out);
    }
  }
}

LINNET_APART void try_gates(uint32_t units, uint32_t stride, const float* recurrent, const float* input, float* state) {
  gates<Neon>(units, stride, recurrent, input, state);
}

void gates_in_tiles(uint32_t units, uint32_t stride, const float* recurrent, const float* input, float* state) {
  for (uint32_t i = 0; i < units; i += kTile) {
    const uint32_t size = units - i < kTile ? units - i : kTile;
    float out[kTile];
    memcpy(out, state + i, size * sizeof *out);
    clear_flags();
    try_gates(size, stride, recurrent + i, input + i, out);
    if (flushed()) {
      portable().gates(size, stride, recurrent + i, input + i, state + i);
    } else {
      memcpy(state + i, out, size * sizeof *out);
    }
  }
}

LINNET_APART float try_exponentials(uint32_t n, float inverse_temperature, const float* logits, float* e,
                                    float* groups) {
  return exponentials<Neon>(n, inverse_temperature, logits, e, groups);
}

float exponentials_or_portable(uint32_t n, float inverse_temperature, const float* logits, float* e, float* groups) {
  clear_flags();
  const float greatest = try_exponentials(n, inverse_temperature, logits, e, groups);
  return flushed() ? portable().exponentials(n, inverse_temperature, logits, e, groups) : greatest;
}

LINNET_APART void try_upsample(uint32_t n_rows, uint32_t window, uint32_t channels, const float* weights,
                               const float* in, uint32_t row_stride, float* out) {
  upsample<Neon>(n_rows, window, channels, weights, in, row_stride, out);
}

void upsample_or_portable(uint32_t n_rows, uint32_t window, uint32_t channels, const float* weights, const float* in,
                          uint32_t row_stride, float* out) {
  clear_flags();
  try_upsample(n_rows, window, channels, weights, in, row_stride, out);
  if (flushed()) portable().upsample(n_rows, window, channels, weights, in, row_stride, out);
}

LINNET_APART void try_harmonics(uint32_t n, uint32_t count, const float* cosine, const float* sine, const float* at,
                                const float* parts, uint32_t stride, float* out) {
  harmonics<Neon>(n, count, cosine, sine, at, parts, stride, out);
}

// One by one, without vectors: nothing is flushed. A fused multiply-add is a call without this set's instructions.
__attribute__((flatten)) void corrections_one_by_one(uint32_t n, const Correction& c, const float* features,
                                                     float* bands) {
  for (uint32_t i = 0; i < n; ++i) bands[i] = correction_of(c, features[i], bands[i]);
}

void harmonics_or_portable(uint32_t n, uint32_t count, const float* cosine, const float* sine, const float* at,
                           const float* parts, uint32_t stride, float* out) {
  float sums[kMostHarmonicSamples];
  memcpy(sums, out, n * sizeof *sums);
  clear_flags();
  try_harmonics(n, count, cosine, sine, at, parts, stride, sums);
  if (flushed()) {
    portable().harmonics(n, count, cosine, sine, at, parts, stride, out);
  } else {
    memcpy(out, sums, n * sizeof *sums);
  }
}

// A product, with the narrow or the wide column indices.
template <MatvecFn narrow, MatvecFn wide>
void matvec_or_portable(const Matrix& w, const float* x, const float* bias, float* y) {
  clear_flags();
  (w.index_width == 2 ? wide : narrow)(w, x, bias, y);
  if (flushed()) portable().matvec_for(w)(w, x, bias, y);
}

template <class W>
void overlay(Dtype dtype, Kernels* kernels) {
  auto& matvec = kernels->matvec;
  matvec[Layout::dense][dtype] = matvec_or_portable<matvec_dense<W>, matvec_dense<W>>;
  matvec[Layout::block_4x4][dtype] = matvec_or_portable<matvec_4x4<W, uint8_t>, matvec_4x4<W, uint16_t>>;
  matvec[Layout::block_8x4][dtype] = matvec_or_portable<matvec_8x4<W, uint8_t>, matvec_8x4<W, uint16_t>>;
  matvec[Layout::block_16x1][dtype] = matvec_or_portable<matvec_16x1<W, uint8_t>, matvec_16x1<W, uint16_t>>;
  matvec[Layout::block_1x16][dtype] = matvec_or_portable<matvec_1x16<W, uint8_t>, matvec_1x16<W, uint16_t>>;
  matvec[Layout::block_1x4][dtype] = matvec_or_portable<matvec_1x4<W, uint8_t>, matvec_1x4<W, uint16_t>>;
  kernels->stream_limit[dtype] = stream_limit<W>;
}

void overlay_int8(Kernels* kernels) {
  auto& matvec = kernels->matvec;
  matvec[Layout::dense][Dtype::int8] = matvec_or_portable<int8_dense<Mull>, int8_dense<Mull>>;
  matvec[Layout::block_4x4][Dtype::int8] = matvec_or_portable<int8_4x4<Mull, uint8_t>, int8_4x4<Mull, uint16_t>>;
  matvec[Layout::block_8x4][Dtype::int8] = matvec_or_portable<int8_8x4<Mull, uint8_t>, int8_8x4<Mull, uint16_t>>;
  matvec[Layout::block_1x16][Dtype::int8] = matvec_or_portable<int8_1x16<Mull, uint8_t>, int8_1x16<Mull, uint16_t>>;
  kernels->stream_limit[Dtype::int8] = int8_stream_limit<Mull>;
}

}  // namespace

void overlay_neon_vfpv4(Kernels* kernels) {
  overlay<Fp16>(Dtype::fp16, kernels);
  overlay<Bf16>(Dtype::bf16, kernels);
  overlay<Fp32>(Dtype::fp32, kernels);
  overlay_int8(kernels);
  kernels->activate = activate_in_tiles;
  kernels->gates = gates_in_tiles;
  kernels->exponentials = exponentials_or_portable;
  kernels->upsample = upsample_or_portable;
  kernels->harmonics = harmonics_or_portable;
  kernels->corrections = corrections_one_by_one;
}

}  // namespace linnet

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
