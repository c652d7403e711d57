// NEON on AArch64 (Armv8.0, which every AArch64 CPU has): 128-bit registers.
#include "kernels/sets.h"

#if defined(__aarch64__) || defined(_M_ARM64)

#include <arm_neon.h>
#include <math.h>
#include <string.h>

#include "kernels/arithmetic.h"
#include "kernels/arm/neon_common.h"

namespace linnet {
namespace {

// Nothing is loaded from v before these sums are made. GCC would load and widen a whole step first and then spill
// sums: 7.3 cycles per 16 weights (fp16, 4x4) instead of 6.3 by llvm-mca's model of the Neoverse N1.
template <class T>
inline void load_after(const T*& v, F16& sums) {
#if defined(__GNUC__)
  __asm__("" : "+r"(v), "+w"(sums.a), "+w"(sums.b), "+w"(sums.c), "+w"(sums.d));
#endif
}

// What is left to sum when sixteen are folded to four.
inline F4 quarters(F16 v) { return add4(add4(v.a, v.c), add4(v.b, v.d)); }

inline float fold16(F16 v) {
  const F4 q = quarters(v);
  const float32x2_t pairs = vpadd_f32(vget_low_f32(q), vget_high_f32(q));
  return vget_lane_f32(vpadd_f32(pairs, pairs), 0);
}

// The first n < 16 floats, zeros after them.
inline F16 load_part(const float* p, size_t n) {
  float t[16] = {0};
  memcpy(t, p, n * sizeof *t);
  return load16(t);
}

inline void store_part(float* p, F16 v, size_t n) {
  float t[16];
  store16(t, v);
  memcpy(p, t, n * sizeof *t);
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

// One sum for each of a quad's four rows.
inline void store_quad(const Matrix& w, const Quad& quad, F4 sums, const float* bias, float* y) {
  float t[4];
  store4(t, sums);
  for (size_t q = 0; q < 4; ++q) {
    const size_t row = quad.block_rows[q];
    if (row < w.rows) y[row] = t[q] + (bias ? bias[row] : 0.0f);
  }
}

// Panels of 16 rows: two sets of sums, even and odd columns.
template <class W>
void matvec_dense(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  for (size_t row = 0; row < w.rows; row += 16) {
    F16 p = zero16(), q = zero16();
    size_t c = 0;
    for (; c + 2 <= w.cols; c += 2, v += 32) {
      p = fma16(W::load16(v), x[c], p);
      q = fma16(W::load16(v + 16), x[c + 1], q);
    }
    if (c < w.cols) {
      p = fma16(W::load16(v), x[c], p);
      v += 16;
    }
    store_rows16(w, row, add16(p, q), bias, y);
  }
}

// A register holds one row of a block.
template <class W, class Index>
void matvec_4x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    F16 a = zero16(), b = zero16(), c = zero16(), d = zero16();
    for (uint32_t n = quad->steps; n != 0; --n, j += 4, v += 64) {
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

template <class W, class Index>
void matvec_16x1(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    F16 a = zero16(), b = zero16(), c = zero16(), d = zero16();
    for (uint32_t n = quad->steps; n != 0; --n, j += 4, v += 64) {
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
    for (uint32_t n = quad->steps; n != 0; --n, j += 4, v += 64) {
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

// One step is a block of each of four rows: sixteen weights, and four pieces of x.
template <class W, class Index>
inline F16 step_1x4(const typename W::Stored* v, const Index* j, const float* x, F16 sums) {
  const F16 pieces = {load4(x + 4 * size_t{j[0]}), load4(x + 4 * size_t{j[1]}), load4(x + 4 * size_t{j[2]}),
                      load4(x + 4 * size_t{j[3]})};
  return fma16(W::load16(v), pieces, sums);
}

template <class W, class Index>
void matvec_1x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const auto* v = static_cast<const typename W::Stored*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    F16 even = zero16(), odd = zero16();
    uint32_t n = quad->steps;
    for (; n >= 2; n -= 2, j += 8, v += 32) {
      even = step_1x4<W>(v, j, x, even);
      odd = step_1x4<W>(v + 16, j + 4, x, odd);
    }
    if (n != 0) {
      even = step_1x4<W>(v, j, x, even);
      j += 4;
      v += 16;
    }
    store_quad(w, *quad, sums_of_4(add16(even, odd)), bias, y);
  }
}

// The functions of arithmetic.h. Sixteen at a time below: four chains hide each other's latency.

inline F4 exp4(F4 x) {
  x = greater4(x, all4(kExpLow));
  x = less4(x, all4(kExpHigh));
  const F4 t = fma4(x, all4(kLog2E), all4(kRound));
  const F4 n = sub4(t, all4(kRound));
  F4 r = fma4(n, all4(-kLn2High), x);
  r = fma4(n, all4(-kLn2Low), r);
  F4 p = all4(kExp6);
  p = fma4(p, r, all4(kExp5));
  p = fma4(p, r, all4(kExp4));
  p = fma4(p, r, all4(kExp3));
  p = fma4(p, r, all4(kExp2));
  p = fma4(p, r, all4(1.0f));
  p = fma4(p, r, all4(1.0f));
  const uint32x4_t power = vsubq_u32(vreinterpretq_u32_f32(t), vreinterpretq_u32_f32(all4(kRound)));
  return float4_of(vaddq_u32(vreinterpretq_u32_f32(p), vshlq_n_u32(power, 23)));
}

inline F4 sigmoid4(F4 x) { return vdivq_f32(all4(1.0f), add4(all4(1.0f), exp4(vnegq_f32(x)))); }

inline F4 tanh4(F4 x) { return fma4(all4(2.0f), sigmoid4(add4(x, x)), all4(-1.0f)); }

inline F4 relu4(F4 x) { return greater4(x, zero4()); }

inline F16 sigmoid16(F16 x) { return {sigmoid4(x.a), sigmoid4(x.b), sigmoid4(x.c), sigmoid4(x.d)}; }
inline F16 tanh16(F16 x) { return {tanh4(x.a), tanh4(x.b), tanh4(x.c), tanh4(x.d)}; }

inline F16 activate16(Activation activation, F16 x) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return {relu4(x.a), relu4(x.b), relu4(x.c), relu4(x.d)};
    case Activation::tanh:
      return tanh16(x);
    case Activation::sigmoid:
      return sigmoid16(x);
    case Activation::exp:
      return {exp4(x.a), exp4(x.b), exp4(x.c), exp4(x.d)};
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

inline F16 gates16(F16 ru, F16 rr, F16 re, F16 iu, F16 ir, F16 ie, F16 state) {
  const F16 u = sigmoid16(add16(ru, iu));
  const F16 r = sigmoid16(add16(rr, ir));
  const F16 e = tanh16(fma16(r, re, ie));
  return fma16(u, sub16(state, e), e);
}

void gates(uint32_t units, uint32_t stride, const float* recurrent, const float* input, float* state) {
  const float *ru = recurrent, *rr = ru + stride, *re = rr + stride;
  const float *iu = input, *ir = iu + stride, *ie = ir + stride;
  uint32_t i = 0;
  for (; i + 16 <= units; i += 16) {
    store16(state + i, gates16(load16(ru + i), load16(rr + i), load16(re + i), load16(iu + i), load16(ir + i),
                               load16(ie + i), load16(state + i)));
  }
  if (i < units) {
    const size_t n = units - i;
    store_part(state + i,
               gates16(load_part(ru + i, n), load_part(rr + i, n), load_part(re + i, n), load_part(iu + i, n),
                       load_part(ir + i, n), load_part(ie + i, n), load_part(state + i, n)),
               n);
  }
}

float exponentials(uint32_t n, float inverse_temperature, const float* logits, float* e, float* groups) {
  F4 most = all4(-INFINITY);
  uint32_t i = 0;
  for (; i + 4 <= n; i += 4) most = greater4(load4(logits + i), most);
  float greatest = vmaxvq_f32(most);  // no lane holds a NaN
  for (; i < n; ++i) greatest = logits[i] > greatest ? logits[i] : greatest;

  const F4 m = all4(greatest), s = all4(inverse_temperature);
  const auto exps = [m, s](F16 l) {
    return F16{exp4(mul4(sub4(l.a, m), s)), exp4(mul4(sub4(l.b, m), s)), exp4(mul4(sub4(l.c, m), s)),
               exp4(mul4(sub4(l.d, m), s))};
  };
  for (i = 0; i + kGroup <= n; i += kGroup) {
    const F16 g = exps(load16(logits + i));
    store16(e + i, g);
    groups[i / kGroup] = fold16(g);
  }
  if (i < n) {
    store16(e + i, exps(load_part(logits + i, n - i)));
    for (uint32_t k = n; k < i + kGroup; ++k) e[k] = 0.0f;
    groups[i / kGroup] = fold16(load16(e + i));
  }
  return greatest;
}

void upsample(uint32_t n_rows, uint32_t window, uint32_t channels, const float* weights, const float* in,
              uint32_t row_stride, float* out) {
  for (uint32_t i = 0; i < n_rows; ++i) {
    const float* row = weights + size_t{i} * window;
    float* y = out + size_t{i} * row_stride;
    uint32_t c = 0;
    for (; c + 4 <= channels; c += 4) {
      F4 sum = zero4();
      for (uint32_t j = 0; j < window; ++j) sum = vfmaq_n_f32(sum, load4(in + size_t{j} * channels + c), row[j]);
      store4(y + c, sum);
    }
    for (; c < channels; ++c) {
      float sum = 0.0f;
      for (uint32_t j = 0; j < window; ++j) sum = fmaf(row[j], in[size_t{j} * channels + c], sum);
      y[c] = sum;
    }
  }
}

template <class W>
void widen_as(uint32_t n, const void* values, float* out) {
  const auto* v = static_cast<const typename W::Stored*>(values);
  uint32_t i = 0;
  for (; i + 16 <= n; i += 16) store16(out + i, W::load16(v + i));
  if (i < n) {
    typename W::Stored rest[16] = {};
    memcpy(rest, v + i, (n - i) * sizeof *v);
    store_part(out + i, W::load16(rest), n - i);
  }
}

void widen(uint32_t n, Dtype dtype, const void* values, float* out) {
  switch (dtype) {
    case Dtype::fp16:
      return widen_as<Fp16>(n, values, out);
    case Dtype::bf16:
      return widen_as<Bf16>(n, values, out);
    case Dtype::fp32:
      return widen_as<Fp32>(n, values, out);
  }
}

// Eight chains of four: two multiply-adds a cycle, each of four cycles' latency, need as many.
template <class W>
float stream_of(size_t n, const void* values) {
  const F16 x = {all4(0.5f), all4(0.5f), all4(0.5f), all4(0.5f)};
  F16 s0 = zero16(), s1 = zero16();
  const auto* v = static_cast<const typename W::Stored*>(values);
  for (const auto* end = v + n; v != end; v += 32) {
    s0 = fma16(W::load16(v), x, s0);
    s1 = fma16(W::load16(v + 16), x, s1);
  }
  return fold16(add16(s0, s1));
}

// `Half`: the way to widen fp16 that suits the core.
template <class Half>
float stream(size_t n, Dtype dtype, const void* values) {
  switch (dtype) {
    case Dtype::fp16:
      return stream_of<Half>(n, values);
    case Dtype::bf16:
      return stream_of<Bf16>(n, values);
    case Dtype::fp32:
      break;
  }
  return stream_of<Fp32>(n, values);
}

// Kernels by the width of their column indices.
template <MatvecFn narrow, MatvecFn wide>
void by_index_width(const Matrix& w, const float* x, const float* bias, float* y) {
  (w.index_width == 1 ? narrow : wide)(w, x, bias, y);
}

template <class W>
constexpr MatvecFn kByLayout[kMatrixLayouts] = {
    matvec_dense<W>,
    by_index_width<matvec_4x4<W, uint8_t>, matvec_4x4<W, uint16_t>>,
    by_index_width<matvec_16x1<W, uint8_t>, matvec_16x1<W, uint16_t>>,
    by_index_width<matvec_1x16<W, uint8_t>, matvec_1x16<W, uint16_t>>,
    by_index_width<matvec_1x4<W, uint8_t>, matvec_1x4<W, uint16_t>>,
};

constexpr size_t kScaledFloats = 2048;  // 8 KiB of stack
constexpr size_t kBlockCols[kMatrixLayouts] = {1, 4, 1, 16, 4};

// scaled = x 2^112. False where that is too large for an fp32: some |x| >= 2^16, or not finite.
inline bool scale(size_t n, const float* x, float* scaled) {
  uint32x4_t fits = vdupq_n_u32(~0u);
  size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const F4 v = load4(x + i);
    fits = vandq_u32(fits, vcaltq_f32(v, all4(0x1p16f)));
    store4(scaled + i, mul4(v, all4(0x1p112f)));
  }
  bool all_fit = vminvq_u32(fits) != 0;
  for (; i < n; ++i) {
    all_fit = all_fit && fabsf(x[i]) < 0x1p16f;
    scaled[i] = x[i] * 0x1p112f;
  }
  return all_fit;
}

template <size_t layout>
void matvec_fp16(const Matrix& w, const float* x, const float* bias, float* y) {
  alignas(64) float scaled[kScaledFloats];
  const size_t n = (w.cols + kBlockCols[layout] - 1) / kBlockCols[layout] * kBlockCols[layout];
  if (n <= kScaledFloats && scale(n, x, scaled)) {
    kByLayout<ScaledFp16>[layout](w, scaled, bias, y);
  } else {
    kByLayout<Fp16>[layout](w, x, bias, y);
  }
}

}  // namespace

void overlay_neon(Kernels* kernels) {
  constexpr MatvecFn fp16[kMatrixLayouts] = {matvec_fp16<0>, matvec_fp16<1>, matvec_fp16<2>, matvec_fp16<3>,
                                             matvec_fp16<4>};
  for (size_t l = 0; l < kMatrixLayouts; ++l) {
    kernels->matvec[l][0] = fp16[l];
    kernels->matvec[l][1] = kByLayout<Bf16>[l];
    kernels->matvec[l][2] = kByLayout<Fp32>[l];
  }
  kernels->finish = finish;
  kernels->gates = gates;
  kernels->exponentials = exponentials;
  kernels->upsample = upsample;
  kernels->widen = widen;
  kernels->stream = stream<ScaledFp16>;
  overlay_neon_matvecs(kernels);
}

// By llvm-mca's models, cycles per 16 weights of a 4x4 block: Cortex-A55 12.3 so and 18 with scaled weights,
// Cortex-A510 7.8 and 9.
void overlay_neon_little(Kernels* kernels) {
  for (size_t l = 0; l < kMatrixLayouts; ++l) kernels->matvec[l][0] = kByLayout<Fp16>[l];
  kernels->stream = stream<Fp16>;
}

}  // namespace linnet

#endif
