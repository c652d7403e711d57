// Products of int8 matrices (export/FORMAT.md, "Products") with 128-bit registers. To be included after neon_common.h,
// within a target region where there is one. Sums of integers are exact, so their order is free.
//
// A set says in a struct Dot how products are added:
//
//   Sums, none()                partial sums of a register of 16 weights: four rows of four, or one row of sixteen
//   add(w, x, sums)             adds the products of 16 weights and of 16 bytes of the operand
//   add_two(w, x, u, z, sums)   the same of two pairs
//   total(sums)                 the sums of each four
#pragma once

namespace linnet {
namespace {

using B16 = int8x16_t;
using S4 = int32x4_t;

#if defined(__aarch64__) || defined(_M_ARM64)
// Of a product, so that what is not a number is a quiet one, for which maxnm and minnm give the other operand.
inline S4 integers4(F4 v) { return vcvtnq_s32_f32(vminnmq_f32(vmaxnmq_f32(v, all4(-kMostInt8)), all4(kMostInt8))); }
inline S4 pairs_of_integers(S4 a, S4 b) { return vpaddq_s32(a, b); }
#else
inline S4 integers4(F4 v) {  // adding kRound rounds to nearest even
  v = Neon::less4(Neon::greater4(v, all4(-kMostInt8)), all4(kMostInt8));
  return vsubq_s32(vreinterpretq_s32_f32(vaddq_f32(v, all4(kRound))), vreinterpretq_s32_f32(all4(kRound)));
}
inline S4 pairs_of_integers(S4 a, S4 b) {
  return vcombine_s32(vpadd_s32(vget_low_s32(a), vget_high_s32(a)), vpadd_s32(vget_low_s32(b), vget_high_s32(b)));
}
#endif

inline float greatest_magnitude(const float* x, size_t n) {
  F4 a = zero4(), b = zero4(), c = zero4(), d = zero4();
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    a = Neon::greater4(vabsq_f32(load4(x + i)), a);
    b = Neon::greater4(vabsq_f32(load4(x + i + 4)), b);
    c = Neon::greater4(vabsq_f32(load4(x + i + 8)), c);
    d = Neon::greater4(vabsq_f32(load4(x + i + 12)), d);
  }
  float most = Neon::greatest({a, b, c, d});
  for (; i < n; ++i) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
  return most;
}

// q = the operand as bytes, up to a whole block; returns the step.
inline float quantise(const Matrix& w, const float* x, int8_t* q) {
  const float own = w.input_range;
  const Quantisation by = quantisation_for(own != 0.0f ? own : greatest_magnitude(x, w.cols));
  const F4 inverse = all4(by.inverse);
  const size_t n = w.padded_cols();
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const int16x8_t low = vcombine_s16(vqmovn_s32(integers4(vmulq_f32(load4(x + i), inverse))),
                                       vqmovn_s32(integers4(vmulq_f32(load4(x + i + 4), inverse))));
    const int16x8_t high = vcombine_s16(vqmovn_s32(integers4(vmulq_f32(load4(x + i + 8), inverse))),
                                        vqmovn_s32(integers4(vmulq_f32(load4(x + i + 12), inverse))));
    vst1q_s8(q + i, vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)));
  }
  for (; i < n; ++i) q[i] = quantise_scalar(x[i], by.inverse);
  return by.step;
}

// Four columns, four times.
inline B16 four_bytes(const int8_t* q) {
  int32_t four;
  memcpy(&four, q, sizeof four);
  return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

// y = fma(sum, scale step, bias), no further than the last row.
inline void scale_rest(const Matrix& w, size_t row, size_t n, const int32_t* sums, float step, const float* bias,
                       float* y) {
  for (size_t r = 0; r < n && row + r < w.rows; ++r)
    y[row + r] = fmaf(static_cast<float>(sums[r]), w.scales[row + r] * step, bias ? bias[row + r] : 0.0f);
}

inline void scale_rows4(const Matrix& w, size_t row, S4 sums, float step, const float* bias, float* y) {
  if (row + 4 <= w.rows) {
    const F4 scales = vmulq_f32(load4(w.scales + row), all4(step));
    return store4(y + row, fma4(vcvtq_f32_s32(sums), scales, load4(bias ? bias + row : kZeros)));
  }
  int32_t t[4];
  vst1q_s32(t, sums);
  scale_rest(w, row, 4, t, step, bias, y);
}

// Four rows of each of a quad's block rows.
template <class Dot, class Index>
LINNET_APART void int8_4x4(const Matrix& w, const float* x, const float* bias, float* y) {
  int8_t q[kMostInt8Columns];
  const float step = quantise(w, x, q);
  const auto* v = static_cast<const int8_t*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  const auto at = [&](size_t k) { return four_bytes(q + 4 * size_t{j[k]}); };
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    auto a = Dot::none(), b = Dot::none(), c = Dot::none(), d = Dot::none();
    uint32_t n = quad->depth;
    for (; n >= 2; n -= 2, j += 8, v += 128) {
      Dot::add_two(vld1q_s8(v), at(0), vld1q_s8(v + 64), at(4), &a);
      Dot::add_two(vld1q_s8(v + 16), at(1), vld1q_s8(v + 80), at(5), &b);
      Dot::add_two(vld1q_s8(v + 32), at(2), vld1q_s8(v + 96), at(6), &c);
      Dot::add_two(vld1q_s8(v + 48), at(3), vld1q_s8(v + 112), at(7), &d);
    }
    if (n != 0) {
      Dot::add(vld1q_s8(v), at(0), &a);
      Dot::add(vld1q_s8(v + 16), at(1), &b);
      Dot::add(vld1q_s8(v + 32), at(2), &c);
      Dot::add(vld1q_s8(v + 48), at(3), &d);
      j += 4;
      v += 64;
    }
    scale_rows4(w, size_t{4} * quad->block_rows[0], Dot::total(a), step, bias, y);
    scale_rows4(w, size_t{4} * quad->block_rows[1], Dot::total(b), step, bias, y);
    scale_rows4(w, size_t{4} * quad->block_rows[2], Dot::total(c), step, bias, y);
    scale_rows4(w, size_t{4} * quad->block_rows[3], Dot::total(d), step, bias, y);
  }
}

// Two block rows of the quad at a time. One piece of the operand serves thirty-two weights.
template <class Dot, class Index>
LINNET_APART void int8_8x4(const Matrix& w, const float* x, const float* bias, float* y) {
  int8_t q[kMostInt8Columns];
  const float step = quantise(w, x, q);
  const auto* v = static_cast<const int8_t*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    for (size_t half = 0; half < 4; half += 2) {
      const int8_t* u = v + 32 * half;
      const Index* i = j + half;
      auto a = Dot::none(), b = Dot::none(), c = Dot::none(), d = Dot::none();
      uint32_t n = quad->depth;
      for (; n >= 2; n -= 2, i += 8, u += 256) {
        const B16 first = four_bytes(q + 4 * size_t{i[0]}), third = four_bytes(q + 4 * size_t{i[4]});
        Dot::add_two(vld1q_s8(u), first, vld1q_s8(u + 128), third, &a);
        Dot::add_two(vld1q_s8(u + 16), first, vld1q_s8(u + 144), third, &b);
        const B16 second = four_bytes(q + 4 * size_t{i[1]}), fourth = four_bytes(q + 4 * size_t{i[5]});
        Dot::add_two(vld1q_s8(u + 32), second, vld1q_s8(u + 160), fourth, &c);
        Dot::add_two(vld1q_s8(u + 48), second, vld1q_s8(u + 176), fourth, &d);
      }
      if (n != 0) {
        const B16 first = four_bytes(q + 4 * size_t{i[0]}), second = four_bytes(q + 4 * size_t{i[1]});
        Dot::add(vld1q_s8(u), first, &a);
        Dot::add(vld1q_s8(u + 16), first, &b);
        Dot::add(vld1q_s8(u + 32), second, &c);
        Dot::add(vld1q_s8(u + 48), second, &d);
      }
      const size_t row = size_t{8} * quad->block_rows[half], next = size_t{8} * quad->block_rows[half + 1];
      scale_rows4(w, row, Dot::total(a), step, bias, y);
      scale_rows4(w, row + 4, Dot::total(b), step, bias, y);
      scale_rows4(w, next, Dot::total(c), step, bias, y);
      scale_rows4(w, next + 4, Dot::total(d), step, bias, y);
    }
    v += size_t{128} * quad->depth;
    j += size_t{4} * quad->depth;
  }
}

template <class Dot, class Index>
LINNET_APART void int8_1x16(const Matrix& w, const float* x, const float* bias, float* y) {
  int8_t q[kMostInt8Columns];
  const float step = quantise(w, x, q);
  const auto* v = static_cast<const int8_t*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  const auto at = [&](size_t k) { return vld1q_s8(q + 16 * size_t{j[k]}); };
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    auto a = Dot::none(), b = Dot::none(), c = Dot::none(), d = Dot::none();
    for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 64) {
      Dot::add(vld1q_s8(v), at(0), &a);
      Dot::add(vld1q_s8(v + 16), at(1), &b);
      Dot::add(vld1q_s8(v + 32), at(2), &c);
      Dot::add(vld1q_s8(v + 48), at(3), &d);
    }
    const S4 ab = pairs_of_integers(Dot::total(a), Dot::total(b)), cd = pairs_of_integers(Dot::total(c), Dot::total(d));
    int32_t sums[4];
    vst1q_s32(sums, pairs_of_integers(ab, cd));
    for (size_t k = 0; k < 4; ++k) scale_rest(w, quad->block_rows[k], 1, sums + k, step, bias, y);
  }
}

// Four columns at a time.
template <class Dot>
LINNET_APART void int8_dense(const Matrix& w, const float* x, const float* bias, float* y) {
  int8_t q[kMostInt8Columns];
  const float step = quantise(w, x, q);
  const auto* v = static_cast<const int8_t*>(w.values);
  const size_t cols = w.padded_cols();
  for (size_t row = 0; row < w.rows; row += 16) {
    auto a = Dot::none(), b = Dot::none(), c = Dot::none(), d = Dot::none();
    size_t k = 0;
    for (; k + 8 <= cols; k += 8, v += 128) {
      const B16 first = four_bytes(q + k), second = four_bytes(q + k + 4);
      Dot::add_two(vld1q_s8(v), first, vld1q_s8(v + 64), second, &a);
      Dot::add_two(vld1q_s8(v + 16), first, vld1q_s8(v + 80), second, &b);
      Dot::add_two(vld1q_s8(v + 32), first, vld1q_s8(v + 96), second, &c);
      Dot::add_two(vld1q_s8(v + 48), first, vld1q_s8(v + 112), second, &d);
    }
    if (k < cols) {
      const B16 first = four_bytes(q + k);
      Dot::add(vld1q_s8(v), first, &a);
      Dot::add(vld1q_s8(v + 16), first, &b);
      Dot::add(vld1q_s8(v + 32), first, &c);
      Dot::add(vld1q_s8(v + 48), first, &d);
      v += 64;
    }
    scale_rows4(w, row, Dot::total(a), step, bias, y);
    scale_rows4(w, row + 4, Dot::total(b), step, bias, y);
    scale_rows4(w, row + 8, Dot::total(c), step, bias, y);
    scale_rows4(w, row + 12, Dot::total(d), step, bias, y);
  }
}

template <class Dot>
float int8_stream_limit(size_t n, const void* values) {
  const B16 x = vdupq_n_s8(1);
  auto a = Dot::none(), b = Dot::none();
  const auto* v = static_cast<const int8_t*>(values);
  for (const auto* end = v + n; v != end; v += 64) {
    Dot::add_two(vld1q_s8(v), x, vld1q_s8(v + 16), x, &a);
    Dot::add_two(vld1q_s8(v + 32), x, vld1q_s8(v + 48), x, &b);
  }
  const S4 sums = vaddq_s32(Dot::total(a), Dot::total(b));
  return static_cast<float>(vgetq_lane_s32(sums, 0) + vgetq_lane_s32(sums, 3));
}

// smull, smlal, sadalp, which all NEON has: the products of two weights and two pieces are added in 16 bits, which hold
// 2 x 127 x 127.
struct Mull {
  struct Sums {
    S4 low, high;  // of two columns each
  };
  static Sums none() { return {vdupq_n_s32(0), vdupq_n_s32(0)}; }
  static void add(B16 w, B16 x, Sums* sums) {
    sums->low = vpadalq_s16(sums->low, vmull_s8(vget_low_s8(w), vget_low_s8(x)));
    sums->high = vpadalq_s16(sums->high, vmull_s8(vget_high_s8(w), vget_high_s8(x)));
  }
  static void add_two(B16 w, B16 x, B16 u, B16 z, Sums* sums) {
    const int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(x));
    const int16x8_t high = vmull_s8(vget_high_s8(w), vget_high_s8(x));
    sums->low = vpadalq_s16(sums->low, vmlal_s8(low, vget_low_s8(u), vget_low_s8(z)));
    sums->high = vpadalq_s16(sums->high, vmlal_s8(high, vget_high_s8(u), vget_high_s8(z)));
  }
  static S4 total(Sums sums) { return pairs_of_integers(sums.low, sums.high); }
};

}  // namespace
}  // namespace linnet
