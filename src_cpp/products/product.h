// Products of one matrix, with a kernel set, threads and scratch memory of their own.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/contract.h"
#include "operations/part.h"
#include "run/team.h"

struct linnet_product {
  const linnet::Matrix* weights;
  linnet::Kernels kernels;
  linnet::Team team;
  uint32_t n_threads;  // 1 where the matrix has nothing to share
  bool owned;          // in memory that the library allocated
  uint64_t cost;       // of one vector, as operations/part.h counts
  linnet::Part parts[linnet::kMaxThreads];
  float* scratch[linnet::kMaxThreads];

  // What the threads are to multiply.
  size_t n;
  const float* x;     // (n, cols)
  const float* bias;  // (rows) or null
  float* y;           // (n, rows)
};

namespace linnet {

size_t product_size(const Matrix& w, uint32_t n_threads);

// In `memory` (aligned, product_size bytes). Null where a thread cannot be started; errno says why.
linnet_product* make_product(const Matrix& w, const Kernels& kernels, uint32_t n_threads, void* memory);

// y[i] = W x[i] + bias for n vectors, which lie one after the other.
void run_product(linnet_product* product, size_t n, const float* x, const float* bias, float* y);

// End its threads.
void end_product(linnet_product* product);

}  // namespace linnet
