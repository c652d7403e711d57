// Products of int8 matrices (export/FORMAT.md, "Products"). Sums of integers are exact, so their order is free: weights
// are widened to 16 bits, as the operand is, and i32x4.dot_i16x8 adds products two by two. To be included after
// wasm_common.h.
#pragma once

namespace linnet {
namespace {

using B16 = v128_t;
using S4 = v128_t;

inline S4 integers4(F4 v) {  // adding kRound rounds to nearest even
  v = less4(greater4(v, all4(-kMostInt8)), all4(kMostInt8));
  return wasm_i32x4_sub(wasm_f32x4_add(v, all4(kRound)), all4(kRound));
}

inline S4 pairs_of_integers(S4 a, S4 b) {
  return wasm_i32x4_add(wasm_i32x4_shuffle(a, b, 0, 2, 4, 6), wasm_i32x4_shuffle(a, b, 1, 3, 5, 7));
}

inline float greatest_magnitude(const float* x, size_t n) {
  F4 most = zero4();
  size_t i = 0;
  for (; i + 4 <= n; i += 4) most = greater4(wasm_f32x4_abs(load4(x + i)), most);
  float t[4], found = 0.0f;
  store4(t, most);
  for (float each : t) found = each > found ? each : found;
  for (; i < n; ++i) found = fabsf(x[i]) > found ? fabsf(x[i]) : found;
  return found;
}

// q = the operand, up to a whole block; returns the step.
inline float quantise(const Matrix& w, const float* x, int16_t* q) {
  const float own = w.input_range;
  const Quantisation by = quantisation_for(own != 0.0f ? own : greatest_magnitude(x, w.cols));
  const F4 inverse = all4(by.inverse);
  const size_t n = w.padded_cols();
  const auto four = [&](size_t at) { return integers4(wasm_f32x4_mul(load4(x + at), inverse)); };
  size_t i = 0;
  for (; i + 8 <= n; i += 8) wasm_v128_store(q + i, wasm_i16x8_narrow_i32x4(four(i), four(i + 4)));
  for (; i < n; ++i) q[i] = quantise_scalar(x[i], by.inverse);
  return by.step;
}

// The products of 16 weights, in two halves of which each sum has two columns.
struct Sums {
  S4 low = wasm_i32x4_splat(0), high = low;

  void add(B16 w, v128_t low_x, v128_t high_x) {
    low = wasm_i32x4_add(low, wasm_i32x4_dot_i16x8(wasm_i16x8_extend_low_i8x16(w), low_x));
    high = wasm_i32x4_add(high, wasm_i32x4_dot_i16x8(wasm_i16x8_extend_high_i8x16(w), high_x));
  }
  void add(const int8_t* w, v128_t twice_four) { add(wasm_v128_load(w), twice_four, twice_four); }
  S4 total() const { return pairs_of_integers(low, high); }
};

// Four columns, twice.
inline v128_t twice_four(const int16_t* q) { return wasm_v128_load64_splat(q); }

// y = fma(sum, scale step, bias), no further than the last row.
inline void scale_rest(const Matrix& w, size_t row, size_t n, const int32_t* sums, float step, const float* bias,
                       float* y) {
  for (size_t r = 0; r < n && row + r < w.rows; ++r)
    y[row + r] = fused(static_cast<float>(sums[r]), w.scales[row + r] * step, bias ? bias[row + r] : 0.0f);
}

template <class A>
inline void scale_rows4(const Matrix& w, size_t row, S4 sums, float step, const float* bias, float* y) {
  if (row + 4 <= w.rows) {
    const F4 scales = wasm_f32x4_mul(load4(w.scales + row), all4(step));
    return store4(y + row, A::fma4(wasm_f32x4_convert_i32x4(sums), scales, load4(bias ? bias + row : kZeros)));
  }
  int32_t t[4];
  wasm_v128_store(t, sums);
  scale_rest(w, row, 4, t, step, bias, y);
}

// Blocks of kHalves registers of 4 x 4 weights, which share a piece of the operand.
template <class A, class Index, size_t kHalves>
void int8_4x4(const Matrix& w, const float* x, const float* bias, float* y) {
  int16_t q[kMostInt8Columns];
  const float step = quantise(w, x, q);
  const auto* values = static_cast<const int8_t*>(w.values);
  const auto* columns = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    for (size_t k = 0; k < 4; ++k) {
      const int8_t* v = values + 16 * kHalves * k;
      const Index* j = columns + k;
      Sums sums[kHalves];
      for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 64 * kHalves) {
        const v128_t piece = twice_four(q + 4 * size_t{*j});
        for (size_t half = 0; half < kHalves; ++half) sums[half].add(v + 16 * half, piece);
      }
      for (size_t half = 0; half < kHalves; ++half)
        scale_rows4<A>(w, 4 * (kHalves * quad->block_rows[k] + half), sums[half].total(), step, bias, y);
    }
    values += size_t{64} * kHalves * quad->depth;
    columns += size_t{4} * quad->depth;
  }
}

template <class Index>
void int8_1x16(const Matrix& w, const float* x, const float* bias, float* y) {
  int16_t q[kMostInt8Columns];
  const float step = quantise(w, x, q);
  const auto* v = static_cast<const int8_t*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    Sums rows[4];
    for (uint32_t n = quad->depth; n != 0; --n) {
      for (Sums& row : rows) {
        const int16_t* piece = q + 16 * size_t{*j++};
        row.add(wasm_v128_load(v), wasm_v128_load(piece), wasm_v128_load(piece + 8));
        v += 16;
      }
    }
    const S4 ab = pairs_of_integers(rows[0].total(), rows[1].total());
    const S4 cd = pairs_of_integers(rows[2].total(), rows[3].total());
    int32_t sums[4];
    wasm_v128_store(sums, pairs_of_integers(ab, cd));
    for (size_t k = 0; k < 4; ++k) scale_rest(w, quad->block_rows[k], 1, sums + k, step, bias, y);
  }
}

// Four columns at a time.
template <class A>
void int8_dense(const Matrix& w, const float* x, const float* bias, float* y) {
  int16_t q[kMostInt8Columns];
  const float step = quantise(w, x, q);
  const auto* v = static_cast<const int8_t*>(w.values);
  const size_t cols = w.padded_cols();
  for (size_t row = 0; row < w.rows; row += 16) {
    Sums sums[4];
    for (size_t c = 0; c < cols; c += 4) {
      const v128_t piece = twice_four(q + c);
      for (Sums& four : sums) {
        four.add(v, piece);
        v += 16;
      }
    }
    for (size_t k = 0; k < 4; ++k) scale_rows4<A>(w, row + 4 * k, sums[k].total(), step, bias, y);
  }
}

inline float int8_stream_limit(size_t n, const void* values) {
  const v128_t x = wasm_i16x8_splat(1);
  Sums a, b;
  const auto* v = static_cast<const int8_t*>(values);
  for (const auto* end = v + n; v != end; v += 32) {
    a.add(v, x);
    b.add(v + 16, x);
  }
  const S4 sums = wasm_i32x4_add(a.total(), b.total());
  return static_cast<float>(wasm_i32x4_extract_lane(sums, 0) + wasm_i32x4_extract_lane(sums, 3));
}

template <class A>
void overlay_int8(Kernels* kernels) {
  auto& matvec = kernels->matvec;
  matvec[Layout::dense][Dtype::int8] = int8_dense<A>;
  matvec[Layout::block_4x4][Dtype::int8] = by_index_width<int8_4x4<A, uint8_t, 1>, int8_4x4<A, uint16_t, 1>>;
  matvec[Layout::block_8x4][Dtype::int8] = by_index_width<int8_4x4<A, uint8_t, 2>, int8_4x4<A, uint16_t, 2>>;
  matvec[Layout::block_1x16][Dtype::int8] = by_index_width<int8_1x16<uint8_t>, int8_1x16<uint16_t>>;
  kernels->stream_limit[Dtype::int8] = int8_stream_limit;
}

}  // namespace
}  // namespace linnet
