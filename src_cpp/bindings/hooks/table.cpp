// The table of operations, for the tests that compare the Python classes and FORMAT.md with it.
#include "bindings/hooks/hooks.h"
#include "operations/operation.h"

namespace linnet::python {
namespace {

const char* name_of(WordKind kind) {
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

// A list of the table's rows: number, name, places and words, as dictionaries.
py::list operations() {
  py::list rows;
  for (uint32_t number = 1; row_of(static_cast<Code>(number)) != nullptr; ++number) {
    const OperationRow& row = *row_of(static_cast<Code>(number));
    py::list words;
    for (const Word* word = row.words; word->at != 0; ++word) {
      py::dict entry;
      entry["at"] = word->at;
      entry["kind"] = name_of(word->kind);
      entry["name"] = word->name;
      entry["meaning"] = word->meaning == nullptr ? "" : word->meaning;
      entry["optional"] = word->optional;
      entry["conditional"] = word->needs != 0;
      entry["written"] = word->kind == WordKind::operand && word->use != Use::read;
      entry["least"] = word->least;
      entry["most"] = word->most;
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

}  // namespace

void bind_table(py::module_& module) { module.def("operations", operations); }

}  // namespace linnet::python
