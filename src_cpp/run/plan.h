// How the threads of a stream share the sample program.
//
// Every thread goes through the same tasks in the same order, and does its part of each. A task is an operation, or
// half of one: the product of a linear operation, or the finish (add, activation) that needs all of the product's rows.
// Where a task touches what another thread may have touched since they last met, a barrier stands before it.
#pragma once

#include <stdint.h>

#include "operations/part.h"

namespace linnet {

struct Threading {
  uint32_t n_threads;
  // What a meeting of all threads costs, in the time that 16 weights of a matrix take (about 0.3 ns on a fast core).
  // Tasks that cost less stay with thread 0.
  uint32_t barrier_cost;
};

// Measured: 50 ns between neighbouring cores to 400 ns between distant ones.
constexpr uint32_t kBarrierCost = 1200;

struct Task {
  const Operation* operation;
  const OperationRow* row;
  bool product, finish;  // of a linear operation: which of its halves
  bool split;            // every thread has a part; otherwise it is thread 0's
  bool barrier;          // all threads meet before it
};

struct Plan {
  uint32_t n_threads;  // 1 where no task is worth sharing
  uint32_t n_tasks;
  Task* tasks;  // (n_tasks)
  Part* parts;  // (n_tasks, n_threads)

  const Part& part(uint32_t task, uint32_t thread) const { return parts[task * size_t{n_threads} + thread]; }
};

// The most tasks that a plan for this model can have.
uint32_t most_tasks(const Model& model);

// Fill a plan whose arrays hold most_tasks, and n_threads times as many elements.
void make_plan(const Model& model, const Threading& threading, Plan* plan);

}  // namespace linnet
