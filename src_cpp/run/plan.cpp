#include "run/plan.h"

#include <stddef.h>

namespace linnet {
namespace {

// Costs are in the time that 16 weights take, measured with AVX2 on a Zen 4 core; only their ratios matter here.
constexpr uint64_t kQuadCost = 6;   // what a quad takes beyond its blocks
constexpr uint64_t kPanelCost = 2;  // what a dense panel takes beyond its columns
constexpr uint64_t kGateCost = 3;   // one unit: three sigmoids or tanhs
constexpr uint64_t kDrawCost = 50;  // a draw beyond its classes, which take 1 each
constexpr uint32_t kLine = 16;      // floats of a cache line, which two threads had better not both write
// Tasks between two barriers, so that comparing each with all takes no time worth speaking of, whatever the file.
constexpr uint32_t kMostUnmet = 32;

// A task as something to be dealt out: items of `size` rows or units.
struct Items {
  const Matrix* weights;  // of a product, else null
  uint32_t total;         // rows or units
  uint32_t size;
  uint32_t count;
  uint64_t each;  // cost of one, where all cost the same

  bool quads() const { return weights != nullptr && weights->layout != Layout::dense; }

  uint64_t cost(uint32_t item) const {
    if (!quads()) return each;
    const BlockShape shape = block_shape(weights->layout);
    return kQuadCost + uint64_t{weights->quads[item].steps} * shape.rows * shape.cols / 4;
  }

  uint64_t cost() const {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; ++i) sum += cost(i);
    return sum;
  }
};

Items lines_of(uint32_t total, uint64_t cost_of_line) {
  return Items{nullptr, total, kLine, (total + kLine - 1) / kLine, cost_of_line};
}

Items items_of(const Model& model, const Task& task) {
  const Operation& op = *task.operation;
  switch (op.code) {
    case Code::linear: {
      const Matrix& w = model.tensors[op.linear.weights];
      if (!task.product) return lines_of(w.rows, op.linear.activation <= Activation::relu ? 2 : kLine);
      if (w.layout != Layout::dense) return Items{&w, w.rows, 0, w.n_quads, 0};
      const uint32_t size = block_shape(w.layout).rows;
      return Items{&w, w.rows, size, (w.rows + size - 1) / size, kPanelCost + w.cols};
    }
    case Code::gates:
      return lines_of(op.gates.units, kLine * kGateCost);
    case Code::add:
      return lines_of(op.add.size, 2);
    case Code::draw:
      return Items{nullptr, 1, 1, 1, kDrawCost + op.draw.classes};
    case Code::logistics:
      return Items{nullptr, 1, 1, 1, op.logistics.bands * (kDrawCost + op.logistics.mixtures)};
    default:
      return Items{nullptr, 1, 1, 1, kDrawCost};
  }
}

// The items first .. last of a task.
Share share_of(const Items& items, uint32_t first, uint32_t last) {
  if (first == last) return Share{};
  if (items.quads()) {
    Matrix w = *items.weights;
    const BlockShape shape = block_shape(w.layout);
    size_t block = 0;
    for (uint32_t i = 0; i < first; ++i) block += size_t{4} * w.quads[i].steps;
    const size_t weight_bytes = w.dtype == Dtype::fp32 ? 4 : 2;
    w.values = static_cast<const uint8_t*>(w.values) + block * shape.rows * shape.cols * weight_bytes;
    w.columns = static_cast<const uint8_t*>(w.columns) + block * w.index_width;
    w.quads += first;
    w.n_quads = last - first;
    return Share{0, items.total, w};
  }
  const uint32_t row = first * items.size;
  const uint32_t end = last == items.count ? items.total : last * items.size;
  Share share = {row, end - row, {}};
  if (items.weights != nullptr) {
    Matrix& w = share.weights;
    w = *items.weights;
    w.values = static_cast<const uint8_t*>(w.values) + size_t{row} * w.cols * (w.dtype == Dtype::fp32 ? 4 : 2);
    w.rows = share.count;
  }
  return share;
}

// Floats of the arena.
struct Range {
  uint64_t first, last;

  bool meets(const Range& other) const { return first < other.last && other.first < last; }
};

// What a task reads and writes, over all rows of a frame.
struct Touched {
  Range reads[3];
  Range writes[2];
};

Range range_of(const Model& model, const Operand& operand, uint64_t size) {
  if (operand.offset == kNone) return Range{0, 0};
  return Range{operand.offset, operand.offset + uint64_t{operand.stride} * (model.config.rows() - 1) + size};
}

// What the output's excitation starts from; a forced draw reads it too.
Range predicted(const Model& model) {
  const Operation& last = model.sample_program[model.config.n_sample_operations - 1];
  const bool excitation = last.code == Code::output && last.output.companding == Companding::excitation;
  return excitation ? range_of(model, last.output.predicted, 2) : Range{0, 0};
}

Touched touched_by(const Model& model, const Task& task) {
  const Operation& op = *task.operation;
  const auto range = [&](const Operand& operand, uint64_t size) { return range_of(model, operand, size); };
  switch (op.code) {
    case Code::linear: {
      const Matrix& w = model.tensors[op.linear.weights];
      const uint64_t block_cols = block_shape(w.layout).cols;
      const uint64_t cols = (w.cols + block_cols - 1) / block_cols * block_cols;
      const Range in = task.product ? range(op.linear.in, cols) : Range{0, 0};
      const Range add = task.finish ? range(op.linear.add, w.rows) : Range{0, 0};
      return Touched{{in, add, {}}, {range(op.linear.out, w.rows), {}}};
    }
    case Code::gates: {
      const uint64_t units = op.gates.units;
      return Touched{{range(op.gates.recurrent, 3 * units), range(op.gates.input, 3 * units), {}},
                     {range(op.gates.state, units), {}}};
    }
    case Code::add:
      return Touched{{range(op.add.in, op.add.size), range(op.add.add, op.add.size), {}},
                     {range(op.add.out, op.add.size), {}}};
    case Code::embedding:
      return Touched{{}, {range(op.embedding.out, model.tensors[op.embedding.table].cols), {}}};
    case Code::draw:
      return Touched{{range(op.draw.in, op.draw.classes), predicted(model), {}}, {range(op.draw.out, 1), {}}};
    case Code::predict: {
      const uint64_t order = op.predict.order;
      return Touched{{range(op.predict.in, order), range(op.predict.gain, 1), {}},
                     {range(op.predict.out, 4), range(op.predict.past, order)}};
    }
    case Code::output: {
      const bool excitation = op.output.companding == Companding::excitation;
      const Range past = excitation ? range(op.output.past, 1) : Range{0, 0};
      return Touched{{predicted(model), {}, {}}, {range(op.output.state, 1), past}};
    }
    case Code::logistics: {
      const uint64_t size = uint64_t{op.logistics.mixtures} * op.logistics.bands;
      return Touched{{range(op.logistics.in, size), range(op.logistics.means, size), range(op.logistics.scales, size)},
                     {range(op.logistics.out, op.logistics.bands), {}}};
    }
    case Code::bands: {
      const uint64_t bands = uint64_t{1} << op.bands.levels;
      return Touched{{range(op.bands.in, bands), {}, {}},
                     {range(op.bands.state, bands_state_size(op.bands, model.tensors)), {}}};
    }
    default:
      return Touched{};
  }
}

// Whether one of the two writes what the other reads or writes.
bool conflict(const Touched& a, const Touched& b) {
  bool found = false;
  for (const Range& mine : a.writes) {
    for (const Range& theirs : b.writes) found |= mine.meets(theirs);
    for (const Range& theirs : b.reads) found |= mine.meets(theirs);
  }
  for (const Range& mine : a.reads) {
    for (const Range& theirs : b.writes) found |= mine.meets(theirs);
  }
  return found;
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
    if (plan_.n_threads == 1 || task.operation->code == Code::draw) return false;
    const Items items = items_of(model_, task);
    return items.count > 1 && items.cost() >= barrier_cost_;
  }

  // Whether it is split.
  bool add_operation(const Operation& op) {
    const bool linear = op.code == Code::linear;
    const bool finish = linear && (op.linear.add.offset != kNone || op.linear.activation != Activation::none);
    Task task = {&op, linear, finish, false, false};
    task.split = worth_splitting(task);
    // Whoever has some quads does not have all of anyone's neighbouring rows, which the finish takes many at a time.
    if (finish && task.split && items_of(model_, task).quads()) {
      plan_.tasks[plan_.n_tasks++] = Task{&op, true, false, true, false};
      task = Task{&op, false, true, false, false};
      task.split = worth_splitting(task);
      plan_.tasks[plan_.n_tasks++] = task;
      return true;
    }
    plan_.tasks[plan_.n_tasks++] = task;
    return task.split;
  }

  Share* shares(uint32_t task) { return plan_.shares + task * size_t{plan_.n_threads}; }

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
      (plan_.tasks[i].split ? together : alone) += items_of(model_, plan_.tasks[i]).cost();
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
    const Items items = items_of(model_, plan_.tasks[i]);
    shares(i)[0] = share_of(items, 0, items.count);
    for (uint32_t t = 1; t < plan_.n_threads; ++t) shares(i)[t] = Share{};
  }

  // Thread 0 gets the part `first` of the cost, the others equal parts of the rest.
  void divide(uint32_t i, double first) {
    const Items items = items_of(model_, plan_.tasks[i]);
    const double cost = static_cast<double>(items.cost());
    double sum = 0.0;
    uint32_t item = 0;
    for (uint32_t t = 0; t < plan_.n_threads; ++t) {
      const uint32_t begin = item;
      const double until = cost * (first + (1.0 - first) * t / (plan_.n_threads - 1));
      for (; item < items.count; ++item) {
        const double next = static_cast<double>(items.cost(item));
        if (t + 1 < plan_.n_threads && sum + next / 2 > until) break;
        sum += next;
      }
      shares(i)[t] = share_of(items, begin, item);
    }
  }

  const Model& model_;
  uint64_t barrier_cost_;
  Plan& plan_;
};

}  // namespace

uint32_t most_tasks(const Model& model) { return 2 * model.config.n_sample_operations; }

void make_plan(const Model& model, const Threading& threading, Plan* plan) { Planner(model, threading, plan).plan(); }

}  // namespace linnet
