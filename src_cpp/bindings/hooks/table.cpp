// What tests compare of the file: its checksum, and the table of operations, which the Python classes and FORMAT.md
// follow.
#include "bindings/hooks/hooks.h"
#include "file/checksum.h"
#include "operations/operation.h"

namespace linnet::python {
namespace {

std::string name_of(const OperationRow& row, uint8_t at) {
  for (const Word* word = row.words; word->at != 0; ++word) {
    if (word->at == at) return word->name;
  }
  return "?";
}

// How many floats, in the words of the document.
std::string size_text(const OperationRow& row, const Size& size) {
  const std::string a = name_of(row, size.a), b = name_of(row, size.b);
  switch (size.form) {
    case Size::constant:
      return std::to_string(size.a);
    case Size::word:
      return a;
    case Size::multiple:
      return std::to_string(size.a) + " x " + b;
    case Size::product:
      return a + " x " + b;
    case Size::power:
      return "2^" + a;
    case Size::tensor_rows:
      return "rows of " + a;
    case Size::tensor_cols:
      return "columns of " + a;
    case Size::padded_cols:
      return "columns of " + a + ", up to a whole block";
    case Size::frame_rows:
      return "rows of a frame x " + a;
    case Size::spaced_rows:
      return "rows of a frame, of " + a + " each, as far apart as the second word says";
    case Size::sub_tensors:
      return "(" + a + " - 1) (" + name_of(row, size.b + 1) + " + 1 + " + b + ") + " + a;
    case Size::merge_state:
      return "1 + (2^" + a + " - 1) (size of " + b + " + 2)";
  }
  return "";
}

// What a word holds, in the words of the document.
std::string text_of(const OperationRow& row, const Word& word) {
  std::string text = word.name;
  switch (word.kind) {
    case WordKind::number:
      if (word.most == kMostFloats) {
        text += ": 1 .. 2^26";
      } else if (word.most < 4e9f) {
        text += ": " + std::to_string(static_cast<uint64_t>(word.least)) + " .. " +
                std::to_string(static_cast<uint64_t>(word.most));
      }
      break;
    case WordKind::real:
      text += ": fp32";
      break;
    case WordKind::slot:
      text += ": slot";
      break;
    case WordKind::vector:
      text += ": vector";
      if (word.size.form == Size::tensor_rows) {
        text += " as long as " + name_of(row, word.size.a) + " has rows";
      } else if (word.size.form != Size::constant) {
        text += " of " + size_text(row, word.size);
      }
      break;
    case WordKind::table:
      text += ": table";
      break;
    case WordKind::matrix:
      text += ": matrix";
      break;
    case WordKind::operand:
      text += word.use == Use::read ? ": reads " : word.use == Use::write ? ": writes " : ": updates ";
      text += size_text(row, word.size);
      break;
  }
  if (word.meaning != nullptr) text += std::string("; ") + word.meaning;
  if (word.optional) text += "; or NONE";
  if (word.needs != 0) text += "; only where " + name_of(row, word.needs) + " is " + std::to_string(word.needs_value);
  if (word.in_place) text += "; may be exactly an operand that is read";
  if (word.shared) text += "; may overlap others";
  return text;
}

const char* kind_name(WordKind kind) {
  switch (kind) {
    case WordKind::number:
      return "number";
    case WordKind::real:
      return "real";
    case WordKind::slot:
      return "slot";
    case WordKind::vector:
      return "vector";
    case WordKind::table:
      return "table";
    case WordKind::matrix:
      return "matrix";
    case WordKind::operand:
      return "operand";
  }
  return "";
}

// The table's rows: number, name, places and words, as dictionaries. A word has its number, its name, the kind of what
// it holds, whether it may be NONE, whether it is an operand that is written, and its text in the document.
py::list operations() {
  py::list rows;
  for (uint32_t number = 1; row_of(static_cast<Code>(number)) != nullptr; ++number) {
    const OperationRow& row = *row_of(static_cast<Code>(number));
    py::list words;
    for (const Word* word = row.words; word->at != 0; ++word) {
      py::dict entry;
      entry["at"] = word->at;
      entry["name"] = static_cast<const char*>(word->name);
      entry["kind"] = kind_name(word->kind);
      entry["optional"] = word->optional;
      entry["written"] = word->use != Use::read;
      entry["text"] = text_of(row, *word);
      words.append(entry);
    }
    py::dict entry;
    entry["number"] = static_cast<uint32_t>(row.code);
    entry["name"] = row.name;
    entry["places"] = row.places;
    entry["words"] = words;
    rows.append(entry);
  }
  return rows;
}

// The floats of every operand of an operation of a file, by its name, as the engine and the validator count them: of
// the frame program's operations, then of the sample program's.
py::list operand_sizes(const py::bytes& file) {
  const std::string_view bytes = file;
  struct alignas(kAlignment) Line {
    char bytes[kAlignment];
  };
  std::vector<Line> data(bytes.size() / sizeof(Line) + 1);
  bytes.copy(data.data()->bytes, bytes.size());
  Model model{};
  linnet_error error{};
  if (read_model(reinterpret_cast<const uint8_t*>(data.data()), bytes.size(), &model, &error) != LINNET_OK)
    throw py::value_error(error.message);
  py::list all;
  const uint32_t n = model.config.n_frame_operations + model.config.n_sample_operations;
  for (uint32_t i = 0; i < n; ++i) {
    const Operation& op = model.frame_program[i];
    py::dict sizes;
    for (const Word* word = row_of(op.code())->words; word->at != 0; ++word) {
      if (word->kind == WordKind::operand && has(op, *word))
        sizes[static_cast<const char*>(word->name)] = size_of(model, op, *word);
    }
    all.append(sizes);
  }
  free_model(&model);
  return all;
}

}  // namespace

void bind_table(py::module_& module) {
  module.def(
      "crc32",
      [](const py::bytes& data) {
        const std::string_view bytes = data;
        return crc32(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
      },
      py::arg("data"));
  module.def("operations", operations);
  module.def("operand_sizes", operand_sizes, py::arg("file"));
}

}  // namespace linnet::python
