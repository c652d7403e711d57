#include "products.h"

#include <stdio.h>
#include <string.h>

#include <memory>
#include <random>

#include "interleaved.h"
#include "cpu/float_mode.h"
#include "kernels/contract.h"

namespace bench {
namespace {

using namespace linnet;

struct Shape {
  const char* name;
  Layout layout;
  uint32_t rows, cols;
  double sparsity;
};

// The dense one has as many weights as the others keep.
constexpr Shape kShapes[] = {
    {"3072 x 1024, 95 %, 4x4", Layout::block_4x4, 3072, 1024, 0.95},
    {"3072 x 1024, 95 %, 8x4", Layout::block_8x4, 3072, 1024, 0.95},
    {"3072 x 1024, 95 %, 16x1", Layout::block_16x1, 3072, 1024, 0.95},
    {"1152 x 384, 90 %, 4x4", Layout::block_4x4, 1152, 384, 0.9},
    {"1152 x 384, 90 %, 8x4", Layout::block_8x4, 1152, 384, 0.9},
    {"684 x 228, dense", Layout::dense, 684, 228, 0.0},
};
constexpr const char* kDtypeNames[] = {"fp16", "bf16", "fp32", "int8"};

struct alignas(64) Line {
  unsigned char bytes[64];
};

// A matrix with memory of its own.
struct Stored {
  std::vector<Line> values;
  std::vector<uint16_t> columns;
  std::vector<uint8_t> narrow_columns;
  std::vector<Quad> quads;
  std::vector<float> scales;
  size_t n_weights;   // that lie in `values`
  size_t n_nonzeros;  // less those that fill up quads and panels
  Matrix view;
};

// A weight of any type, neither tiny nor large: in fp16 and bf16, an exponent of -4 .. -1; in int8, not -128.
uint32_t random_weight(Dtype dtype, std::mt19937& random) {
  const uint32_t bits = static_cast<uint32_t>(random());
  if (dtype == Dtype::int8) return (bits % 255 + 129) & 0xFF;
  const uint32_t sign = bits >> 31, step = bits >> 29 & 3;
  if (dtype == Dtype::fp16) return sign << 15 | (11 + step) << 10 | (bits & 0x3FF);
  const uint32_t wide = sign << 31 | (123 + step) << 23 | (bits & 0x7FFFFF);
  return dtype == Dtype::bf16 ? wide >> 16 : wide;
}

void put(Stored* m, Dtype dtype, size_t index, uint32_t weight) {
  const size_t size = weight_bytes(dtype);
  memcpy(m->values.data()->bytes + index * size, &weight, size);  // the low bytes come first
}

void reserve(Stored* m, Dtype dtype, size_t n_weights) {
  m->n_weights = n_weights;
  m->values.assign(n_weights * weight_bytes(dtype) / sizeof(Line) + 1, Line{});
}

std::unique_ptr<Stored> random_dense(const Shape& shape, Dtype dtype, std::mt19937& random) {
  auto m = std::make_unique<Stored>();
  const size_t panels = (shape.rows + 15) / 16;
  reserve(m.get(), dtype, panels * 16 * shape.cols);
  for (size_t row = 0; row < shape.rows; ++row) {
    for (size_t c = 0; c < shape.cols; ++c)
      put(m.get(), dtype, (row / 16 * shape.cols + c) * 16 + row % 16, random_weight(dtype, random));
  }
  m->n_nonzeros = size_t{shape.rows} * shape.cols;
  m->view = Matrix{shape.layout, dtype, shape.rows, shape.cols, 0, 0, m->values.data(), nullptr, nullptr};
  return m;
}

// Blocks at random places, stored as export/FORMAT.md says; block rows sorted by their number of blocks.
std::unique_ptr<Stored> random_blocks(const Shape& shape, Dtype dtype, std::mt19937& random) {
  const BlockShape block = block_shape(shape.layout, dtype);
  const uint32_t block_rows = shape.rows / block.rows, block_cols = shape.cols / block.cols;
  std::vector<std::vector<uint16_t>> pattern(block_rows);
  std::bernoulli_distribution kept(1 - shape.sparsity);
  for (auto& row : pattern) {
    for (uint32_t j = 0; j < block_cols; ++j) {
      if (kept(random)) row.push_back(static_cast<uint16_t>(j));
    }
  }
  std::vector<uint16_t> order(block_rows);
  for (uint32_t i = 0; i < block_rows; ++i) order[i] = static_cast<uint16_t>(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint16_t a, uint16_t b) { return pattern[a].size() > pattern[b].size(); });

  auto m = std::make_unique<Stored>();
  std::vector<bool> real;
  for (uint32_t first = 0; first < block_rows; first += 4) {
    Quad quad = {{kNoBlockRow, kNoBlockRow, kNoBlockRow, kNoBlockRow}, 0};
    quad.depth = static_cast<uint32_t>(pattern[order[first]].size());
    for (uint32_t q = 0; q < 4 && first + q < block_rows; ++q) quad.block_rows[q] = order[first + q];
    for (uint32_t step = 0; step < quad.depth; ++step) {
      for (uint32_t q = 0; q < 4; ++q) {
        const bool there = first + q < block_rows && step < pattern[order[first + q]].size();
        real.push_back(there);
        m->columns.push_back(there ? pattern[order[first + q]][step] : uint16_t{0});
      }
    }
    m->quads.push_back(quad);
  }
  const size_t size = size_t{block.rows} * block.cols;
  reserve(m.get(), dtype, size * real.size());
  m->n_nonzeros = 0;
  for (size_t b = 0; b < real.size(); ++b) {
    if (!real[b]) continue;
    for (size_t e = 0; e < size; ++e) put(m.get(), dtype, size * b + e, random_weight(dtype, random));
    m->n_nonzeros += size;
  }
  const void* columns = m->columns.data();
  if (block_cols <= 256) {
    m->narrow_columns.assign(m->columns.begin(), m->columns.end());
    columns = m->narrow_columns.data();
  }
  m->view = Matrix{shape.layout,
                   dtype,
                   shape.rows,
                   shape.cols,
                   static_cast<uint32_t>(m->quads.size()),
                   block_cols <= 256 ? 1u : 2u,
                   m->values.data(),
                   columns,
                   m->quads.data()};
  return m;
}

void print_product(const Shape& shape, Dtype dtype) {
  std::mt19937 random(1);
  const auto m =
      shape.layout == Layout::dense ? random_dense(shape, dtype, random) : random_blocks(shape, dtype, random);
  m->scales.assign(shape.rows, 1.0f / 127);
  m->view.scales = m->scales.data();
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  std::vector<float> x(size_t{kTogether} * shape.cols), y(size_t{kTogether} * shape.rows), bias(shape.rows, 0.5f);
  std::vector<Line> scratch(x.size() * sizeof(float) / sizeof(Line) + 1);
  auto* packed = reinterpret_cast<float*>(scratch.data());
  for (float& v : x) v = uniform(random);
  const float* in[kTogether];
  float* out[kTogether];
  for (uint32_t l = 0; l < kTogether; ++l) {
    in[l] = x.data() + size_t{l} * shape.cols;
    out[l] = y.data() + size_t{l} * shape.rows;
  }

  std::vector<Kernels> sets;
  for (size_t i = 0; kernel_name(i) != nullptr; ++i) select_kernels(kernel_name(i), &sets.emplace_back());
  volatile float sink = 0;  // keeps the compiler from dropping the work
  std::vector<std::function<void()>> work;
  const size_t streamed = m->n_weights / 64 * 64;
  work.push_back([&] { sink = sets[0].stream_limit[dtype](streamed, m->view.values); });
  for (const Kernels& k : sets) {
    work.push_back([&] { k.matvec_for(m->view)(m->view, in[0], bias.data(), out[0]); });
    const MatvecsFn together = k.matvecs_for(m->view);
    work.push_back([&, together] {
      if (together != nullptr) together(m->view, kTogether, in, bias.data(), packed, out);
    });
  }
  const std::vector<double> seconds = interleaved(work);
  static_cast<void>(sink);
  const double limit = seconds[0] * static_cast<double>(m->n_weights) / static_cast<double>(streamed);
  const char* type = kDtypeNames[static_cast<uint32_t>(dtype) - static_cast<uint32_t>(Dtype::fp16)];
  printf("%-24s %-5s %-11s %9.2f\n", shape.name, type, "(limit)", 1e6 * limit);
  for (size_t s = 0; s < sets.size(); ++s) {
    const double alone = seconds[1 + 2 * s], together = seconds[2 + 2 * s] / kTogether;
    printf("%-24s %-5s %-11s %9.2f %8.2f %8.1f %6.2f", "", "", sets[s].name, 1e6 * alone,
           2e-9 * static_cast<double>(m->n_nonzeros) / alone, 1e-3 / alone, limit / alone);
    if (sets[s].matvecs_for(m->view) != nullptr) printf(" %9.2f", 1e6 * together);
    puts("");
  }
}

}  // namespace

void print_products() {
  const IeeeFloatMode mode;
  printf("%-24s %-5s %-11s %9s %8s %8s %6s %9s\n", "product", "type", "kernels", "us", "GFLOP/s", "1000/s", "limit",
         "us of 8");
  for (const Shape& shape : kShapes) {
    for (Dtype dtype : {Dtype::fp16, Dtype::bf16, Dtype::int8}) print_product(shape, dtype);
  }
  puts(
      "\nlimit: the time to load, widen and multiply-add the same weights, over the time of the product.\n"
      "us of 8: of each of eight products made together.\n");
}

}  // namespace bench
