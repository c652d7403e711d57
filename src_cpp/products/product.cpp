#include "products/product.h"

#include <new>
#include <string.h>

#include "run/arena.h"
#include "run/plan.h"

namespace linnet {
namespace {

bool needs_padding(const Matrix& w) { return w.padded_cols() != w.cols; }

// Floats that one thread needs: vectors up to whole blocks, and the scratch of kernels for several vectors.
size_t scratch_floats(const Matrix& w) { return (needs_padding(w) ? 2 : 1) * kTogether * w.padded_cols(); }

// One thread's part of the product, or the whole.
void multiply(const linnet_product& p, const Part& part, float* scratch) {
  const Matrix& w = *p.weights;
  const size_t padded_cols = w.padded_cols();
  float* packed = scratch;
  float* padded = scratch + kTogether * padded_cols;
  const float* bias = p.bias == nullptr ? nullptr : p.bias + part.first;
  for (size_t first = 0; first < p.n; first += kTogether) {
    const uint32_t count = p.n - first < kTogether ? static_cast<uint32_t>(p.n - first) : kTogether;
    const float* x[kTogether];
    float* y[kTogether];
    for (uint32_t l = 0; l < count; ++l) {
      x[l] = p.x + (first + l) * w.cols;
      y[l] = p.y + (first + l) * w.rows + part.first;
      if (needs_padding(w)) {  // the floats beyond the matrix meet weights of zero
        float* whole = padded + l * padded_cols;
        memcpy(whole, x[l], w.cols * sizeof(float));
        memset(whole + w.cols, 0, (padded_cols - w.cols) * sizeof(float));
        x[l] = whole;
      }
    }
    p.kernels.multiply(part.weights, count, x, bias, packed, y);
  }
}

void work(void* context, uint32_t thread) {
  const auto& product = *static_cast<const linnet_product*>(context);
  if (product.parts[thread].count != 0) multiply(product, product.parts[thread], product.scratch[thread]);
}

linnet_product* place(BumpAllocator* memory, const Matrix& w, uint32_t n_threads, float** scratch) {
  linnet_product* product = memory->take<linnet_product>(1);
  for (uint32_t t = 0; t < n_threads; ++t) scratch[t] = memory->take<float>(scratch_floats(w));
  return product;
}

}  // namespace

size_t product_size(const Matrix& w, uint32_t n_threads) {
  BumpAllocator measure(nullptr);
  float* scratch[kMaxThreads];
  place(&measure, w, n_threads, scratch);
  return measure.used();
}

linnet_product* make_product(const Matrix& w, const Kernels& kernels, uint32_t n_threads, void* memory) {
  BumpAllocator pieces(memory);
  float* scratch[kMaxThreads] = {};
  linnet_product* product = new (place(&pieces, w, n_threads, scratch)) linnet_product();
  product->weights = &w;
  product->kernels = kernels;
  memcpy(product->scratch, scratch, sizeof scratch);
  const Items items = items_of_product(w);
  product->n_threads = items.count < n_threads ? items.count : n_threads;
  product->cost = items.cost();
  deal(items, product->n_threads, 1.0 / product->n_threads, product->parts);
  if (product->n_threads > 1 && !product->team.start(product->n_threads, work, product)) {
    product->~linnet_product();
    return nullptr;
  }
  return product;
}

void run_product(linnet_product* product, size_t n, const float* x, const float* bias, float* y) {
  product->n = n;
  product->x = x;
  product->bias = bias;
  product->y = y;
  // Two meetings of the threads cost more than they save on a small product.
  if (product->n_threads > 1 && product->cost * n >= 2 * uint64_t{kBarrierCost}) return product->team.run();
  const Items items = items_of_product(*product->weights);
  multiply(*product, part_of(items, 0, items.count), product->scratch[0]);
}

void end_product(linnet_product* product) {
  if (product->n_threads > 1) product->team.stop();
  product->~linnet_product();
}

}  // namespace linnet
