// How products are divided among threads: all of it, in shares of equal cost, by what each storage type costs.
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <vector>

#include "operations/part.h"
#include "run/plan.h"

namespace {

using namespace linnet;

void require(bool holds, const char* promise) {
  if (holds) return;
  fprintf(stderr, "broken promise: %s\n", promise);
  exit(1);
}

// Quads of such depths as pruned matrices have: some many times as deep as others.
std::vector<Quad> uneven_quads(uint32_t n) {
  std::vector<Quad> quads(n);
  for (uint32_t i = 0; i < n; ++i) {
    for (uint32_t k = 0; k < 4; ++k) quads[i].block_rows[k] = static_cast<uint16_t>(4 * i + k);
    quads[i].depth = 60 * (n - i) / n;
  }
  return quads;
}

Matrix matrix(Layout layout, Dtype dtype, uint32_t rows, uint32_t cols, const std::vector<Quad>& quads) {
  const bool sparse = is_sparse(layout);
  return {layout,
          dtype,
          rows,
          cols,
          sparse ? static_cast<uint32_t>(quads.size()) : 0,
          sparse ? 1u : 0,
          nullptr,
          nullptr,
          sparse ? quads.data() : nullptr};
}

// The items of the parts follow each other and are all; none costs more than a fair share and the largest item.
void check_deal(const Matrix& w, uint32_t n_threads) {
  const Items items = items_of_product(w);
  std::vector<Part> parts(n_threads);
  deal(items, n_threads, 1.0 / n_threads, parts.data());
  uint64_t largest = 0;
  for (uint32_t i = 0; i < items.count; ++i) largest = std::max(largest, items.cost(i));
  const double fair = static_cast<double>(items.cost()) / n_threads;
  uint32_t next = 0;
  for (const Part& part : parts) {
    const uint32_t n = part.count == 0 ? 0 : items.quads() ? part.weights.n_quads : (part.count + 15) / 16;
    uint64_t cost = 0;
    for (uint32_t i = next; i < next + n; ++i) cost += items.cost(i);
    require(cost <= fair + static_cast<double>(largest), "threads have as much to do");
    if (items.quads() && n != 0) require(part.weights.quads == w.quads + next, "parts follow each other");
    next += n;
  }
  require(next == items.count, "all of a product is dealt out");
}

void check_costs(Layout layout) {
  const std::vector<Quad> quads = uneven_quads(64);
  const auto cost = [&](Dtype dtype) { return items_of_product(matrix(layout, dtype, 1024, 512, quads)).cost(); };
  const uint64_t fp16 = cost(Dtype::fp16), int8 = cost(Dtype::int8);
  require(cost(Dtype::bf16) == fp16 && cost(Dtype::fp32) == fp16, "types that are widened cost alike");
  require(int8 < fp16 && 2 * int8 >= fp16, "weights of int8 take half the time, ends of rows the same");
}

// A product that is worth a meeting of the threads in fp16 need not be in int8.
void check_threshold() {
  const std::vector<Quad> quads = uneven_quads(16);
  const auto worth = [&](Dtype dtype) {
    return items_of_product(matrix(Layout::block_4x4, dtype, 256, 512, quads)).cost() >= kBarrierCost;
  };
  require(worth(Dtype::fp16) && !worth(Dtype::int8), "int8 has a cost of its own");
}

}  // namespace

int main() {
  const std::vector<Quad> quads = uneven_quads(64);
  for (Layout layout : {Layout::dense, Layout::block_4x4, Layout::block_8x4, Layout::block_1x16}) {
    for (Dtype dtype : kDtypes) {
      const uint32_t rows = layout == Layout::dense ? 1000 : 256 * block_shape(layout, dtype).rows;
      for (uint32_t n_threads : {2, 3, 5, 16}) check_deal(matrix(layout, dtype, rows, 512, quads), n_threads);
    }
    check_costs(layout);
  }
  check_threshold();
  printf("divided\n");
  return 0;
}
