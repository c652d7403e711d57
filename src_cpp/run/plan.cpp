#include "run/plan.h"

#include <stddef.h>

#include "operations/linear.h"
#include "operations/output.h"

namespace linnet {
namespace {

// The most tasks between two barriers: each is compared with all others, which must not take long, whatever the file.
constexpr uint32_t kMostUnmet = 32;

// Floats of the arena.
struct Range {
  uint64_t first, last;

  bool meets(const Range& other) const { return first < other.last && other.first < last; }
};

// What a task reads and writes, over all rows of a frame.
struct Touched {
  Range ranges[8];
  bool written[8];
  uint32_t count;

  void add(const Model& model, const Operand& operand, uint64_t size, bool writes) {
    const uint64_t last = operand.offset + uint64_t{operand.stride} * (model.config.rows() - 1) + size;
    ranges[count] = Range{operand.offset, last};
    written[count++] = writes;
  }
};

Touched touched_by(const Model& model, const Task& task) {
  Touched touched = {};
  const Operation& op = *task.operation;
  for (const Word* word = task.row->words; word->at != 0; ++word) {
    if (word->kind != WordKind::operand || !has(op, *word)) continue;
    if ((word->half == kProduct && !task.product) || (word->half == kFinish && !task.finish)) continue;
    const Operand operand = {op.words[word->at], op.words[word->at + 1]};
    touched.add(model, operand, size_of(model, op, *word), word->use != Use::read);
  }
  const Operand* predicted = op.code() == Code::draw ? predicted_of(last_operation(model)) : nullptr;
  if (predicted != nullptr) touched.add(model, *predicted, kPredicted, false);
  return touched;
}

// Whether one of the two writes what the other reads or writes.
bool conflict(const Touched& a, const Touched& b) {
  for (uint32_t i = 0; i < a.count; ++i) {
    for (uint32_t k = 0; k < b.count; ++k) {
      if ((a.written[i] || b.written[k]) && a.ranges[i].meets(b.ranges[k])) return true;
    }
  }
  return false;
}

class Planner {
 public:
  Planner(const Model& model, const Threading& threading, Plan* plan)
      : model_(model), barrier_cost_(threading.barrier_cost), plan_(*plan) {
    plan_.n_threads = threading.n_threads;
  }

  void plan() {
    plan_.n_tasks = 0;
    bool any_split = false;
    for (uint32_t n = 0; n < model_.config.n_sample_operations; ++n)
      any_split |= add_operation(model_.sample_program[n]);
    if (!any_split) plan_.n_threads = 1;
    // Twice, because the first tasks of a sample follow the last ones of the sample before.
    uint32_t unmet = 0;
    for (int round = 0; round < 2; ++round) {
      for (uint32_t i = 0; i < plan_.n_tasks; ++i) unmet = place_barrier(i, unmet) + 1;
    }
    deal_out();
  }

 private:
  bool worth_splitting(const Task& task) const {
    if (plan_.n_threads == 1) return false;
    const Items items = items_of(task);
    return items.count > 1 && items.cost() >= barrier_cost_;
  }

  // Whether it is split.
  bool add_operation(const Operation& op) {
    const OperationRow* row = row_of(op.code());
    const bool finish = needs_finish(op);
    Task task = {&op, row, true, finish, false, false};
    task.split = worth_splitting(task);
    // A quad's block rows lie anywhere in the matrix, while the finish takes neighbouring rows, many at a time. So the
    // rows that one thread finishes have been multiplied by several.
    if (finish && task.split && items_of(task).quads()) {
      plan_.tasks[plan_.n_tasks++] = Task{&op, row, true, false, true, false};
      task = Task{&op, row, false, true, false, false};
      task.split = worth_splitting(task);
      plan_.tasks[plan_.n_tasks++] = task;
      return true;
    }
    plan_.tasks[plan_.n_tasks++] = task;
    return task.split;
  }

  Items items_of(const Task& task) const { return linnet::items_of(model_, *task.operation, task.product); }

  void give(uint32_t task, uint32_t thread, Part part) {
    part.product = plan_.tasks[task].product;
    part.finish = plan_.tasks[task].finish;
    plan_.parts[task * size_t{plan_.n_threads} + thread] = part;
  }

  // Task i follows `unmet` tasks since the last barrier; returns how many are left before it.
  uint32_t place_barrier(uint32_t i, uint32_t unmet) {
    Task& task = plan_.tasks[i];
    const Touched touched = touched_by(model_, task);
    for (uint32_t back = 1; back <= unmet && !task.barrier; ++back) {
      const uint32_t other = (i + plan_.n_tasks - back % plan_.n_tasks) % plan_.n_tasks;
      const bool same_thread = !task.split && !plan_.tasks[other].split;
      task.barrier = !same_thread && conflict(touched, touched_by(model_, plan_.tasks[other]));
    }
    if (unmet == kMostUnmet && plan_.n_threads > 1) task.barrier = true;
    const uint32_t left = task.barrier ? 0 : unmet;
    return left < plan_.n_tasks ? left : plan_.n_tasks - 1;
  }

  // Between two barriers every thread is to have as much to do, thread 0 with the tasks that are its alone.
  void deal_out() {
    const uint32_t n = plan_.n_tasks;
    uint32_t start = 0;
    while (start < n && !plan_.tasks[start].barrier) ++start;
    start = start == n ? 0 : start;
    for (uint32_t done = 0; done < n;) {
      uint32_t length = 1;
      while (done + length < n && !plan_.tasks[(start + done + length) % n].barrier) ++length;
      deal_out((start + done) % n, length);
      done += length;
    }
  }

  void deal_out(uint32_t start, uint32_t length) {
    uint64_t alone = 0, together = 0;
    for (uint32_t k = 0; k < length; ++k) {
      const uint32_t i = (start + k) % plan_.n_tasks;
      (plan_.tasks[i].split ? together : alone) += items_of(plan_.tasks[i]).cost();
    }
    const double fair = static_cast<double>(alone + together) / plan_.n_threads;
    const double first = fair > alone && together > 0 ? (fair - static_cast<double>(alone)) / together : 0.0;
    for (uint32_t k = 0; k < length; ++k) {
      const uint32_t i = (start + k) % plan_.n_tasks;
      if (plan_.tasks[i].split) {
        divide(i, first);
      } else {
        give_to_first(i);
      }
    }
  }

  void give_to_first(uint32_t i) {
    const Items items = items_of(plan_.tasks[i]);
    give(i, 0, part_of(items, 0, items.count));
    for (uint32_t t = 1; t < plan_.n_threads; ++t) give(i, t, Part{});
  }

  // Thread 0 gets the part `first` of the cost, the others equal parts of the rest.
  void divide(uint32_t i, double first) {
    Part* parts = plan_.parts + i * size_t{plan_.n_threads};
    deal(items_of(plan_.tasks[i]), plan_.n_threads, first, parts);
    for (uint32_t t = 0; t < plan_.n_threads; ++t) give(i, t, parts[t]);
  }

  const Model& model_;
  uint64_t barrier_cost_;
  Plan& plan_;
};

}  // namespace

uint32_t most_tasks(const Model& model) { return 2 * model.config.n_sample_operations; }

void make_plan(const Model& model, const Threading& threading, Plan* plan) { Planner(model, threading, plan).plan(); }

}  // namespace linnet
