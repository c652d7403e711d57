// out = the row of a table that the token of a slot names.
#include "file/validation.h"
#include "operations/step.h"

namespace linnet {
namespace {

struct EmbeddingWords {
  Code code;
  uint32_t table;
  uint32_t slot;
  uint32_t unused1[3];
  Operand out;
  uint32_t unused2[8];
};

bool check(Checks& checks, const Operation& operation) {
  const auto& op = operation.as<EmbeddingWords>();
  return checks.classes[op.slot] <= checks.model.tensors[op.table].rows ||
         checks.fail("the table has fewer rows than the slot has classes");
}

void run(Step& step, const Operation& operation, const Part&) {
  const auto& op = operation.as<EmbeddingWords>();
  const Matrix& table = step.model->tensors[op.table];
  const uint64_t row_bytes = round_up(table.cols, kGroup) * weight_bytes(table.dtype);
  const uint32_t token = step.sampler->slots[op.slot];
  const uint8_t* row = static_cast<const uint8_t*>(table.values) + row_bytes * token;
  float* out = step.at(op.out);
  step.kernels->widen[table.dtype](table.cols, row, out);
  if (table.scales == nullptr) return;
  for (uint32_t c = 0; c < table.cols; ++c) out[c] = out[c] * table.scales[token];
}

}  // namespace

namespace rows {

constexpr Word kEmbeddingWords[] = {named(1, WordKind::table, "table"),
                                    named(2, WordKind::slot, "slot"),
                                    writes(6, "out", {Size::tensor_cols, 1, 0}),
                                    {}};

const OperationRow embedding = {Code::embedding, "embedding", kInSample, kEmbeddingWords, nullptr,
                                check,           nullptr,     run,       nullptr};

}  // namespace rows
}  // namespace linnet
