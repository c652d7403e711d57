// Every kernel in plain C++: the definition of the order of sums that all other sets follow.
#include "kernels/arithmetic.h"
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

size_t column_at(const Matrix& w, size_t k) {
  return w.index_width == 1 ? static_cast<const uint8_t*>(w.columns)[k] : static_cast<const uint16_t*>(w.columns)[k];
}

float fold16(const float* p) {
  float a[8], b[4];
  for (int l = 0; l < 8; ++l) a[l] = p[l] + p[l + 8];
  for (int l = 0; l < 4; ++l) b[l] = a[l] + a[l + 4];
  return (b[0] + b[1]) + (b[2] + b[3]);
}

void store(const Matrix& w, size_t row, float sum, const float* bias, float* y) {
  if (row < w.rows) y[row] = sum + (bias ? bias[row] : 0.0f);
}

template <Dtype D>
void matvec_dense(const Matrix& w, const float* x, const float* bias, float* y) {
  for (size_t row = 0; row < w.rows; ++row) {
    float p[2] = {0.0f, 0.0f};
    const size_t first = row / 16 * w.cols * 16 + row % 16;
    for (size_t c = 0; c < w.cols; ++c) p[c % 2] = fmaf(Weights<D>::at(w.values, first + 16 * c), x[c], p[c % 2]);
    store(w, row, p[0] + p[1], bias, y);
  }
}

template <Dtype D>
void matvec_4x4(const Matrix& w, const float* x, const float* bias, float* y) {
  size_t block = 0;
  for (size_t i = 0; i < w.n_quads; ++i) {
    float p[4][4][4] = {};  // block row of the quad, row, column
    for (uint32_t k = 0; k < w.quads[i].steps; ++k) {
      for (int q = 0; q < 4; ++q, ++block) {
        const float* xb = x + 4 * column_at(w, block);
        for (int r = 0; r < 4; ++r) {
          for (int c = 0; c < 4; ++c) {
            p[q][r][c] = fmaf(Weights<D>::at(w.values, 16 * block + 4 * r + c), xb[c], p[q][r][c]);
          }
        }
      }
    }
    for (int q = 0; q < 4; ++q) {
      const size_t row = size_t{4} * w.quads[i].block_rows[q];
      for (int r = 0; r < 4; ++r) store(w, row + r, (p[q][r][0] + p[q][r][1]) + (p[q][r][2] + p[q][r][3]), bias, y);
    }
  }
}

template <Dtype D>
void matvec_16x1(const Matrix& w, const float* x, const float* bias, float* y) {
  size_t block = 0;
  for (size_t i = 0; i < w.n_quads; ++i) {
    float p[4][16] = {};  // block row of the quad, row
    for (uint32_t k = 0; k < w.quads[i].steps; ++k) {
      for (int q = 0; q < 4; ++q, ++block) {
        const float xb = x[column_at(w, block)];
        for (int r = 0; r < 16; ++r) p[q][r] = fmaf(Weights<D>::at(w.values, 16 * block + r), xb, p[q][r]);
      }
    }
    for (int q = 0; q < 4; ++q) {
      const size_t row = size_t{16} * w.quads[i].block_rows[q];
      for (int r = 0; r < 16; ++r) store(w, row + r, p[q][r], bias, y);
    }
  }
}

template <Dtype D>
void matvec_1x16(const Matrix& w, const float* x, const float* bias, float* y) {
  size_t block = 0;
  for (size_t i = 0; i < w.n_quads; ++i) {
    float p[4][16] = {};  // row of the quad, column
    for (uint32_t k = 0; k < w.quads[i].steps; ++k) {
      for (int q = 0; q < 4; ++q, ++block) {
        const float* xb = x + 16 * column_at(w, block);
        for (int c = 0; c < 16; ++c) p[q][c] = fmaf(Weights<D>::at(w.values, 16 * block + c), xb[c], p[q][c]);
      }
    }
    for (int q = 0; q < 4; ++q) store(w, w.quads[i].block_rows[q], fold16(p[q]), bias, y);
  }
}

template <Dtype D>
void matvec_1x4(const Matrix& w, const float* x, const float* bias, float* y) {
  size_t block = 0;
  for (size_t i = 0; i < w.n_quads; ++i) {
    float p[4][2][4] = {};  // row of the quad, even or odd step, column
    for (uint32_t k = 0; k < w.quads[i].steps; ++k) {
      for (int q = 0; q < 4; ++q, ++block) {
        const float* xb = x + 4 * column_at(w, block);
        for (int c = 0; c < 4; ++c) {
          float& sum = p[q][k % 2][c];
          sum = fmaf(Weights<D>::at(w.values, 4 * block + c), xb[c], sum);
        }
      }
    }
    for (int q = 0; q < 4; ++q) {
      float s[4];
      for (int c = 0; c < 4; ++c) s[c] = p[q][0][c] + p[q][1][c];
      store(w, w.quads[i].block_rows[q], (s[0] + s[1]) + (s[2] + s[3]), bias, y);
    }
  }
}

void finish(uint32_t n, Activation activation, const float* add, float* y) {
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
    const float e = tanh_scalar(fmaf(r, re[i], ie[i]));
    state[i] = fmaf(u, state[i] - e, e);
  }
}

float exponentials(uint32_t n, float inverse_temperature, const float* logits, float* e, float* groups) {
  float greatest = -INFINITY;
  for (uint32_t i = 0; i < n; ++i) greatest = logits[i] > greatest ? logits[i] : greatest;
  for (uint32_t g = 0; g < n; g += kGroup) {
    for (uint32_t i = g; i < g + kGroup; ++i)
      e[i] = i < n ? exp_scalar((logits[i] - greatest) * inverse_temperature) : 0.0f;
    groups[g / kGroup] = fold16(e + g);
  }
  return greatest;
}

void upsample(uint32_t n_rows, uint32_t window, uint32_t channels, const float* weights, const float* in,
              uint32_t row_stride, float* out) {
  for (uint32_t i = 0; i < n_rows; ++i) {
    for (uint32_t c = 0; c < channels; ++c) {
      float sum = 0.0f;
      for (uint32_t j = 0; j < window; ++j)
        sum = fmaf(weights[size_t{i} * window + j], in[size_t{j} * channels + c], sum);
      out[size_t{i} * row_stride + c] = sum;
    }
  }
}

void widen(uint32_t n, Dtype dtype, const void* values, float* out) {
  for (uint32_t i = 0; i < n; ++i) {
    switch (dtype) {
      case Dtype::fp16:
        out[i] = Weights<Dtype::fp16>::at(values, i);
        break;
      case Dtype::bf16:
        out[i] = Weights<Dtype::bf16>::at(values, i);
        break;
      case Dtype::fp32:
        out[i] = Weights<Dtype::fp32>::at(values, i);
        break;
    }
  }
}

// Sixteen lanes, which compilers vectorise as far as the baseline allows.
template <Dtype D>
float stream_of(size_t n, const void* values) {
  float sums[16] = {0};
  for (size_t i = 0; i < n; i += 16) {
    for (size_t l = 0; l < 16; ++l) sums[l] = fmaf(Weights<D>::at(values, i + l), 0.5f, sums[l]);
  }
  return fold16(sums);
}

float stream(size_t n, Dtype dtype, const void* values) {
  switch (dtype) {
    case Dtype::fp16:
      return stream_of<Dtype::fp16>(n, values);
    case Dtype::bf16:
      return stream_of<Dtype::bf16>(n, values);
    case Dtype::fp32:
      break;
  }
  return stream_of<Dtype::fp32>(n, values);
}

template <Dtype D>
void overlay_matvec(Kernels* kernels) {
  constexpr size_t d = static_cast<size_t>(D) - static_cast<size_t>(Dtype::fp16);
  const MatvecFn by_layout[kMatrixLayouts] = {matvec_dense<D>, matvec_4x4<D>, matvec_16x1<D>, matvec_1x16<D>,
                                              matvec_1x4<D>};
  for (size_t l = 0; l < kMatrixLayouts; ++l) {
    kernels->matvec[l][d] = by_layout[l];
    kernels->matvecs[l][d] = nullptr;
  }
}

}  // namespace

void overlay_portable(Kernels* kernels) {
  overlay_matvec<Dtype::fp16>(kernels);
  overlay_matvec<Dtype::bf16>(kernels);
  overlay_matvec<Dtype::fp32>(kernels);
  kernels->finish = finish;
  kernels->gates = gates;
  kernels->exponentials = exponentials;
  kernels->upsample = upsample;
  kernels->widen = widen;
  kernels->stream = stream;
}

}  // namespace linnet
