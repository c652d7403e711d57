// What products of int8 matrices with several vectors share. To be included after int8_products.h.
#pragma once

namespace linnet {
namespace {

// The operands of `lanes` products, each rounded by itself: packed[j / width][lane][j % width] is column j.
template <size_t lanes, size_t width = 4>
struct Operands {
  const int8_t* q;
  float steps[lanes];

  Operands(const Matrix& w, const float* const* x, float* packed) : q(reinterpret_cast<int8_t*>(packed)) {
    int8_t one[kMostInt8Columns + width];
    auto* bytes = reinterpret_cast<int8_t*>(packed);
    const size_t cols = w.padded_cols();
    for (size_t l = 0; l < lanes; ++l) {
      steps[l] = quantise(w, x[l], one);
      memset(one + cols, 0, width);  // the columns that fill up the last place
      for (size_t c = 0; c < cols; c += width) memcpy(bytes + lanes * c + width * l, one + c, width);
    }
  }

  const int8_t* of_all(size_t place) const { return q + lanes * width * place; }
};

using Multiply = void (*)(const Matrix& w, const float* const* x, const float* bias, float* packed, float* const* y);

// `lanes` vectors at a time; `narrow` and `wide` are for column indices of one byte and of two.
template <size_t lanes, Multiply narrow, Multiply wide>
void in_groups(const Matrix& w, uint32_t n, const float* const* x, const float* bias, float* packed, float* const* y) {
  for (uint32_t l = 0; l < n; l += lanes) (w.index_width == 2 ? wide : narrow)(w, x + l, bias, packed, y + l);
}

}  // namespace
}  // namespace linnet
