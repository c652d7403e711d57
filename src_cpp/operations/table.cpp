#include "operations/operation.h"

namespace linnet {
namespace {

// By number.
constexpr const OperationRow* kTable[] = {nullptr,
#define LINNET_ENTRY(name) &rows::name,
                                          LINNET_OPERATIONS(LINNET_ENTRY)
#undef LINNET_ENTRY
};

}  // namespace

const OperationRow* row_of(Code code) {
  const uint32_t index = static_cast<uint32_t>(code);
  return index < sizeof kTable / sizeof kTable[0] ? kTable[index] : nullptr;
}

bool has(const Operation& op, const Word& word) {
  if (word.needs != 0 && op.words[word.needs] != word.needs_value) return false;
  return !(word.optional && op.words[word.at] == kNone);
}

uint64_t size_of(const Model& model, const Operation& op, const Word& word) {
  const Size& size = word.size;
  const uint64_t a = op.words[size.a], b = op.words[size.b];
  switch (size.form) {
    case Size::constant:
      return size.a;
    case Size::word:
      return a;
    case Size::multiple:
      return size.a * b;
    case Size::product:
      return a * b;
    case Size::power:
      return uint64_t{1} << a;
    case Size::tensor_rows:
      return model.tensors[a].rows;
    case Size::tensor_cols:
      return model.tensors[a].cols;
    case Size::padded_cols:
      return model.tensors[a].padded_cols();
    case Size::frame_rows:
      return model.config.rows() * a;
    case Size::spaced_rows:
      return uint64_t{op.words[word.at + 1]} * (model.config.rows() - 1) + a;
    case Size::sub_tensors:
      return (a - 1) * (b + op.words[size.b + 1] + 1) + a;
    case Size::merge_state:
      if (a == 0 || op.words[size.b] == kNone) return 1;
      return 1 + ((uint64_t{1} << a) - 1) * (uint64_t{model.tensors[b].rows} + 2);
  }
  return 0;
}

}  // namespace linnet
