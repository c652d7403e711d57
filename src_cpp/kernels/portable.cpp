// Every kernel in plain C++: the definition of the order of sums that all other sets follow.
#include "kernels/all_pole.h"
#include "kernels/arithmetic.h"
#include "kernels/four_lanes.h"
#include "kernels/sets.h"

namespace linnet {
namespace {

template <Dtype>
struct Weights;

template <>
struct Weights<Dtype::fp16> {
  static float at(const void* values, size_t i) { return widen_fp16(static_cast<const uint16_t*>(values)[i]); }
};

template <>
struct Weights<Dtype::bf16> {
  static float at(const void* values, size_t i) { return widen_bf16(static_cast<const uint16_t*>(values)[i]); }
};

template <>
struct Weights<Dtype::fp32> {
  static float at(const void* values, size_t i) { return static_cast<const float*>(values)[i]; }
};

template <>
struct Weights<Dtype::int8> {
  static float at(const void* values, size_t i) { return static_cast<const int8_t*>(values)[i]; }
};

size_t column_at(const Matrix& w, size_t k) {
  return w.index_width == 1 ? static_cast<const uint8_t*>(w.columns)[k] : static_cast<const uint16_t*>(w.columns)[k];
}

// The two halves of p are added again and again; of the last four, the neighbours.
template <int n>
float fold(const float* p) {
  if constexpr (n == 1) {
    return p[0];
  } else if constexpr (n == 4) {
    return (p[0] + p[1]) + (p[2] + p[3]);
  } else {
    float half[n / 2];
    for (int l = 0; l < n / 2; ++l) half[l] = p[l] + p[l + n / 2];
    return fold<n / 2>(half);
  }
}

void store(const Matrix& w, size_t row, float sum, const float* bias, float* y) {
  if (row < w.rows) y[row] = sum + (bias ? bias[row] : 0.0f);
}

template <Dtype D>
void matvec_dense(const Matrix& w, const float* x, const float* bias, float* y) {
  for (size_t row = 0; row < w.rows; ++row) {
    float p[2] = {0.0f, 0.0f};
    const size_t first = row / 16 * w.cols * 16 + row % 16;
    for (size_t c = 0; c < w.cols; ++c) p[c % 2] = fused(Weights<D>::at(w.values, first + 16 * c), x[c], p[c % 2]);
    store(w, row, p[0] + p[1], bias, y);
  }
}

// Blocks of kRows x kCols weights. The k-th block of a block row adds to the partial sums of phase k mod kPhases.
template <Dtype D, int kRows, int kCols, int kPhases>
void matvec_blocks(const Matrix& w, const float* x, const float* bias, float* y) {
  size_t block = 0;
  for (size_t i = 0; i < w.n_quads; ++i) {
    float p[4][kRows][kPhases][kCols] = {};
    for (uint32_t k = 0; k < w.quads[i].depth; ++k) {
      for (int q = 0; q < 4; ++q, ++block) {
        const float* xb = x + kCols * column_at(w, block);
        for (int r = 0; r < kRows; ++r) {
          for (int c = 0; c < kCols; ++c) {
            float& sum = p[q][r][k % kPhases][c];
            sum = fused(Weights<D>::at(w.values, kRows * kCols * block + kCols * r + c), xb[c], sum);
          }
        }
      }
    }
    for (int q = 0; q < 4; ++q) {
      for (int r = 0; r < kRows; ++r) {
        float* sums = p[q][r][0];
        for (int c = 0; kPhases == 2 && c < kCols; ++c) sums[c] = sums[c] + p[q][r][1][c];
        store(w, size_t{kRows} * w.quads[i].block_rows[q] + r, fold<kCols>(sums), bias, y);
      }
    }
  }
}

// The operand of an int8 product: x is about integers times `step`. Columns beyond the matrix meet zero weights.
struct Quantised {
  int8_t q[kMostInt8Columns];
  float step;

  Quantised(const Matrix& w, const float* x) {
    float range = w.input_range;
    if (range == 0.0f) {
      for (size_t c = 0; c < w.cols; ++c) range = fabsf(x[c]) > range ? fabsf(x[c]) : range;
    }
    const Quantisation by = quantisation_for(range);
    for (size_t c = 0; c < w.padded_cols(); ++c) q[c] = quantise_scalar(x[c], by.inverse);
    step = by.step;
  }
};

void store(const Matrix& w, size_t row, int32_t sum, float step, const float* bias, float* y) {
  if (row < w.rows) y[row] = fused(static_cast<float>(sum), w.scales[row] * step, bias ? bias[row] : 0.0f);
}

void matvec_dense_int8(const Matrix& w, const float* x, const float* bias, float* y) {
  const Quantised in(w, x);
  const auto* values = static_cast<const int8_t*>(w.values);
  const size_t cols = w.padded_cols();
  for (size_t row = 0; row < w.rows; ++row) {
    const int8_t* panel = values + row / 16 * 16 * cols + row % 16 * 4;
    int32_t sum = 0;
    for (size_t c = 0; c < cols; ++c) sum += panel[c / 4 * 64 + c % 4] * in.q[c];
    store(w, row, sum, in.step, bias, y);
  }
}

// Sums of integers are exact in any order.
template <int kRows, int kCols>
void matvec_blocks_int8(const Matrix& w, const float* x, const float* bias, float* y) {
  const Quantised in(w, x);
  const auto* v = static_cast<const int8_t*>(w.values);
  size_t block = 0;
  for (size_t i = 0; i < w.n_quads; ++i) {
    int32_t sums[4][kRows] = {};
    for (uint32_t k = 0; k < w.quads[i].depth; ++k) {
      for (int q = 0; q < 4; ++q, ++block) {
        const int8_t* xb = in.q + kCols * column_at(w, block);
        for (int r = 0; r < kRows; ++r) {
          for (int c = 0; c < kCols; ++c) sums[q][r] += *v++ * xb[c];
        }
      }
    }
    for (int q = 0; q < 4; ++q) {
      for (int r = 0; r < kRows; ++r)
        store(w, size_t{kRows} * w.quads[i].block_rows[q] + r, sums[q][r], in.step, bias, y);
    }
  }
}

void activate(uint32_t n, Activation activation, const float* add, float* y) {
  for (uint32_t i = 0; i < n; ++i) {
    const float v = add ? y[i] + add[i] : y[i];
    switch (activation) {
      case Activation::none:
        y[i] = v;
        break;
      case Activation::relu:
        y[i] = relu_scalar(v);
        break;
      case Activation::tanh:
        y[i] = tanh_scalar(v);
        break;
      case Activation::sigmoid:
        y[i] = sigmoid_scalar(v);
        break;
      case Activation::exp:
        y[i] = exp_scalar(v);
        break;
    }
  }
}

void gates(uint32_t units, uint32_t stride, const float* recurrent, const float* input, float* state) {
  const float *ru = recurrent, *rr = ru + stride, *re = rr + stride;
  const float *iu = input, *ir = iu + stride, *ie = ir + stride;
  for (uint32_t i = 0; i < units; ++i) {
    const float u = sigmoid_scalar(ru[i] + iu[i]);
    const float r = sigmoid_scalar(rr[i] + ir[i]);
    const float e = tanh_scalar(fused(r, re[i], ie[i]));
    state[i] = fused(u, state[i] - e, e);
  }
}

float exponentials(uint32_t n, float inverse_temperature, const float* logits, float* e, float* groups) {
  float greatest = -INFINITY;
  for (uint32_t i = 0; i < n; ++i) greatest = logits[i] > greatest ? logits[i] : greatest;
  for (uint32_t g = 0; g < n; g += kGroup) {
    for (uint32_t i = g; i < g + kGroup; ++i)
      e[i] = i < n ? exp_scalar((logits[i] - greatest) * inverse_temperature) : 0.0f;
    groups[g / kGroup] = fold<kGroup>(e + g);
  }
  return greatest;
}

void upsample(uint32_t n_rows, uint32_t window, uint32_t channels, const float* weights, const float* in,
              uint32_t row_stride, float* out) {
  for (uint32_t i = 0; i < n_rows; ++i) {
    for (uint32_t c = 0; c < channels; ++c) {
      float sum = 0.0f;
      for (uint32_t j = 0; j < window; ++j)
        sum = fused(weights[size_t{i} * window + j], in[size_t{j} * channels + c], sum);
      out[size_t{i} * row_stride + c] = sum;
    }
  }
}

void harmonics(uint32_t n, uint32_t count, const float* cosine, const float* sine, const float* at, const float* parts,
               uint32_t stride, float* out) {
  const float *c0 = parts, *s0 = c0 + stride, *c1 = s0 + stride, *s1 = c1 + stride;
  for (uint32_t i = 0; i < n; ++i) {
    float c = 1.0f, s = 0.0f, sum = out[i];
    for (uint32_t k = 0; k < count; ++k) {
      const float before = c;
      c = fused(-s, sine[i], c * cosine[i]);
      s = fused(s, cosine[i], before * sine[i]);
      sum = fused(fused(c1[k] - c0[k], at[i], c0[k]), c, sum);
      sum = fused(fused(s1[k] - s0[k], at[i], s0[k]), s, sum);
    }
    out[i] = sum;
  }
}

void corrections(uint32_t n, const Correction& c, const float* features, float* bands) {
  for (uint32_t i = 0; i < n; ++i) bands[i] = correction_of(c, features[i], bands[i]);
}

void put_piece(uint32_t n, float share, float momentum, const float* frame, const float* synthesis, float* before,
               float* piece, float* signal) {
  for (uint32_t i = 0; i < n; ++i) {
    float made = frame[i] * share * synthesis[i];
    if (before != nullptr) {
      const float target = made;
      made = fused(momentum, target - before[i], target);
      before[i] = target;
    }
    signal[i] += made - piece[i];
    piece[i] = made;
  }
}

template <Dtype D>
void widen(uint32_t n, const void* values, float* out) {
  for (uint32_t i = 0; i < n; ++i) out[i] = Weights<D>::at(values, i);
}

// Sixteen lanes, which compilers vectorise as far as the baseline allows.
template <Dtype D>
float stream_limit(size_t n, const void* values) {
  float sums[16] = {0};
  for (size_t i = 0; i < n; i += 16) {
    for (size_t l = 0; l < 16; ++l) sums[l] = fused(Weights<D>::at(values, i + l), 0.5f, sums[l]);
  }
  return fold<16>(sums);
}

template <Dtype D>
void overlay_conversions(Kernels* kernels) {
  kernels->widen[D] = widen<D>;
  kernels->stream_limit[D] = stream_limit<D>;
}

template <Dtype D>
void overlay(Kernels* kernels) {
  kernels->matvec[Layout::dense][D] = matvec_dense<D>;
  kernels->matvec[Layout::block_4x4][D] = matvec_blocks<D, 4, 4, 1>;
  kernels->matvec[Layout::block_16x1][D] = matvec_blocks<D, 16, 1, 1>;
  kernels->matvec[Layout::block_1x16][D] = matvec_blocks<D, 1, 16, 1>;
  kernels->matvec[Layout::block_1x4][D] = matvec_blocks<D, 1, 4, 2>;
  kernels->matvec[Layout::block_8x4][D] = matvec_blocks<D, 8, 4, 1>;
  overlay_conversions<D>(kernels);
}

void overlay_int8(Kernels* kernels) {
  kernels->matvec[Layout::dense][Dtype::int8] = matvec_dense_int8;
  kernels->matvec[Layout::block_4x4][Dtype::int8] = matvec_blocks_int8<4, 4>;
  kernels->matvec[Layout::block_16x1][Dtype::int8] = matvec_blocks_int8<16, 1>;
  kernels->matvec[Layout::block_1x16][Dtype::int8] = matvec_blocks_int8<1, 16>;
  kernels->matvec[Layout::block_1x4][Dtype::int8] = matvec_blocks_int8<1, 4>;
  kernels->matvec[Layout::block_8x4][Dtype::int8] = matvec_blocks_int8<8, 4>;
  overlay_conversions<Dtype::int8>(kernels);
}

}  // namespace

void overlay_portable(Kernels* kernels) {
  *kernels = Kernels{};
  overlay<Dtype::fp16>(kernels);
  overlay<Dtype::bf16>(kernels);
  overlay<Dtype::fp32>(kernels);
  overlay_int8(kernels);
  kernels->activate = activate;
  kernels->gates = gates;
  kernels->exponentials = exponentials;
  kernels->upsample = upsample;
  kernels->harmonics = harmonics;
  kernels->all_pole = all_pole;
  kernels->spectrum = spectrum<FourLanes>;
  kernels->from_spectrum = from_spectrum<FourLanes>;
  kernels->corrections = corrections;
  kernels->put_piece = put_piece;
}

}  // namespace linnet
