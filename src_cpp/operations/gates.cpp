// A GRU step, the reset gate multiplying after the product.
#include "operations/part.h"
#include "operations/step.h"

namespace linnet {
namespace {

constexpr uint64_t kUnitCost = 3;  // three sigmoids or tanhs

struct GatesWords {
  Code code;
  uint32_t units;
  uint32_t unused1[2];
  Operand recurrent, state, input;
  uint32_t unused2[6];
};

void run(Step& step, const Operation& operation, const Part& part) {
  const auto& op = operation.as<GatesWords>();
  step.kernels->gates(part.count, op.units, step.at(op.recurrent) + part.first, step.at(op.input) + part.first,
                      step.at(op.state) + part.first);
}

Items items(const Model&, const Operation& op, bool) { return lines_of(op.as<GatesWords>().units, kLine * kUnitCost); }

}  // namespace

namespace rows {

constexpr Word kGatesWords[] = {number(1, "units", 1, kMostFloats),
                                reads(4, "recurrent", {Size::multiple, 3, 1}),
                                updates(6, "state", {Size::word, 1, 0}),
                                reads(8, "input", {Size::multiple, 3, 1}),
                                {}};

const OperationRow gates = {Code::gates, "gates", kInFrame | kInSample, kGatesWords, nullptr, nullptr, nullptr,
                            run,         items};

}  // namespace rows
}  // namespace linnet
