// Products of int8 matrices (export/FORMAT.md, "Products"). Sums of integers are exact, so their order is free: a
// product of weights and operand fits 16 bits, and is added to 32. To be included after rvv_common.h.
#pragma once

namespace linnet {
namespace {

using B16 = int8_t __attribute__((ext_vector_type(16)));

// q = the operand, up to a whole block; returns the step.
__attribute__((noinline)) float quantise(const Matrix& w, const float* x, int8_t* q) {
  float range = w.input_range;
  if (range == 0.0f) {
    F16 most = 0.0f;
    size_t i = 0;
    for (; i + 16 <= w.cols; i += 16) most = Rvv::greater(__builtin_elementwise_abs(vector_at<F16>(x + i)), most);
    range = Rvv::greatest(most);
    for (; i < w.cols; ++i) range = fabsf(x[i]) > range ? fabsf(x[i]) : range;
  }
  const Quantisation by = quantisation_for(range);
  const size_t n = w.padded_cols();
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const F16 scaled = vector_at<F16>(x + i) * by.inverse;
    const F16 v = Rvv::less(Rvv::greater(scaled, -kMostInt8), kMostInt8);
    put(q + i, __builtin_convertvector(Rvv::power(v + kRound), B16));
  }
  for (; i < n; ++i) q[i] = quantise_scalar(x[i], by.inverse);
  return by.step;
}

LINNET_INLINE I16 add_products(I16 sums, B16 weights, B16 operand) {
  const H16 products = __builtin_convertvector(weights, H16) * __builtin_convertvector(operand, H16);
  return sums + __builtin_convertvector(products, I16);
}

LINNET_INLINE I16 add_products(I16 sums, const int8_t* weights, B16 operand) {
  return add_products(sums, vector_at<B16>(weights), operand);
}

LINNET_INLINE int32_t four_at(const int8_t* q) {  // at a multiple of four
  int32_t four;
  memcpy(&four, __builtin_assume_aligned(q, 4), sizeof four);
  return four;
}

// Four columns, four times.
LINNET_INLINE B16 four_times(const int8_t* q) {
  const I4 same = four_at(q);
  return reinterpret_cast<B16>(same);
}

// y = fma(sum, scale step, bias), unless it is beyond the last row.
LINNET_INLINE void scale_rest(const Matrix& w, size_t row, int32_t sum, float step, const float* bias, float* y) {
  if (row < w.rows) y[row] = fused(static_cast<float>(sum), w.scales[row] * step, bias ? bias[row] : 0.0f);
}

template <class V, class F, size_t n>
LINNET_INLINE void scale_rows(const Matrix& w, size_t row, V sums, float step, const float* bias, float* y) {
  if (row + n <= w.rows) {
    const F zeros = 0.0f, more = bias ? vector_at<F>(bias + row) : zeros;
    const F scales = vector_at<F>(w.scales + row) * step;
    return put(y + row, __builtin_elementwise_fma(__builtin_convertvector(sums, F), scales, more));
  }
  int32_t t[n];
  put(t, sums);
  for (size_t r = 0; r < n; ++r) scale_rest(w, row + r, t[r], step, bias, y);
}

LINNET_INLINE void scale_rows16(const Matrix& w, size_t row, I16 sums, float step, const float* bias, float* y) {
  scale_rows<I16, F16, 16>(w, row, sums, step, bias, y);
}

LINNET_INLINE void scale_rows4(const Matrix& w, size_t row, I4 sums, float step, const float* bias, float* y) {
  scale_rows<I4, F4, 4>(w, row, sums, step, bias, y);
}

inline void int8_dense(const Matrix& w, const float* x, const float* bias, float* y) {
  alignas(16) int8_t q[kMostInt8Columns];
  const float step = quantise(w, x, q);
  const auto* v = static_cast<const int8_t*>(w.values);
  const size_t cols = w.padded_cols();
  for (size_t row = 0; row < w.rows; row += 16) {
    I16 a = 0, b = 0, c = 0, d = 0;
    for (size_t column = 0; column < cols; column += 4, v += 64) {
      const B16 piece = four_times(q + column);
      a = add_products(a, v, piece);
      b = add_products(b, v + 16, piece);
      c = add_products(c, v + 32, piece);
      d = add_products(d, v + 48, piece);
    }
    scale_rows4(w, row, sums_of_4(a), step, bias, y);
    scale_rows4(w, row + 4, sums_of_4(b), step, bias, y);
    scale_rows4(w, row + 8, sums_of_4(c), step, bias, y);
    scale_rows4(w, row + 12, sums_of_4(d), step, bias, y);
  }
}

// A quad at a time, of blocks of sixteen weights: `piece` is what a block column gives to each of them, and `store`
// takes the sixteen sums of a block row.
template <class Index, class PieceOf, class Store>
LINNET_INLINE void int8_quads(const Matrix& w, PieceOf piece, Store store) {
  const auto* v = static_cast<const int8_t*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    I16 a = 0, b = 0, c = 0, d = 0;
    for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 64) {
      a = add_products(a, v, piece(j[0]));
      b = add_products(b, v + 16, piece(j[1]));
      c = add_products(c, v + 32, piece(j[2]));
      d = add_products(d, v + 48, piece(j[3]));
    }
    store(quad->block_rows[0], a);
    store(quad->block_rows[1], b);
    store(quad->block_rows[2], c);
    store(quad->block_rows[3], d);
  }
}

template <class Index>
void int8_4x4(const Matrix& w, const float* x, const float* bias, float* y) {
  alignas(16) int8_t q[kMostInt8Columns];
  const float step = quantise(w, x, q);
  int8_quads<Index>(
      w, [&](size_t j) { return four_times(q + 4 * j); },
      [&](size_t row, I16 sums) { scale_rows4(w, 4 * row, sums_of_4(sums), step, bias, y); });
}

// One block row of the quad at a time. One piece of the operand serves thirty-two weights.
template <class Index>
void int8_8x4(const Matrix& w, const float* x, const float* bias, float* y) {
  alignas(16) int8_t q[kMostInt8Columns];
  const float step = quantise(w, x, q);
  const auto* v = static_cast<const int8_t*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    for (size_t k = 0; k < 4; ++k) {
      const int8_t* u = v + 32 * k;
      const Index* i = j + k;
      I16 a = 0, b = 0;
      for (uint32_t n = quad->depth; n != 0; --n, i += 4, u += 128) {
        const B16 piece = four_times(q + 4 * size_t{i[0]});
        a = add_products(a, u, piece);
        b = add_products(b, u + 16, piece);
      }
      scale_rows4(w, size_t{8} * quad->block_rows[k], sums_of_4(a), step, bias, y);
      scale_rows4(w, size_t{8} * quad->block_rows[k] + 4, sums_of_4(b), step, bias, y);
    }
    v += size_t{128} * quad->depth;
    j += size_t{4} * quad->depth;
  }
}

template <class Index>
void int8_16x1(const Matrix& w, const float* x, const float* bias, float* y) {
  alignas(16) int8_t q[kMostInt8Columns];
  const float step = quantise(w, x, q);
  int8_quads<Index>(
      w, [&](size_t j) { return B16(q[j]); },
      [&](size_t row, I16 sums) { scale_rows16(w, 16 * row, sums, step, bias, y); });
}

template <class Index>
void int8_1x16(const Matrix& w, const float* x, const float* bias, float* y) {
  alignas(16) int8_t q[kMostInt8Columns];
  const float step = quantise(w, x, q);
  int8_quads<Index>(
      w, [&](size_t j) { return vector_at<B16>(q + 16 * j); },
      [&](size_t row, I16 sums) { scale_rest(w, row, __builtin_reduce_add(sums), step, bias, y); });
}

// One step is a block of each of four rows.
template <class Index>
void int8_1x4(const Matrix& w, const float* x, const float* bias, float* y) {
  alignas(16) int8_t q[kMostInt8Columns];
  const float step = quantise(w, x, q);
  const auto* v = static_cast<const int8_t*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  const auto at = [&](size_t k) { return four_at(q + 4 * size_t{j[k]}); };
  for (const Quad* quad = w.quads; quad != w.quads + w.n_quads; ++quad) {
    I16 sums = 0;
    for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 16) {
      const I4 pieces = {at(0), at(1), at(2), at(3)};
      sums = add_products(sums, v, reinterpret_cast<B16>(pieces));
    }
    const I4 rows = sums_of_4(sums);
    for (size_t k = 0; k < 4; ++k) scale_rest(w, quad->block_rows[k], rows[k], step, bias, y);
  }
}

struct Int8 {
  using Stored = int8_t;
  LINNET_INLINE static F16 load16(const Stored* p) { return __builtin_convertvector(vector_at<B16>(p), F16); }
};

inline float int8_stream_limit(size_t n, const void* values) {
  I16 a = 0, b = 0;
  const auto* v = static_cast<const int8_t*>(values);
  for (const auto* end = v + n; v != end; v += 32) {
    a = add_products(a, v, 1);
    b = add_products(b, v + 16, 1);
  }
  return static_cast<float>(__builtin_reduce_add(a + b));
}

inline void overlay_int8(Kernels* kernels) {
  auto& matvec = kernels->matvec;
  matvec[Layout::dense][Dtype::int8] = int8_dense;
  matvec[Layout::block_4x4][Dtype::int8] = by_index_width<int8_4x4<uint8_t>, int8_4x4<uint16_t>>;
  matvec[Layout::block_8x4][Dtype::int8] = by_index_width<int8_8x4<uint8_t>, int8_8x4<uint16_t>>;
  matvec[Layout::block_16x1][Dtype::int8] = by_index_width<int8_16x1<uint8_t>, int8_16x1<uint16_t>>;
  matvec[Layout::block_1x16][Dtype::int8] = by_index_width<int8_1x16<uint8_t>, int8_1x16<uint16_t>>;
  matvec[Layout::block_1x4][Dtype::int8] = by_index_width<int8_1x4<uint8_t>, int8_1x4<uint16_t>>;
  kernels->widen[Dtype::int8] = widen<Int8>;
  kernels->stream_limit[Dtype::int8] = int8_stream_limit;
}

}  // namespace
}  // namespace linnet
