// Products of int8 matrices (export/FORMAT.md, "Products") with 256-bit registers. To be included within a target
// region, after avx2_common.h and functions.h. Sums of integers are exact, so their order is free.
//
// A set says in a struct Dot how four products are added to each 32-bit lane of a register:
//
//   kOffset                  what is added to the operand's integers as they are kept: 0, or 128, which makes them
//   bytes
//                            without a sign
//   kMagnitudes              whether `add` needs the operand's magnitudes too
//   add(x, w, sums)          adds the products of 32 bytes of the operand and of w
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

// The part of the operand that meets 32 weights.
struct Piece {
  I8 q, magnitudes;
};

// The operand as bytes.
template <class Dot>
struct Operand {
  alignas(32) int8_t q[kMostInt8Columns];
  alignas(32) int8_t magnitudes[Dot::kMagnitudes ? kMostInt8Columns : 1];
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
    const I8 offset = _mm256_set1_epi8(static_cast<char>(Dot::kOffset)), least = _mm256_set1_epi8(-127);
    const size_t n = w.padded_cols();
    size_t c = 0;
    for (; c + 32 <= n; c += 32) {
      const I8 low = _mm256_packs_epi32(integers(x + c, inverse), integers(x + c + 8, inverse));
      const I8 high = _mm256_packs_epi32(integers(x + c + 16, inverse), integers(x + c + 24, inverse));
      const I8 packed = _mm256_max_epi8(_mm256_packs_epi16(low, high), least);
      const I8 bytes = _mm256_permutevar8x32_epi32(packed, order);
      _mm256_store_si256(reinterpret_cast<I8*>(q + c), _mm256_xor_si256(bytes, offset));
      if (Dot::kMagnitudes) _mm256_store_si256(reinterpret_cast<I8*>(magnitudes + c), _mm256_abs_epi8(bytes));
    }
    for (; c < n; ++c) {
      const int8_t integer = quantise_scalar(x[c], by.inverse);
      q[c] = static_cast<int8_t>(integer ^ Dot::kOffset);
      if (Dot::kMagnitudes) magnitudes[c] = static_cast<int8_t>(integer < 0 ? -integer : integer);
    }
    return by.step;
  }

  // Four columns, in every lane.
  Piece four(size_t column) const {
    const I8 x = all4(q + column);
    return {x, Dot::kMagnitudes ? all4(magnitudes + column) : x};
  }

  static Piece piece(I8 x) { return {x, Dot::kMagnitudes ? _mm256_abs_epi8(x) : x}; }
};

// Four columns in the lower lanes, four others in the upper ones.
inline I8 two_of4(const int8_t* p, const int8_t* q) { return _mm256_blend_epi32(all4(p), all4(q), 0xF0); }

inline I8 two_of16(const int8_t* p, const int8_t* q) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
                                 _mm_loadu_si128(reinterpret_cast<const __m128i*>(q)), 1);
}

// y = fma(sum, scale step, bias).
inline F8 scaled8(I8 sums, const float* scales, float step, const float* bias) {
  return fma8(_mm256_cvtepi32_ps(sums), _mm256_mul_ps(load8(scales), all8(step)), bias ? load8(bias) : zero8());
}

LINNET_COLD void scale_rest(const int32_t* sums, size_t row, size_t n, const Matrix& w, float step, const float* bias,
                            float* y) {
  for (size_t r = 0; r < n && row + r < w.rows; ++r)
    y[row + r] = fmaf(static_cast<float>(sums[r]), w.scales[row + r] * step, bias ? bias[row + r] : 0.0f);
}

// Partial sums of one register of rows.
template <class Dot>
struct Sums {
  I8 products, offsets;

  Sums() : products(_mm256_setzero_si256()), offsets(_mm256_setzero_si256()) {}
  void add(Piece x, I8 w) {
    Dot::add(x, w, &products);
    Dot::add_offsets(w, &offsets);
  }
  I8 total() const { return Dot::kOffset == 0 ? products : _mm256_sub_epi32(products, offsets); }
};

// Eight rows of sums; they may lie beyond the last one.
inline void store_rows8(const Matrix& w, size_t row, I8 sums, float step, const float* bias, float* y) {
  if (row + 8 <= w.rows) {
    store8(y + row, scaled8(sums, w.scales + row, step, bias ? bias + row : nullptr));
  } else {
    alignas(32) int32_t t[8];
    _mm256_store_si256(reinterpret_cast<I8*>(t), sums);
    scale_rest(t, row, 8, w, step, bias, y);
  }
}

inline void store_rows4(const Matrix& w, size_t row, __m128i sums, float step, const float* bias, float* y) {
  if (row + 4 <= w.rows) {
    const F4 scale = _mm_mul_ps(_mm_loadu_ps(w.scales + row), _mm_set1_ps(step));
    const F4 add = bias ? _mm_loadu_ps(bias + row) : _mm_setzero_ps();
    _mm_storeu_ps(y + row, _mm_fmadd_ps(_mm_cvtepi32_ps(sums), scale, add));
  } else {
    alignas(16) int32_t t[4];
    _mm_store_si128(reinterpret_cast<__m128i*>(t), sums);
    scale_rest(t, row, 4, w, step, bias, y);
  }
}

// A register holds a block: its eight rows of four columns.
template <class Dot, class Index>
void int8_8x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const Operand<Dot> in(w, x);
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
    store_rows8(w, size_t{8} * quad->block_rows[0], a.total(), in.step, bias, y);
    store_rows8(w, size_t{8} * quad->block_rows[1], b.total(), in.step, bias, y);
    store_rows8(w, size_t{8} * quad->block_rows[2], c.total(), in.step, bias, y);
    store_rows8(w, size_t{8} * quad->block_rows[3], d.total(), in.step, bias, y);
  }
}

// A register holds two blocks.
template <class Dot, class Index>
void int8_4x4(const Matrix& w, const float* x, const float* bias, float* y) {
  const Operand<Dot> in(w, x);
  const auto* v = static_cast<const int8_t*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad *quad = w.quads, *end = quad + w.n_quads; quad != end; ++quad) {
    Sums<Dot> ab, cd, ef, gh;
    uint32_t n = quad->depth;
    for (; n >= 2; n -= 2, j += 8, v += 128) {  // four chains
      const Columns at = load_columns(j), next = load_columns(j + 4);
      ab.add(in.piece(two_of4(in.q + 4 * at.a, in.q + 4 * at.b)), load_bytes(v));
      cd.add(in.piece(two_of4(in.q + 4 * at.c, in.q + 4 * at.d)), load_bytes(v + 32));
      ef.add(in.piece(two_of4(in.q + 4 * next.a, in.q + 4 * next.b)), load_bytes(v + 64));
      gh.add(in.piece(two_of4(in.q + 4 * next.c, in.q + 4 * next.d)), load_bytes(v + 96));
    }
    if (n != 0) {
      const Columns at = load_columns(j);
      ab.add(in.piece(two_of4(in.q + 4 * at.a, in.q + 4 * at.b)), load_bytes(v));
      cd.add(in.piece(two_of4(in.q + 4 * at.c, in.q + 4 * at.d)), load_bytes(v + 32));
      j += 4;
      v += 64;
    }
    const I8 first = _mm256_add_epi32(ab.total(), ef.total());
    const I8 second = _mm256_add_epi32(cd.total(), gh.total());
    store_rows4(w, size_t{4} * quad->block_rows[0], _mm256_castsi256_si128(first), in.step, bias, y);
    store_rows4(w, size_t{4} * quad->block_rows[1], _mm256_extracti128_si256(first, 1), in.step, bias, y);
    store_rows4(w, size_t{4} * quad->block_rows[2], _mm256_castsi256_si128(second), in.step, bias, y);
    store_rows4(w, size_t{4} * quad->block_rows[3], _mm256_extracti128_si256(second, 1), in.step, bias, y);
  }
}

// One row of each of a quad's block rows.
inline void store_quad(const Matrix& w, const Quad& quad, __m128i sums, float step, const float* bias, float* y) {
  alignas(16) int32_t t[4];
  _mm_store_si128(reinterpret_cast<__m128i*>(t), sums);
  for (int q = 0; q < 4; ++q) {
    const size_t row = quad.block_rows[q];
    if (row < w.rows) y[row] = fmaf(static_cast<float>(t[q]), w.scales[row] * step, bias ? bias[row] : 0.0f);
  }
}

// A register holds the blocks of two rows.
template <class Dot, class Index>
void int8_1x16(const Matrix& w, const float* x, const float* bias, float* y) {
  const Operand<Dot> in(w, x);
  const auto* v = static_cast<const int8_t*>(w.values);
  const auto* j = static_cast<const Index*>(w.columns);
  for (const Quad *quad = w.quads, *end = quad + w.n_quads; quad != end; ++quad) {
    Sums<Dot> ab, cd;
    for (uint32_t n = quad->depth; n != 0; --n, j += 4, v += 64) {
      const Columns at = load_columns(j);
      ab.add(in.piece(two_of16(in.q + 16 * at.a, in.q + 16 * at.b)), load_bytes(v));
      cd.add(in.piece(two_of16(in.q + 16 * at.c, in.q + 16 * at.d)), load_bytes(v + 32));
    }
    const I8 pairs = _mm256_hadd_epi32(ab.total(), cd.total());  // a a c c | b b d d
    const I8 acbd = _mm256_hadd_epi32(pairs, pairs);             // a c . . | b d . .
    const __m128i sums = _mm_unpacklo_epi32(_mm256_castsi256_si128(acbd), _mm256_extracti128_si256(acbd, 1));
    store_quad(w, *quad, sums, in.step, bias, y);
  }
}

// Two panels at a time, whose chains hide each other's latency.
template <class Dot>
void int8_dense(const Matrix& w, const float* x, const float* bias, float* y) {
  const Operand<Dot> in(w, x);
  const auto* v = static_cast<const int8_t*>(w.values);
  const size_t cols = w.padded_cols(), panels = (size_t{w.rows} + 15) / 16;
  size_t panel = 0;
  for (; panel + 2 <= panels; panel += 2, v += 32 * cols) {
    const int8_t* u = v + 16 * cols;
    Sums<Dot> a, b, c, d;
    for (size_t k = 0; k < cols; k += 4) {
      const Piece four = in.piece(all4(in.q + k));
      a.add(four, load_bytes(v + 16 * k));
      b.add(four, load_bytes(v + 16 * k + 32));
      c.add(four, load_bytes(u + 16 * k));
      d.add(four, load_bytes(u + 16 * k + 32));
    }
    store_rows8(w, 16 * panel, a.total(), in.step, bias, y);
    store_rows8(w, 16 * panel + 8, b.total(), in.step, bias, y);
    store_rows8(w, 16 * panel + 16, c.total(), in.step, bias, y);
    store_rows8(w, 16 * panel + 24, d.total(), in.step, bias, y);
  }
  if (panel < panels) {
    Sums<Dot> a, b;
    for (size_t k = 0; k < cols; k += 4) {
      const Piece four = in.piece(all4(in.q + k));
      a.add(four, load_bytes(v + 16 * k));
      b.add(four, load_bytes(v + 16 * k + 32));
    }
    store_rows8(w, 16 * panel, a.total(), in.step, bias, y);
    store_rows8(w, 16 * panel + 8, b.total(), in.step, bias, y);
  }
}

template <class Dot>
float int8_stream_limit(size_t n, const void* values) {
  const Piece x = Operand<Dot>::piece(_mm256_set1_epi8(1));
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

// The operands of several products, rounded each by itself; packed[j / 4][lane][j % 4] is column j, and behind that,
// where the set needs them, are the magnitudes.
template <class Dot, int lanes>
struct Operands {
  const int8_t *q, *magnitudes;
  float steps[lanes];

  Operands(const Matrix& w, const float* const* x, float* packed) {
    const size_t n = w.padded_cols();
    auto* bytes = reinterpret_cast<int8_t*>(packed);
    q = bytes;
    magnitudes = Dot::kMagnitudes ? bytes + lanes * n : bytes;
    for (size_t l = 0; l < lanes; ++l) {
      const Operand<Dot> one(w, x[l]);
      steps[l] = one.step;
      for (size_t c = 0; c < n; c += 4) {
        memcpy(bytes + lanes * c + 4 * l, one.q + c, 4);
        if (Dot::kMagnitudes) memcpy(bytes + lanes * (n + c) + 4 * l, one.magnitudes + c, 4);
      }
    }
  }

  Piece four(size_t column, size_t lane) const {
    const size_t at = lanes * column + 4 * lane;
    return {all4(q + at), all4(magnitudes + at)};
  }
  Piece two(size_t column, size_t other, size_t lane) const {
    return Operand<Dot>::piece(two_of4(q + lanes * column + 4 * lane, q + lanes * other + 4 * lane));
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
        store_rows8(w, size_t{8} * quad->block_rows[q], s.total(l), in.steps[l], bias, y[l]);
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
        const __m128i low = _mm256_castsi256_si128(sums), high = _mm256_extracti128_si256(sums, 1);
        store_rows4(w, size_t{4} * quad->block_rows[half], low, in.steps[l], bias, y[l]);
        store_rows4(w, size_t{4} * quad->block_rows[half + 1], high, in.steps[l], bias, y[l]);
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
    for (int l = 0; l < lanes; ++l) store_rows8(w, row, s.total(l), in.steps[l], bias, y[l]);
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
