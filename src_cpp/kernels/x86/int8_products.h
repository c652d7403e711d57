// Products of int8 matrices (export/FORMAT.md, "Products") with 256-bit registers. To be included within a target
// region, after avx2_common.h and functions.h. Sums of integers are exact, so their order is free.
//
// A set says in a struct Dot how four products are added to each 32-bit lane of a register:
//
//   keep(bytes)              the operand's integers as `add` wants them
//   kOffset                  what `keep` adds to them: 0, or 128, which makes them bytes without a sign
//   add(x, w, sums)          adds the products of 32 bytes of the operand, as they are kept, and of w
//   add_offsets(w, offsets)  adds kOffset times w; nothing where that is 0
#pragma once

#include "kernels/arithmetic.h"
#include "kernels/x86/avx2_common.h"

namespace linnet {
namespace {

using I8 = __m256i;

inline I8 load_bytes(const int8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const I8*>(p)); }

inline float greatest_magnitude(const float* x, size_t n) {
  const F8 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7FFFFFFF));
  F8 most[4] = {zero8(), zero8(), zero8(), zero8()};
  size_t c = 0;
  for (; c + 32 <= n; c += 32) {  // maxps gives its second operand where one is a NaN
    LINNET_UNROLL
    for (int k = 0; k < 4; ++k) most[k] = _mm256_max_ps(_mm256_and_ps(load8(x + c + 8 * k), magnitude), most[k]);
  }
  for (; c + 8 <= n; c += 8) most[0] = _mm256_max_ps(_mm256_and_ps(load8(x + c), magnitude), most[0]);
  if (c < n) most[1] = _mm256_max_ps(_mm256_and_ps(load_part(x + c, n - c), magnitude), most[1]);
  const F8 eight = _mm256_max_ps(_mm256_max_ps(most[0], most[1]), _mm256_max_ps(most[2], most[3]));
  const F4 four = _mm_max_ps(low4(eight), high4(eight)), two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

// Four bytes, in every lane.
inline I8 all4(const int8_t* q) {
  int32_t four;
  memcpy(&four, q, sizeof four);
  return _mm256_set1_epi32(four);
}

// The operand as bytes, as Dot keeps them.
template <class Dot>
struct Operand {
  alignas(32) int8_t q[kMostInt8Columns];
  float step;

  Operand(const Matrix& w, const float* x) : step(round(w, x)) {}

  // What is not a number, or is too small, becomes the least integer, which packing and `least` turn into -127.
  static I8 integers(const float* x, F8 inverse) {
    return _mm256_cvtps_epi32(_mm256_min_ps(all8(kMostInt8), _mm256_mul_ps(load8(x), inverse)));
  }

  // Returns the step.
  float round(const Matrix& w, const float* x) {
    const Quantisation by = quantisation_for(w.input_range != 0.0f ? w.input_range : greatest_magnitude(x, w.cols));
    const F8 inverse = all8(by.inverse);
    const I8 order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const I8 least = _mm256_set1_epi8(-127);
    const size_t n = w.padded_cols();
    size_t c = 0;
    for (; c + 32 <= n; c += 32) {
      const I8 low = _mm256_packs_epi32(integers(x + c, inverse), integers(x + c + 8, inverse));
      const I8 high = _mm256_packs_epi32(integers(x + c + 16, inverse), integers(x + c + 24, inverse));
      const I8 packed = _mm256_max_epi8(_mm256_packs_epi16(low, high), least);
      keep(c, _mm256_permutevar8x32_epi32(packed, order));
    }
    if (c < n) {
      int8_t rest[32] = {0};
      for (size_t k = 0; c + k < n; ++k) rest[k] = quantise_scalar(x[c + k], by.inverse);
      keep(c, load_bytes(rest));
    }
    return by.step;
  }

  void keep(size_t c, I8 bytes) { _mm256_store_si256(reinterpret_cast<I8*>(q + c), Dot::keep(bytes)); }

  I8 four(size_t column) const { return all4(q + column); }
};

// Four columns in the lower lanes, four others in the upper ones.
inline I8 two_of4(const int8_t* p, const int8_t* q) { return _mm256_blend_epi32(all4(p), all4(q), 0xF0); }

inline I8 two_of16(const int8_t* p, const int8_t* q) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
                                 _mm_loadu_si128(reinterpret_cast<const __m128i*>(q)), 1);
}

// Where the sums of rows go: y = fma(sum, scale step, bias). By value: what the compiler keeps in registers, it would
// read from a Matrix again after every store to y.
struct RowEnds {
  size_t rows;
  const float *scales, *bias;
  float step;
  float* y;

  RowEnds(const Matrix& w, float of, const float* b, float* out)
      : rows(w.rows), scales(w.scales), bias(b), step(of), y(out) {}

  void store1(size_t row, int32_t sum) const {
    if (row < rows) y[row] = fmaf(static_cast<float>(sum), scales[row] * step, bias ? bias[row] : 0.0f);
  }
  void store4(size_t row, __m128i sums) const;
  void store8(size_t row, I8 sums) const;
};

// Of n rows, those that there are.
LINNET_COLD void store_rest(RowEnds ends, size_t row, size_t n, const int32_t* sums) {
  for (size_t r = 0; r < n; ++r) ends.store1(row + r, sums[r]);
}

inline void RowEnds::store4(size_t row, __m128i sums) const {
  if (row + 4 <= rows) {
    const F4 scale = _mm_mul_ps(_mm_loadu_ps(scales + row), _mm_set1_ps(step));
    const F4 add = bias ? _mm_loadu_ps(bias + row) : _mm_setzero_ps();
    _mm_storeu_ps(y + row, _mm_fmadd_ps(_mm_cvtepi32_ps(sums), scale, add));
  } else {
    alignas(16) int32_t t[4];
    _mm_store_si128(reinterpret_cast<__m128i*>(t), sums);
    store_rest(*this, row, 4, t);
  }
}

inline void RowEnds::store8(size_t row, I8 sums) const {
  if (row + 8 <= rows) {
    const F8 scale = _mm256_mul_ps(load8(scales + row), all8(step)), add = bias ? load8(bias + row) : zero8();
    linnet::store8(y + row, fma8(_mm256_cvtepi32_ps(sums), scale, add));
  } else {
    alignas(32) int32_t t[8];
    _mm256_store_si256(reinterpret_cast<I8*>(t), sums);
    store_rest(*this, row, 8, t);
  }
}

// Partial sums of one register of rows.
template <class Dot>
struct Sums {
  I8 products, offsets;

  Sums() : products(_mm256_setzero_si256()), offsets(_mm256_setzero_si256()) {}
  void add(I8 x, I8 w) {
    Dot::add(x, w, &products);
    Dot::add_offsets(w, &offsets);
  }
  I8 total() const { return Dot::kOffset == 0 ? products : _mm256_sub_epi32(products, offsets); }
};

// A register holds a block: its eight rows of four columns.
template <class Dot, class Index>
void int8_8x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const Operand<Dot> in(w, x);
  const RowEnds ends(w, in.step, bias, y);
  const auto* v = static_cast<const int8_t*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad *quad = w.quads, *end = quad + w.n_quads; quad != end; ++quad) {
    Sums<Dot> a, b, c, d;
    for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 128) {
      const Columns at = load_columns(j);
      a.add(in.four(4 * at.a), load_bytes(v));
      b.add(in.four(4 * at.b), load_bytes(v + 32));
      c.add(in.four(4 * at.c), load_bytes(v + 64));
      d.add(in.four(4 * at.d), load_bytes(v + 96));
    }
    ends.store8(size_t{8} * quad->block_rows[0], a.total());
    ends.store8(size_t{8} * quad->block_rows[1], b.total());
    ends.store8(size_t{8} * quad->block_rows[2], c.total());
    ends.store8(size_t{8} * quad->block_rows[3], d.total());
  }
}

// A register holds two blocks.
template <class Dot, class Index>
void int8_4x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const Operand<Dot> in(w, x);
  const RowEnds ends(w, in.step, bias, y);
  const auto* v = static_cast<const int8_t*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad *quad = w.quads, *end = quad + w.n_quads; quad != end; ++quad) {
    Sums<Dot> ab, cd, ef, gh;
    uint32_t n = quad->depth;
    for (; n >= 2; n -= 2, j += 8, v += 128) {  // four chains
      const Columns at = load_columns(j), next = load_columns(j + 4);
      ab.add(two_of4(in.q + 4 * at.a, in.q + 4 * at.b), load_bytes(v));
      cd.add(two_of4(in.q + 4 * at.c, in.q + 4 * at.d), load_bytes(v + 32));
      ef.add(two_of4(in.q + 4 * next.a, in.q + 4 * next.b), load_bytes(v + 64));
      gh.add(two_of4(in.q + 4 * next.c, in.q + 4 * next.d), load_bytes(v + 96));
    }
    if (n != 0) {
      const Columns at = load_columns(j);
      ab.add(two_of4(in.q + 4 * at.a, in.q + 4 * at.b), load_bytes(v));
      cd.add(two_of4(in.q + 4 * at.c, in.q + 4 * at.d), load_bytes(v + 32));
      j += 4;
      v += 64;
    }
    const I8 first = _mm256_add_epi32(ab.total(), ef.total());
    const I8 second = _mm256_add_epi32(cd.total(), gh.total());
    ends.store4(size_t{4} * quad->block_rows[0], _mm256_castsi256_si128(first));
    ends.store4(size_t{4} * quad->block_rows[1], _mm256_extracti128_si256(first, 1));
    ends.store4(size_t{4} * quad->block_rows[2], _mm256_castsi256_si128(second));
    ends.store4(size_t{4} * quad->block_rows[3], _mm256_extracti128_si256(second, 1));
  }
}

// A register holds the blocks of two rows.
template <class Dot, class Index>
void int8_1x16(const Matrix& w, const float* x, const float* bias, float* y) {
  const Operand<Dot> in(w, x);
  const RowEnds ends(w, in.step, bias, y);
  const auto* v = static_cast<const int8_t*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad *quad = w.quads, *end = quad + w.n_quads; quad != end; ++quad) {
    Sums<Dot> ab, cd;
    for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 64) {
      const Columns at = load_columns(j);
      ab.add(two_of16(in.q + 16 * at.a, in.q + 16 * at.b), load_bytes(v));
      cd.add(two_of16(in.q + 16 * at.c, in.q + 16 * at.d), load_bytes(v + 32));
    }
    const I8 pairs = _mm256_hadd_epi32(ab.total(), cd.total());  // a a c c | b b d d
    const I8 acbd = _mm256_hadd_epi32(pairs, pairs);             // a c . . | b d . .
    const __m128i sums = _mm_unpacklo_epi32(_mm256_castsi256_si128(acbd), _mm256_extracti128_si256(acbd, 1));
    alignas(16) int32_t t[4];
    _mm_store_si128(reinterpret_cast<__m128i*>(t), sums);
    for (int q = 0; q < 4; ++q) ends.store1(quad->block_rows[q], t[q]);
  }
}

// Two panels at a time, whose chains hide each other's latency.
template <class Dot>
void int8_dense(const Matrix& w, const float* x, const float* bias, float* y) {
  const Operand<Dot> in(w, x);
  const RowEnds ends(w, in.step, bias, y);
  const auto* v = static_cast<const int8_t*>(w.values);
  const size_t cols = w.padded_cols(), panels = (size_t{w.rows} + 15) / 16;
  size_t panel = 0;
  for (; panel + 2 <= panels; panel += 2, v += 32 * cols) {
    const int8_t* u = v + 16 * cols;
    Sums<Dot> a, b, c, d;
    for (size_t k = 0; k < cols; k += 4) {
      const I8 four = in.four(k);
      a.add(four, load_bytes(v + 16 * k));
      b.add(four, load_bytes(v + 16 * k + 32));
      c.add(four, load_bytes(u + 16 * k));
      d.add(four, load_bytes(u + 16 * k + 32));
    }
    ends.store8(16 * panel, a.total());
    ends.store8(16 * panel + 8, b.total());
    ends.store8(16 * panel + 16, c.total());
    ends.store8(16 * panel + 24, d.total());
  }
  if (panel < panels) {
    Sums<Dot> a, b;
    for (size_t k = 0; k < cols; k += 4) {
      const I8 four = in.four(k);
      a.add(four, load_bytes(v + 16 * k));
      b.add(four, load_bytes(v + 16 * k + 32));
    }
    ends.store8(16 * panel, a.total());
    ends.store8(16 * panel + 8, b.total());
  }
}

template <class Dot>
float int8_stream_limit(size_t n, const void* values) {
  const I8 x = Dot::keep(_mm256_set1_epi8(1));
  Sums<Dot> a, b, c, d;
  const auto* v = static_cast<const int8_t*>(values);
  const auto* end = v + n;
  for (; v + 128 <= end; v += 128) {
    a.add(x, load_bytes(v));
    b.add(x, load_bytes(v + 32));
    c.add(x, load_bytes(v + 64));
    d.add(x, load_bytes(v + 96));
  }
  if (v != end) {
    a.add(x, load_bytes(v));
    b.add(x, load_bytes(v + 32));
  }
  const I8 sums = _mm256_add_epi32(_mm256_add_epi32(a.total(), b.total()), _mm256_add_epi32(c.total(), d.total()));
  return sum4(_mm_cvtepi32_ps(_mm256_castsi256_si128(sums)));
}

// The operands of several products, rounded each by itself; packed[j / 4][lane][j % 4] is column j.
template <class Dot, int lanes>
struct Operands {
  const int8_t* q;
  float steps[lanes];

  Operands(const Matrix& w, const float* const* x, float* packed) {
    const size_t n = w.padded_cols();
    auto* bytes = reinterpret_cast<int8_t*>(packed);
    q = bytes;
    for (size_t l = 0; l < lanes; ++l) {
      const Operand<Dot> one(w, x[l]);
      steps[l] = one.step;
      for (size_t c = 0; c < n; c += 4) memcpy(bytes + lanes * c + 4 * l, one.q + c, 4);
    }
  }

  I8 four(size_t column, size_t lane) const { return all4(q + lanes * column + 4 * lane); }
  I8 two(size_t column, size_t other, size_t lane) const {
    return two_of4(q + lanes * column + 4 * lane, q + lanes * other + 4 * lane);
  }
};

// One register of rows of every product.
template <class Dot, int lanes>
struct GroupSums {
  I8 products[lanes], offsets;

  GroupSums() : offsets(_mm256_setzero_si256()) {
    LINNET_UNROLL
    for (int l = 0; l < lanes; ++l) products[l] = _mm256_setzero_si256();
  }
  I8 total(int lane) const { return Dot::kOffset == 0 ? products[lane] : _mm256_sub_epi32(products[lane], offsets); }
};

template <class Dot, class Index, int lanes>
void int8_8x4_of_all(const Matrix& w, const float* const* x, const float* bias, float* packed, float* const* y) {
  const Operands<Dot, lanes> in(w, x, packed);
  const auto* values = static_cast<const int8_t*>(w.values);
  const auto* columns = static_cast<const Index*>(w.columns);
  for (const Quad *quad = w.quads, *end = quad + w.n_quads; quad != end; ++quad) {
    for (size_t q = 0; q < 4; ++q) {
      const int8_t* v = values + 32 * q;
      const Index* j = columns + q;
      GroupSums<Dot, lanes> s;
      for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 128) {
        const I8 weights = load_bytes(v);
        Dot::add_offsets(weights, &s.offsets);
        LINNET_UNROLL
        for (int l = 0; l < lanes; ++l) Dot::add(in.four(4 * size_t{*j}, l), weights, &s.products[l]);
      }
      LINNET_UNROLL
      for (int l = 0; l < lanes; ++l)
        RowEnds(w, in.steps[l], bias, y[l]).store8(size_t{8} * quad->block_rows[q], s.total(l));
    }
    values += size_t{128} * quad->depth;
    columns += size_t{4} * quad->depth;
  }
}

template <class Dot, class Index, int lanes>
void int8_4x4_of_all(const Matrix& w, const float* const* x, const float* bias, float* packed, float* const* y) {
  const Operands<Dot, lanes> in(w, x, packed);
  const auto* values = static_cast<const int8_t*>(w.values);
  const auto* columns = static_cast<const Index*>(w.columns);
  for (const Quad *quad = w.quads, *end = quad + w.n_quads; quad != end; ++quad) {
    for (size_t half = 0; half < 4; half += 2) {
      const int8_t* v = values + 16 * half;
      const Index* j = columns + half;
      GroupSums<Dot, lanes> s;
      for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 64) {
        const I8 weights = load_bytes(v);
        Dot::add_offsets(weights, &s.offsets);
        LINNET_UNROLL
        for (int l = 0; l < lanes; ++l)
          Dot::add(in.two(4 * size_t{j[0]}, 4 * size_t{j[1]}, l), weights, &s.products[l]);
      }
      LINNET_UNROLL
      for (int l = 0; l < lanes; ++l) {
        const I8 sums = s.total(l);
        const RowEnds ends(w, in.steps[l], bias, y[l]);
        const __m128i low = _mm256_castsi256_si128(sums), high = _mm256_extracti128_si256(sums, 1);
        ends.store4(size_t{4} * quad->block_rows[half], low);
        ends.store4(size_t{4} * quad->block_rows[half + 1], high);
      }
    }
    values += size_t{64} * quad->depth;
    columns += size_t{4} * quad->depth;
  }
}

// Eight rows at a time.
template <class Dot, class, int lanes>
void int8_dense_of_all(const Matrix& w, const float* const* x, const float* bias, float* packed, float* const* y) {
  const Operands<Dot, lanes> in(w, x, packed);
  const auto* panel = static_cast<const int8_t*>(w.values);
  const size_t cols = w.padded_cols();
  for (size_t row = 0; row < w.rows; row += 8) {
    const int8_t* v = panel + (row % 16 == 0 ? 0 : 32);
    GroupSums<Dot, lanes> s;
    for (size_t c = 0; c < cols; c += 4, v += 64) {
      const I8 weights = load_bytes(v);
      Dot::add_offsets(weights, &s.offsets);
      LINNET_UNROLL
      for (int l = 0; l < lanes; ++l) Dot::add(in.four(c, l), weights, &s.products[l]);
    }
    LINNET_UNROLL
    for (int l = 0; l < lanes; ++l) RowEnds(w, in.steps[l], bias, y[l]).store8(row, s.total(l));
    if (row % 16 != 0) panel += 16 * cols;
  }
}

using Multiply = void (*)(const Matrix& w, const float* const* x, const float* bias, float* packed, float* const* y);

// `lanes` vectors at a time, then four; by the width of column indices.
template <int lanes, Multiply narrow, Multiply wide, Multiply narrow_four, Multiply wide_four>
void int8_matvecs(const Matrix& w, uint32_t n, const float* const* x, const float* bias, float* packed,
                  float* const* y) {
  uint32_t l = 0;
  for (; l + lanes <= n; l += lanes) (w.index_width == 2 ? wide : narrow)(w, x + l, bias, packed, y + l);
  for (; l < n; l += 4) (w.index_width == 2 ? wide_four : narrow_four)(w, x + l, bias, packed, y + l);
}

// lanes: vectors whose sums there are registers for.
template <class Dot, int lanes>
void overlay_int8(Kernels* kernels) {
  auto& matvec = kernels->matvec;
  matvec[Layout::dense][Dtype::int8] = int8_dense<Dot>;
  matvec[Layout::block_4x4][Dtype::int8] = by_index_width<int8_4x4<Dot, uint8_t>, int8_4x4<Dot, uint16_t>>;
  matvec[Layout::block_8x4][Dtype::int8] = by_index_width<int8_8x4<Dot, uint8_t>, int8_8x4<Dot, uint16_t>>;
  matvec[Layout::block_1x16][Dtype::int8] = by_index_width<int8_1x16<Dot, uint8_t>, int8_1x16<Dot, uint16_t>>;
  auto& matvecs = kernels->matvecs;
  matvecs[Layout::dense][Dtype::int8] =
      int8_matvecs<lanes, int8_dense_of_all<Dot, void, lanes>, int8_dense_of_all<Dot, void, lanes>,
                   int8_dense_of_all<Dot, void, 4>, int8_dense_of_all<Dot, void, 4>>;
  matvecs[Layout::block_4x4][Dtype::int8] =
      int8_matvecs<lanes, int8_4x4_of_all<Dot, uint8_t, lanes>, int8_4x4_of_all<Dot, uint16_t, lanes>,
                   int8_4x4_of_all<Dot, uint8_t, 4>, int8_4x4_of_all<Dot, uint16_t, 4>>;
  matvecs[Layout::block_8x4][Dtype::int8] =
      int8_matvecs<lanes, int8_8x4_of_all<Dot, uint8_t, lanes>, int8_8x4_of_all<Dot, uint16_t, lanes>,
                   int8_8x4_of_all<Dot, uint8_t, 4>, int8_8x4_of_all<Dot, uint16_t, 4>>;
  kernels->stream_limit[Dtype::int8] = int8_stream_limit<Dot>;
}

}  // namespace
}  // namespace linnet
