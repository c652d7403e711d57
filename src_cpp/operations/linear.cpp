// out = activation((W in + bias) + add).
#include "operations/linear.h"

#include "file/validation.h"
#include "operations/part.h"

namespace linnet {
namespace {

struct LinearWords {
  Code code;
  uint32_t weights;
  uint32_t bias;  // or kNone
  Activation activation;
  Operand input, out, add;  // add.offset may be kNone
  uint32_t unused[6];
};

const float* bias_of(const Model& model, const LinearWords& op) {
  return op.bias == kNone ? nullptr : model.floats(op.bias);
}

bool check(Checks& checks, const Operation& op) {
  const uint64_t cols = checks.model.tensors[op.as<LinearWords>().weights].padded_cols();
  Config& config = checks.config();
  if (cols > config.most_cols) config.most_cols = static_cast<uint32_t>(cols);
  return true;
}

void run(Step& step, const Operation& operation, const Part& part) {
  const auto& op = operation.as<LinearWords>();
  float* out = step.at(op.out) + part.first;
  if (part.product) {
    const float* bias = bias_of(*step.model, op);
    step.kernels->matvec_for(part.weights)(part.weights, step.at(op.input), bias ? bias + part.first : nullptr, out);
  }
  if (!part.finish) return;
  const float* add = op.add.offset == kNone ? nullptr : step.at(op.add) + part.first;
  if (add != nullptr || op.activation != Activation::none) step.kernels->activate(part.count, op.activation, add, out);
}

Items items(const Model& model, const Operation& operation, bool product) {
  const auto& op = operation.as<LinearWords>();
  const Matrix& w = model.tensors[op.weights];
  return product ? items_of_product(w) : lines_of(w.rows, op.activation <= Activation::relu ? 2 : kLine);
}

}  // namespace

bool needs_finish(const Operation& operation) {
  if (operation.code() != Code::linear) return false;
  const auto& op = operation.as<LinearWords>();
  return op.add.offset != kNone || op.activation != Activation::none;
}

void multiply_together(const Operation& operation, const Step* steps, uint32_t count, float* packed) {
  const auto& op = operation.as<LinearWords>();
  const Step& first = steps[0];
  const Matrix& w = first.model->tensors[op.weights];
  const float* bias = bias_of(*first.model, op);
  const float* in[kTogether];
  float* out[kTogether];
  for (uint32_t l = 0; l < count; ++l) {
    in[l] = steps[l].at(op.input);
    out[l] = steps[l].at(op.out);
  }
  first.kernels->multiply(w, count, in, bias, packed, out);
}

namespace rows {

constexpr Word kLinearWords[] = {named(1, WordKind::matrix, "weights"),
                                 optional(named(2, WordKind::vector, "bias", {Size::tensor_rows, 1, 0})),
                                 number(3, "activation", 0, static_cast<float>(Activation::exp), kActivations),
                                 of_half(kProduct, reads(4, "input", {Size::padded_cols, 1, 0})),
                                 writes(6, "out", {Size::tensor_rows, 1, 0}),
                                 of_half(kFinish, optional(reads(8, "add", {Size::tensor_rows, 1, 0}))),
                                 {}};

const OperationRow linear = {Code::linear, "linear", kInFrame | kInSample, kLinearWords, nullptr, check, nullptr,
                             run,          items};

}  // namespace rows
}  // namespace linnet
