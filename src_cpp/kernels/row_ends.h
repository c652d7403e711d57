// The ends of rows, for sets that take sixteen floats at a time (F16) or four (F4) and have load, store and add of
// both. To be included after those, within a target region where there is one.
#pragma once

namespace linnet {
namespace {

constexpr float kZeros[16] = {0};

// y[row + r] = sums[r] + bias, r < n, no further than the last row.
inline void store_rest(const Matrix& w, size_t row, size_t n, const float* sums, const float* bias, float* y) {
  for (size_t r = 0; r < n && row + r < w.rows; ++r) y[row + r] = sums[r] + (bias ? bias[row + r] : 0.0f);
}

inline void store_rows16(const Matrix& w, size_t row, F16 sums, const float* bias, float* y) {
  if (row + 16 <= w.rows) return store16(y + row, add16(sums, load16(bias ? bias + row : kZeros)));
  float t[16];
  store16(t, sums);
  store_rest(w, row, 16, t, bias, y);
}

inline void store_rows4(const Matrix& w, size_t row, F4 sums, const float* bias, float* y) {
  if (row + 4 <= w.rows) return store4(y + row, add4(sums, load4(bias ? bias + row : kZeros)));
  float t[4];
  store4(t, sums);
  store_rest(w, row, 4, t, bias, y);
}

// One sum for each of a quad's four rows.
inline void store_quad(const Matrix& w, const Quad& quad, F4 sums, const float* bias, float* y) {
  float t[4];
  store4(t, sums);
  for (size_t q = 0; q < 4; ++q) store_rest(w, quad.block_rows[q], 1, t + q, bias, y);
}

}  // namespace
}  // namespace linnet
