// Rows of a frame's samples from a window of frames: out[i] = sum over j of weights[i][j] input[j].
#include "file/validation.h"
#include "operations/step.h"

namespace linnet {
namespace {

struct UpsampleWords {
  Code code;
  uint32_t weights;
  uint32_t channels;
  uint32_t window;
  Operand input;
  uint32_t out, row_stride;
  uint32_t unused[8];
};

bool check(Checks& checks, const Operation& operation) {
  const auto& op = operation.as<UpsampleWords>();
  return op.row_stride >= op.channels || checks.fail("its rows overlap");
}

void run(Step& step, const Operation& operation, const Part&) {
  const auto& op = operation.as<UpsampleWords>();
  step.kernels->upsample(step.model->config.rows(), op.window, op.channels, step.model->floats(op.weights),
                         step.at(op.input), op.row_stride, step.arena + op.out);
}

uint64_t products(const Model& model, const Operation& operation) {
  const auto& op = operation.as<UpsampleWords>();
  return uint64_t{model.config.rows()} * op.channels * op.window;
}

}  // namespace

namespace rows {

constexpr Word kUpsampleWords[] = {number(2, "channels", 1, kMostFloats),
                                   number(3, "window", 1, kMostFloats),
                                   named(1, WordKind::vector, "weights", {Size::frame_rows, 3, 0}),
                                   reads(4, "input", {Size::product, 3, 2}),
                                   writes(6, "out", {Size::spaced_rows, 2, 0}, "offset, row stride"),
                                   {}};

const OperationRow upsample = {Code::upsample, "upsample", kInFrame, kUpsampleWords, nullptr,
                               check,          nullptr,    run,      nullptr,        products};

}  // namespace rows
}  // namespace linnet
