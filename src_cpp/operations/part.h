// How an operation is dealt out to the threads of a stream: rows or units, never parts of a sum, so that any number of
// threads gives the same bits.
#pragma once

#include "operations/operation.h"

namespace linnet {

// Costs are in the time that 16 weights of fp16 take, measured with AVX2 on a Zen 4 core; only their ratios matter.
constexpr uint64_t kAloneCost = 50;  // of an operation that is not dealt out; of a draw, beyond its classes
constexpr uint32_t kLine = 16;       // floats of a cache line, which two threads had better not both write

// An operation as something to be dealt out: items of `size` rows or units.
struct Items {
  const Matrix* weights;  // of a product, else null
  uint32_t total;         // rows or units
  uint32_t size;
  uint32_t count;
  uint64_t each;  // cost of one, where all cost the same

  bool quads() const { return weights != nullptr && is_sparse(weights->layout); }
  uint64_t cost(uint32_t item) const;
  uint64_t cost() const;
};

// What one thread does of one operation. count 0: nothing.
struct Part {
  uint32_t first, count;  // rows or units; the thread that does the whole of another operation has one
  bool product, finish;   // of a linear operation: which of its halves
  Matrix weights;         // of a product: the rows or quads of this part
};

Items one_item(uint64_t cost);
Items lines_of(uint32_t total, uint64_t cost_of_line);
Items items_of_product(const Matrix& w);
Items items_of(const Model& model, const Operation& op, bool product);

// The items first .. last.
Part part_of(const Items& items, uint32_t first, uint32_t last);

// Deal items out to n_threads by their cost: thread 0 gets the share `first` of it, the others equal shares of the rest.
void deal(const Items& items, uint32_t n_threads, double first,
          Part* parts);  // (n_threads)

// All of it.
Part whole(const Model& model, const Operation& op);

}  // namespace linnet
