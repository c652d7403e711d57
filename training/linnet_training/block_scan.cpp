// A GRU over time whose recurrent matrix consists of 4x4 blocks, forwards and backwards, for training on CPUs.
// 16 streams are the lanes of one vector. Shapes: T steps, H units (a multiple of 4), I inputs, hop steps per frame.
// Gates stand in torch's order r, z, n: h' = (1 - z) tanh(i_n + r (W_n h + b_n)) + z h.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <stdint.h>
#include <string.h>

#include <vector>

// One copy per level of the instruction set, chosen when the module is loaded.
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__)
#define FOR_EVERY_LEVEL __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EVERY_LEVEL
#endif
#pragma GCC diagnostic ignored "-Wpsabi"  // vectors are only passed between functions that are inlined

namespace {

using Lanes = float __attribute__((vector_size(64)));
using Bits = int32_t __attribute__((vector_size(64)));
constexpr int kStreams = 16;

#define INLINE inline __attribute__((always_inline))

INLINE Lanes splat(float x) { return x - Lanes{}; }
INLINE Lanes load(const float* p) {
  Lanes v;
  memcpy(&v, p, sizeof v);
  return v;
}
INLINE void store(float* p, Lanes v) { memcpy(p, &v, sizeof v); }
INLINE Lanes less(Lanes a, Lanes b) { return a < b ? a : b; }
INLINE Lanes more(Lanes a, Lanes b) { return a > b ? a : b; }
INLINE float sum(Lanes v) {
  float s = 0.0f;
  for (int l = 0; l < kStreams; ++l) s += v[l];
  return s;
}

// As src_cpp/kernels/arithmetic.h, but for the rounding of the reduction.
INLINE Lanes exponential(Lanes x) {
  x = less(more(x, splat(-86.0f)), splat(86.0f));
  const Lanes t = x * 0x1.715476p+0f + 0x1.8p+23f;
  const Lanes r = x - (t - 0x1.8p+23f) * 0x1.62e430p-1f;
  Lanes p = splat(0x1.6a524ep-10f);
  p = p * r + 0x1.12396ep-7f;
  p = p * r + 0x1.5558aap-5f;
  p = p * r + 0x1.555492p-3f;
  p = p * r + 0x1.fffffcp-2f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return (Lanes)((Bits)p + (((Bits)t - (Bits)splat(0x1.8p+23f)) << 23));
}
INLINE Lanes sigmoid(Lanes x) { return 1.0f / (1.0f + exponential(-x)); }
INLINE Lanes tanh(Lanes x) { return 2.0f * sigmoid(x + x) - 1.0f; }

struct Blocks {
  const int32_t* starts;   // (block rows + 1)
  const int32_t* columns;  // (blocks)
  const float* values;     // (blocks, 4, 4)
};

// y (4, 16) = the block row's rows times x (columns, 16).
INLINE void product(const Blocks& w, int block_row, const float* x, Lanes* y) {
  Lanes y0{}, y1{}, y2{}, y3{};
  for (int32_t k = w.starts[block_row]; k < w.starts[block_row + 1]; ++k) {
    const float* v = w.values + 16 * size_t(k);
    for (int c = 0; c < 4; ++c) {
      const Lanes xc = load(x + 64 * size_t(w.columns[k]) + 16 * c);
      y0 += v[c] * xc;
      y1 += v[4 + c] * xc;
      y2 += v[8 + c] * xc;
      y3 += v[12 + c] * xc;
    }
  }
  y[0] = y0;
  y[1] = y1;
  y[2] = y2;
  y[3] = y3;
}

struct Shape {
  int steps, units, inputs, hop;
};

FOR_EVERY_LEVEL
void run_forward(Shape shape, Blocks w, const float* frames, const float* inputs, const float* input_weights,
                 const float* bias, float* states, float* gates) {
  const int H = shape.units;
  for (int t = 0; t < shape.steps; ++t) {
    const float* h = states + size_t(t) * H * 16;
    float* next = states + size_t(t + 1) * H * 16;
    const float* frame = frames + size_t(t / shape.hop) * 3 * H * 16;
    const float* in = inputs + size_t(t) * shape.inputs * 16;
    float* g = gates + size_t(t) * 4 * H * 16;
    for (int q = 0; q < H / 4; ++q) {
      Lanes recurrent[3][4];
      for (int gate = 0; gate < 3; ++gate) product(w, gate * (H / 4) + q, h, recurrent[gate]);
      for (int u = 4 * q; u < 4 * q + 4; ++u) {
        Lanes given[3];
        for (int gate = 0; gate < 3; ++gate) {
          const int row = gate * H + u;
          given[gate] = load(frame + 16 * size_t(row));
          for (int i = 0; i < shape.inputs; ++i)
            given[gate] += input_weights[row * shape.inputs + i] * load(in + 16 * i);
          recurrent[gate][u % 4] += bias[row];
        }
        const Lanes r = sigmoid(given[0] + recurrent[0][u % 4]), z = sigmoid(given[1] + recurrent[1][u % 4]);
        const Lanes n = tanh(given[2] + r * recurrent[2][u % 4]);
        store(g + 16 * u, r);
        store(g + 16 * (H + u), z);
        store(g + 16 * (2 * H + u), n);
        store(g + 16 * (3 * H + u), recurrent[2][u % 4]);
        store(next + 16 * u, n + z * (load(h + 16 * u) - n));
      }
    }
  }
}

// through: the gradients of the sums W h + b (T, 3H, 16); w: the transposed blocks.
FOR_EVERY_LEVEL
void run_backward(Shape shape, Blocks w, const float* inputs, const float* states, const float* gates,
                  const float* gradient, float* through, float* frame_gradient, float* input_gradient) {
  const int H = shape.units, I = shape.inputs;
  std::vector<float> carried(size_t(H) * 16), partial(size_t(3) * H * I * 16);
  for (int t = shape.steps - 1; t >= 0; --t) {
    const float* h = states + size_t(t) * H * 16;
    const float* g = gates + size_t(t) * 4 * H * 16;
    const float* in = inputs + size_t(t) * I * 16;
    float* sums = through + size_t(t) * 3 * H * 16;
    float* frame = frame_gradient + size_t(t / shape.hop) * 3 * H * 16;
    for (int u = 0; u < H; ++u) {
      const Lanes r = load(g + 16 * u), z = load(g + 16 * (H + u)), n = load(g + 16 * (2 * H + u));
      const Lanes recurrent = load(g + 16 * (3 * H + u));
      const Lanes d = load(&carried[16 * size_t(u)]) + load(gradient + (size_t(t) * H + u) * 16);
      const Lanes dn = d * (1.0f - z) * (1.0f - n * n);
      const Lanes dz = d * (load(h + 16 * u) - n) * z * (1.0f - z);
      const Lanes dr = dn * recurrent * r * (1.0f - r);
      store(sums + 16 * u, dr);
      store(sums + 16 * (H + u), dz);
      store(sums + 16 * (2 * H + u), dn * r);
      const Lanes given[3] = {dr, dz, dn};
      for (int gate = 0; gate < 3; ++gate) {
        const size_t row = size_t(gate) * H + u;
        store(frame + 16 * row, load(frame + 16 * row) + given[gate]);
        for (int i = 0; i < I; ++i) {
          float* p = &partial[(row * I + i) * 16];
          store(p, load(p) + given[gate] * load(in + 16 * i));
        }
      }
      store(&carried[16 * size_t(u)], d * z);
    }
    for (int q = 0; q < H / 4; ++q) {
      Lanes y[4];
      product(w, q, sums, y);
      for (int j = 0; j < 4; ++j) {
        float* c = &carried[16 * size_t(4 * q + j)];
        store(c, load(c) + y[j]);
      }
    }
  }
  for (size_t k = 0; k < size_t(3) * H * I; ++k) input_gradient[k] = sum(load(&partial[16 * k]));
}

// The gradient of the stored blocks only, in stretches of time that stay in the cache.
FOR_EVERY_LEVEL
void run_weight_gradient(Shape shape, Blocks w, const float* states, const float* through, float* gradient) {
  const int H = shape.units, rows = 3 * H / 4, stretch = 32;
  memset(gradient, 0, sizeof(float) * 16 * size_t(w.starts[rows]));
  // Copied, because steps that stand 64 H bytes apart fall on the same few lines of the cache.
  std::vector<float> x_copy(size_t(H) * 16 * stretch), y_copy(64 * stretch);
  for (int start = 0; start < shape.steps; start += stretch) {
    const int n = shape.steps - start < stretch ? shape.steps - start : stretch;
    for (int c = 0; c < H / 4; ++c)
      for (int t = 0; t < n; ++t)
        memcpy(&x_copy[(size_t(c) * stretch + t) * 64], states + (size_t(start + t) * H + 4 * c) * 16, 256);
    for (int i = 0; i < rows; ++i) {
      for (int t = 0; t < n; ++t) memcpy(&y_copy[64 * t], through + (size_t(start + t) * 3 * H + 4 * i) * 16, 256);
      for (int32_t k = w.starts[i]; k < w.starts[i + 1]; ++k) {
        Lanes total[16] = {};
        const float *x = &x_copy[size_t(w.columns[k]) * stretch * 64], *y = y_copy.data();
        for (int t = 0; t < n; ++t, x += 64, y += 64) {
          const Lanes x0 = load(x), x1 = load(x + 16), x2 = load(x + 32), x3 = load(x + 48);
          for (int r = 0; r < 4; ++r) {
            const Lanes yr = load(y + 16 * r);
            total[4 * r] += yr * x0;
            total[4 * r + 1] += yr * x1;
            total[4 * r + 2] += yr * x2;
            total[4 * r + 3] += yr * x3;
          }
        }
        for (int r = 0; r < 16; ++r) gradient[16 * size_t(k) + r] += sum(total[r]);
      }
    }
  }
}

namespace py = pybind11;
using Floats = py::array_t<float, py::array::c_style>;
using Integers = py::array_t<int32_t, py::array::c_style>;

Blocks blocks(const Integers& starts, const Integers& columns, const Floats& values) {
  return {starts.data(), columns.data(), values.data()};
}

Shape shape(const Floats& inputs, const Floats& states, int hop) {
  return {int(inputs.shape(0)), int(states.shape(1)), int(inputs.shape(1)), hop};
}

}  // namespace

PYBIND11_MODULE(_block_scan, module) {
  module.def("forward", [](Integers starts, Integers columns, Floats values, Floats frames, Floats inputs,
                           Floats input_weights, Floats bias, Floats states, Floats gates, int hop) {
    run_forward(shape(inputs, states, hop), blocks(starts, columns, values), frames.data(), inputs.data(),
                input_weights.data(), bias.data(), states.mutable_data(), gates.mutable_data());
  });
  module.def("backward",
             [](Integers starts, Integers columns, Floats values, Floats inputs, Floats states, Floats gates,
                Floats gradient, Floats through, Floats frame_gradient, Floats input_gradient, int hop) {
               run_backward(shape(inputs, states, hop), blocks(starts, columns, values), inputs.data(), states.data(),
                            gates.data(), gradient.data(), through.mutable_data(), frame_gradient.mutable_data(),
                            input_gradient.mutable_data());
             });
  module.def("weight_gradient", [](Integers starts, Integers columns, Floats states, Floats through, Floats gradient) {
    const Shape s{int(through.shape(0)), int(states.shape(1)), 0, 0};
    run_weight_gradient(s, Blocks{starts.data(), columns.data(), nullptr}, states.data(), through.data(),
                        gradient.mutable_data());
  });
}
