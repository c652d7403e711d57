// out = activation(input + add).
#include <string.h>

#include "operations/part.h"
#include "operations/step.h"

namespace linnet {
namespace {

struct AddWords {
  Code code;
  uint32_t size;
  uint32_t unused1;
  Activation activation;
  Operand input, out, add;
  uint32_t unused2[6];
};

void run(Step& step, const Operation& operation, const Part& part) {
  const auto& op = operation.as<AddWords>();
  const float* a = step.at(op.input) + part.first;
  const float* b = step.at(op.add) + part.first;
  float* out = step.at(op.out) + part.first;
  if (out == b) {
    step.kernels->activate(part.count, op.activation, a, out);
  } else {
    if (out != a) memcpy(out, a, part.count * sizeof *out);
    step.kernels->activate(part.count, op.activation, b, out);
  }
}

Items items(const Model&, const Operation& op, bool) { return lines_of(op.as<AddWords>().size, 2); }

}  // namespace

namespace rows {

constexpr Word kAddWords[] = {number(1, "size", 1, kMostFloats),
                              number(3, "activation", 0, static_cast<float>(Activation::exp), kActivations),
                              reads(4, "input", {Size::word, 1, 0}),
                              in_place(writes(6, "out", {Size::word, 1, 0})),
                              reads(8, "add", {Size::word, 1, 0}),
                              {}};

const OperationRow add = {Code::add, "add", kInFrame | kInSample, kAddWords, nullptr, nullptr, nullptr, run, items};

}  // namespace rows
}  // namespace linnet
