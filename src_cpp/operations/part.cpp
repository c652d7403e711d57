#include "operations/part.h"

namespace linnet {
namespace {

constexpr uint64_t kQuadCost = 6;   // what a quad takes beyond its blocks
constexpr uint64_t kPanelCost = 2;  // what a dense panel takes beyond its columns

// What so many sixteens of weights take. Measured with AVX2 on an Ice Lake core, in ns beyond the ends of rows: fp16
// 0.80 (4x4), 0.74 (8x4), 0.68 (dense); int8 0.48, 0.35, 0.27. bf16 takes what fp16 does, and so does fp32 where it
// fits into the caches.
uint64_t cost_of(uint64_t sixteens, Dtype dtype) { return dtype == Dtype::int8 ? sixteens / 2 : sixteens; }

uint64_t block_size(const Matrix& w) {
  const BlockShape shape = block_shape(w.layout, w.dtype);
  return uint64_t{shape.rows} * shape.cols;
}

// `w` from a weight and a column index on.
Matrix advanced(Matrix w, uint64_t weight, uint64_t index) {
  w.values = static_cast<const uint8_t*>(w.values) + weight * weight_bytes(w.dtype);
  if (w.columns != nullptr) w.columns = static_cast<const uint8_t*>(w.columns) + index * w.index_width;
  return w;
}

}  // namespace

uint64_t Items::cost(uint32_t item) const {
  return quads() ? kQuadCost + cost_of(weights->quads[item].depth * block_size(*weights) / 4, weights->dtype) : each;
}

uint64_t Items::cost() const {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < count; ++i) sum += cost(i);
  return sum;
}

Items one_item(uint64_t cost) { return Items{nullptr, 1, 1, 1, cost}; }

Items lines_of(uint32_t total, uint64_t cost_of_line) {
  return Items{nullptr, total, kLine, (total + kLine - 1) / kLine, cost_of_line};
}

Items items_of_product(const Matrix& w) {
  if (is_sparse(w.layout)) return Items{&w, w.rows, 0, w.n_quads, 0};
  const uint32_t size = block_shape(w.layout, w.dtype).rows;
  return Items{&w, w.rows, size, (w.rows + size - 1) / size, kPanelCost + cost_of(w.cols, w.dtype)};
}

Items items_of(const Model& model, const Operation& op, bool product) {
  const OperationRow& row = *row_of(op.code());
  return row.items == nullptr ? one_item(kAloneCost) : row.items(model, op, product);
}

Part part_of(const Items& items, uint32_t first, uint32_t last) {
  Part part = {};
  if (first == last) return part;
  if (items.quads()) {
    uint64_t block = 0;
    for (uint32_t i = 0; i < first; ++i) block += uint64_t{4} * items.weights->quads[i].depth;
    part.weights = advanced(*items.weights, block * block_size(*items.weights), block);
    part.weights.quads += first;
    part.weights.n_quads = last - first;
    part.count = items.total;
    return part;
  }
  part.first = first * items.size;
  part.count = (last == items.count ? items.total : last * items.size) - part.first;
  if (items.weights != nullptr) {
    part.weights = advanced(*items.weights, uint64_t{part.first} * items.weights->padded_cols(), 0);
    if (part.weights.scales != nullptr) part.weights.scales += part.first;
    part.weights.rows = part.count;
  }
  return part;
}

void deal(const Items& items, uint32_t n_threads, double first, Part* parts) {
  const double cost = static_cast<double>(items.cost());
  double sum = 0.0;
  uint32_t item = 0;
  for (uint32_t t = 0; t < n_threads; ++t) {
    const uint32_t begin = item;
    const bool last = t + 1 == n_threads;
    const double until = last ? cost : cost * (first + (1.0 - first) * t / (n_threads - 1));
    for (; item < items.count; ++item) {
      const double next = static_cast<double>(items.cost(item));
      if (!last && sum + next / 2 > until) break;
      sum += next;
    }
    parts[t] = part_of(items, begin, item);
  }
}

Part whole(const Model& model, const Operation& op) {
  const Items items = items_of(model, op, true);
  Part part = part_of(items, 0, items.count);
  part.product = part.finish = true;
  return part;
}

}  // namespace linnet
