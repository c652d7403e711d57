// A window over time: `out` moves up by one frame and `input` becomes the newest.
#include <string.h>

#include "operations/step.h"

namespace linnet {
namespace {

struct HistoryWords {
  Code code;
  uint32_t size;     // floats per frame
  uint32_t frames;   // in the window
  uint32_t initial;  // or kNone
  Operand input, out;
  uint32_t unused[8];
};

void run(Step& step, const Operation& operation, const Part&) {
  const auto& op = operation.as<HistoryWords>();
  float* window = step.at(op.out);
  const size_t kept = size_t{op.size} * (op.frames - 1);
  memmove(window, window + op.size, kept * sizeof *window);
  memcpy(window + kept, step.at(op.input), op.size * sizeof *window);
}

void reset(const Step& step, const Operation& operation) {
  const auto& op = operation.as<HistoryWords>();
  if (op.initial == kNone) return;
  memcpy(step.at(op.out), step.model->floats(op.initial), size_t{op.size} * op.frames * sizeof(float));
}

}  // namespace

namespace rows {

constexpr Word kHistoryWords[] = {number(1, "size", 1, kMostFloats),
                                  number(2, "frames", 1, kMostFloats),
                                  optional(named(3, WordKind::vector, "initial", {Size::product, 1, 2})),
                                  reads(4, "input", {Size::word, 1, 0}),
                                  updates(6, "out", {Size::product, 1, 2}),
                                  {}};

const OperationRow history = {Code::history, "history", kInFrame, kHistoryWords, nullptr, nullptr, reset, run, nullptr};

}  // namespace rows
}  // namespace linnet
