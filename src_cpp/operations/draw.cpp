// A token drawn from the softmax of logits.
#include <math.h>

#include "file/validation.h"
#include "kernels/fused.h"
#include "operations/categorical.h"
#include "operations/output.h"
#include "operations/part.h"

namespace linnet {
namespace {

struct DrawWords {
  Code code;
  uint32_t classes;
  uint32_t slot;
  uint32_t initial_token;
  Operand input, out;
  float scale, offset;
  float initial_value;
  uint32_t random_word;  // index of the random number
  uint32_t unused[4];
};

bool declare(Checks& checks, const Operation& operation) {
  const auto& op = operation.as<DrawWords>();
  if (checks.classes[op.slot] != 0) return checks.fail("its slot has another draw");
  if (op.initial_token >= op.classes) return checks.fail("initial token beyond the classes");
  checks.classes[op.slot] = op.classes;
  Config& config = checks.config();
  if (op.classes > config.most_classes) config.most_classes = op.classes;
  return true;
}

void reset(const Step& step, const Operation& operation) {
  const auto& op = operation.as<DrawWords>();
  step.sampler->slots[op.slot] = op.initial_token;
  *step.at(op.out) = op.initial_value;
}

// A forced token takes the place of the one that would be drawn, and is scored.
void run(Step& step, const Operation& operation, const Part&) {
  const auto& op = operation.as<DrawWords>();
  const float* logits = step.at(op.input);
  uint32_t token;
  if (step.forced == nullptr) {
    token = draw_class(step, logits, op.classes, op.random_word);
  } else {
    token = forced_token(step, op.slot, op.classes);
    const Softmax softmax = softmax_of(step, logits, op.classes);
    step.nats += softmax.log_total - (static_cast<double>(logits[token]) - softmax.greatest);
  }
  step.sampler->slots[op.slot] = token;
  *step.at(op.out) = fused(static_cast<float>(token), op.scale, op.offset);
}

Items items(const Model&, const Operation& op, bool) { return one_item(kAloneCost + op.as<DrawWords>().classes); }

}  // namespace

namespace rows {

constexpr Word kDrawWords[] = {number(1, "classes", 1, 65536),
                               named(2, WordKind::slot, "slot"),
                               number(3, "initial_token", 0, 65535),
                               reads(4, "input", {Size::word, 1, 0}, "logits"),
                               shared(writes(6, "out", {Size::constant, 1, 0})),
                               real(8, "scale"),
                               real(9, "offset"),
                               real(10, "initial_value"),
                               number(11, "random_word", 0, kNone, "index of the random number"),
                               {}};

const OperationRow draw = {Code::draw, "draw", kInSample, kDrawWords, declare, nullptr, reset, run, items};

}  // namespace rows
}  // namespace linnet
