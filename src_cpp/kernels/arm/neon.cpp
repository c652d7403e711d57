// NEON on AArch64 (Armv8.0, which every AArch64 CPU has): 128-bit registers.
#include "kernels/sets.h"

#if defined(__aarch64__) || defined(_M_ARM64)

#include <arm_neon.h>

#include "kernels/functions.h"
#include "kernels/arm/neon_common.h"

namespace linnet {
namespace {

// Makes the compiler finish these sums before it loads anything else from v. GCC would load and widen a whole step first and then spill
// sums: 7.3 cycles per 16 weights (fp16, 4x4) instead of 6.3 by llvm-mca's model of the Neoverse N1.
template <class T>
inline void load_after(const T*& v, F16& sums) {
#if defined(__GNUC__)
  __asm__("" : "+r"(v), "+w"(sums.a), "+w"(sums.b), "+w"(sums.c), "+w"(sums.d));
#endif
}

// fp16 times 2^-112, which is exact (subnormals become subnormals) and on big cores cheaper than a conversion: the 15
// bits of the magnitude move to those of an fp32 whose exponent is biased by 127 where that of an fp16 is biased by 15.
// With x 2^112 in place of x, every product is the same number.
struct ScaledFp16 {
  using Stored = uint16_t;
  static F4 place(int32x4_t shifted) {
    return vreinterpretq_f32_s32(vandq_s32(shifted, vdupq_n_s32(static_cast<int32_t>(0x8fffe000u))));
  }
  static F4 load4(const Stored* p) { return place(vshll_n_s16(vreinterpret_s16_u16(vld1_u16(p)), 13)); }
  static F16 load16(const Stored* p) {
    const int16x8_t low = vreinterpretq_s16_u16(vld1q_u16(p)), high = vreinterpretq_s16_u16(vld1q_u16(p + 8));
    return {place(vshll_n_s16(vget_low_s16(low), 13)), place(vshll_high_n_s16(low, 13)),
            place(vshll_n_s16(vget_low_s16(high), 13)), place(vshll_high_n_s16(high, 13))};
  }
};

// A register holds one row of a block.
template <class W, class Index>
void matvec_4x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    F16 a = zero16(), b = zero16(), c = zero16(), d = zero16();
    for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 64) {
      a = fma16(W::load16(v), four_times(x + 4 * size_t{j[0]}), a);
      b = fma16(W::load16(v + 16), four_times(x + 4 * size_t{j[1]}), b);
      load_after(v, b);
      c = fma16(W::load16(v + 32), four_times(x + 4 * size_t{j[2]}), c);
      d = fma16(W::load16(v + 48), four_times(x + 4 * size_t{j[3]}), d);
    }
    store_rows4(w, size_t{4} * quad->block_rows[0], sums_of_4(a), bias, y);
    store_rows4(w, size_t{4} * quad->block_rows[1], sums_of_4(b), bias, y);
    store_rows4(w, size_t{4} * quad->block_rows[2], sums_of_4(c), bias, y);
    store_rows4(w, size_t{4} * quad->block_rows[3], sums_of_4(d), bias, y);
  }
}

// Two block rows of the quad at a time. One load of x serves thirty-two weights.
template <class W, class Index>
void matvec_8x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    for (size_t half = 0; half < 4; half += 2) {
      const auto* u = v + 32 * half;
      const Index* i = j + half;
      F16 a = zero16(), b = zero16(), c = zero16(), d = zero16();
      for (uint32_t n = quad->depth; n != 0; --n, i += 4, u += 128) {
        const F16 first = four_times(x + 4 * size_t{i[0]}), second = four_times(x + 4 * size_t{i[1]});
        a = fma16(W::load16(u), first, a);
        b = fma16(W::load16(u + 16), first, b);
        load_after(u, b);
        c = fma16(W::load16(u + 32), second, c);
        d = fma16(W::load16(u + 48), second, d);
      }
      const size_t row = size_t{8} * quad->block_rows[half], next = size_t{8} * quad->block_rows[half + 1];
      store_rows4(w, row, sums_of_4(a), bias, y);
      store_rows4(w, row + 4, sums_of_4(b), bias, y);
      store_rows4(w, next, sums_of_4(c), bias, y);
      store_rows4(w, next + 4, sums_of_4(d), bias, y);
    }
    v += size_t{128} * quad->depth;
    j += size_t{4} * quad->depth;
  }
}

template <class W, class Index>
void matvec_16x1(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    F16 a = zero16(), b = zero16(), c = zero16(), d = zero16();
    for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 64) {
      a = fma16(W::load16(v), x[j[0]], a);
      b = fma16(W::load16(v + 16), x[j[1]], b);
      load_after(v, b);
      c = fma16(W::load16(v + 32), x[j[2]], c);
      d = fma16(W::load16(v + 48), x[j[3]], d);
    }
    store_rows16(w, size_t{16} * quad->block_rows[0], a, bias, y);
    store_rows16(w, size_t{16} * quad->block_rows[1], b, bias, y);
    store_rows16(w, size_t{16} * quad->block_rows[2], c, bias, y);
    store_rows16(w, size_t{16} * quad->block_rows[3], d, bias, y);
  }
}

template <class W, class Index>
void matvec_1x16(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    F16 a = zero16(), b = zero16(), c = zero16(), d = zero16();
    for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 64) {
      a = fma16(W::load16(v), load16(x + 16 * size_t{j[0]}), a);
      load_after(v, a);
      b = fma16(W::load16(v + 16), load16(x + 16 * size_t{j[1]}), b);
      load_after(v, b);
      c = fma16(W::load16(v + 32), load16(x + 16 * size_t{j[2]}), c);
      load_after(v, c);
      d = fma16(W::load16(v + 48), load16(x + 16 * size_t{j[3]}), d);
    }
    store_quad(w, *quad, sums_of_4({quarters(a), quarters(b), quarters(c), quarters(d)}), bias, y);
  }
}

template <class W>
struct Products {
  static constexpr MatvecFn dense = matvec_dense<W>;
  static constexpr MatvecFn block_4x4 = by_index_width<matvec_4x4<W, uint8_t>, matvec_4x4<W, uint16_t>>;
  static constexpr MatvecFn block_8x4 = by_index_width<matvec_8x4<W, uint8_t>, matvec_8x4<W, uint16_t>>;
  static constexpr MatvecFn block_16x1 = by_index_width<matvec_16x1<W, uint8_t>, matvec_16x1<W, uint16_t>>;
  static constexpr MatvecFn block_1x16 = by_index_width<matvec_1x16<W, uint8_t>, matvec_1x16<W, uint16_t>>;
  static constexpr MatvecFn block_1x4 = by_index_width<matvec_1x4<W, uint8_t>, matvec_1x4<W, uint16_t>>;
};

template <class W>
void overlay(Dtype dtype, Kernels* kernels) {
  kernels->matvec[Layout::dense][dtype] = Products<W>::dense;
  kernels->matvec[Layout::block_4x4][dtype] = Products<W>::block_4x4;
  kernels->matvec[Layout::block_8x4][dtype] = Products<W>::block_8x4;
  kernels->matvec[Layout::block_16x1][dtype] = Products<W>::block_16x1;
  kernels->matvec[Layout::block_1x16][dtype] = Products<W>::block_1x16;
  kernels->matvec[Layout::block_1x4][dtype] = Products<W>::block_1x4;
  kernels->widen[dtype] = widen<W>;
  kernels->stream_limit[dtype] = stream_limit<W>;
}

constexpr size_t kScaledFloats = 2048;  // 8 KiB of stack

// scaled = x 2^112. False where that is too large for an fp32: some |x| >= 2^16, or not finite.
inline bool scale(size_t n, const float* x, float* scaled) {
  uint32x4_t fits = vdupq_n_u32(~0u);
  size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const F4 v = load4(x + i);
    fits = vandq_u32(fits, vcaltq_f32(v, all4(0x1p16f)));
    store4(scaled + i, vmulq_f32(v, all4(0x1p112f)));
  }
  bool all_fit = vminvq_u32(fits) != 0;
  for (; i < n; ++i) {
    all_fit = all_fit && fabsf(x[i]) < 0x1p16f;
    scaled[i] = x[i] * 0x1p112f;
  }
  return all_fit;
}

// The product with scaled x where that fits, else the one that converts weights.
template <MatvecFn scaled_product, MatvecFn product>
void matvec_fp16(const Matrix& w, const float* x, const float* bias, float* y) {
  alignas(64) float scaled[kScaledFloats];
  const size_t n = w.padded_cols();
  if (n <= kScaledFloats && scale(n, x, scaled)) {
    scaled_product(w, scaled, bias, y);
  } else {
    product(w, x, bias, y);
  }
}

}  // namespace

void overlay_neon(Kernels* kernels) {
  overlay<Fp16>(Dtype::fp16, kernels);
  overlay<Bf16>(Dtype::bf16, kernels);
  overlay<Fp32>(Dtype::fp32, kernels);
  using Scaled = Products<ScaledFp16>;
  using Converted = Products<Fp16>;
  auto& matvec = kernels->matvec;
  matvec[Layout::dense][Dtype::fp16] = matvec_fp16<Scaled::dense, Converted::dense>;
  matvec[Layout::block_4x4][Dtype::fp16] = matvec_fp16<Scaled::block_4x4, Converted::block_4x4>;
  matvec[Layout::block_8x4][Dtype::fp16] = matvec_fp16<Scaled::block_8x4, Converted::block_8x4>;
  matvec[Layout::block_16x1][Dtype::fp16] = matvec_fp16<Scaled::block_16x1, Converted::block_16x1>;
  matvec[Layout::block_1x16][Dtype::fp16] = matvec_fp16<Scaled::block_1x16, Converted::block_1x16>;
  matvec[Layout::block_1x4][Dtype::fp16] = matvec_fp16<Scaled::block_1x4, Converted::block_1x4>;
  kernels->stream_limit[Dtype::fp16] = stream_limit<ScaledFp16>;
  kernels->activate = activate<Neon>;
  kernels->gates = gates<Neon>;
  kernels->exponentials = exponentials<Neon>;
  kernels->upsample = upsample<Neon>;
  kernels->harmonics = harmonics<Neon>;
  kernels->corrections = corrections<Neon>;
  kernels->put_piece = put_piece<Neon>;
  overlay_neon_matvecs(kernels);
  overlay_neon_int8(kernels);
}

// By llvm-mca's models, cycles per 16 weights of a 4x4 block: Cortex-A55 12.3 so and 18 with scaled weights,
// Cortex-A510 7.8 and 9.
void overlay_neon_little(Kernels* kernels) { overlay<Fp16>(Dtype::fp16, kernels); }

}  // namespace linnet

#endif
