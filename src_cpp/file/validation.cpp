#include "file/validation.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

namespace linnet {
namespace {

// The floats of the arena that an operand can touch over all rows of a frame that its program sees.
struct Range {
  uint64_t first, last;
};

Range range_of(const Checks& checks, const Operation& op, const Word& word) {
  const uint64_t stride = word.size.form == Size::spaced_rows ? 0 : op.words[word.at + 1];
  const uint64_t first = op.words[word.at];
  return Range{first, first + stride * (checks.rows - 1) + size_of(checks.model, op, word)};
}

bool fails(Checks& checks, const char* name, const char* what) {
  char text[160];
  snprintf(text, sizeof text, "%s %s", name, what);
  return checks.fail(text);
}

bool check_tensor(Checks& checks, const Operation& op, const Word& word) {
  const uint32_t index = op.words[word.at];
  const Matrix* found = index < checks.config().n_tensors ? &checks.model.tensors[index] : nullptr;
  if (word.kind == WordKind::matrix)
    return (found != nullptr && is_matrix(found->layout)) || fails(checks, word.name, "is not a matrix");
  if (word.kind == WordKind::table)
    return (found != nullptr && found->layout == Layout::table) || fails(checks, word.name, "is not a table");
  if (found == nullptr || found->layout != Layout::vector) return fails(checks, word.name, "is not a vector");
  const bool any_size = word.size.form == Size::constant && word.size.a == 0;
  return any_size || found->rows == size_of(checks.model, op, word) ||
         fails(checks, word.name, "is not a vector of as many floats as its operation needs");
}

bool check_word(Checks& checks, const Operation& op, const Word& word) {
  const uint32_t value = op.words[word.at];
  char what[80];
  switch (word.kind) {
    case WordKind::number:
      if (static_cast<double>(value) >= word.least && static_cast<double>(value) <= word.most) return true;
      snprintf(what, sizeof what, "is %u, outside %.0f .. %.0f", value, static_cast<double>(word.least),
               static_cast<double>(word.most));
      return fails(checks, word.name, what);
    case WordKind::real: {
      float real;
      memcpy(&real, &value, sizeof real);
      if (real >= word.least && real <= word.most) return true;  // false for what is not a number
      if (!isfinite(real)) return fails(checks, word.name, "is not a finite number");
      snprintf(what, sizeof what, "is %g, outside %.9g .. %.9g", static_cast<double>(real),
               static_cast<double>(word.least), static_cast<double>(word.most));
      return fails(checks, word.name, what);
    }
    case WordKind::slot:
      return value < checks.config().n_slots || fails(checks, word.name, "is not a slot");
    case WordKind::vector:
    case WordKind::table:
    case WordKind::matrix:
      return check_tensor(checks, op, word);
    case WordKind::operand:
      return range_of(checks, op, word).last <= checks.config().arena_size ||
             fails(checks, word.name, "leaves the arena");
  }
  return false;
}

// An operand that is written lies apart from all others of its operation, or exactly on one where it may.
bool check_overlaps(Checks& checks, const Operation& op, const Word* words) {
  for (const Word* written = words; written->at != 0; ++written) {
    if (written->kind != WordKind::operand || written->use == Use::read || written->shared || !has(op, *written))
      continue;
    const Range mine = range_of(checks, op, *written);
    for (const Word* other = words; other->at != 0; ++other) {
      if (other == written || other->kind != WordKind::operand || !has(op, *other)) continue;
      const Range theirs = range_of(checks, op, *other);
      if (!(mine.first < theirs.last && theirs.first < mine.last)) continue;
      const bool same = mine.first == theirs.first && mine.last == theirs.last &&
                        op.words[written->at + 1] == op.words[other->at + 1];
      char what[80];
      snprintf(what, sizeof what, "overlaps %s", other->name);
      if (!(written->in_place && same)) return fails(checks, written->name, what);
    }
  }
  return true;
}

bool check_words(Checks& checks, const Operation& op, const OperationRow& row) {
  uint32_t used = 1;  // a bit for each word that means something
  for (const Word* word = row.words; word->at != 0; ++word) {
    const bool two = word->kind == WordKind::operand;
    if (has(op, *word)) {
      used |= (two ? 3u : 1u) << word->at;
      if (!check_word(checks, op, *word)) return false;
    } else if (word->optional) {
      used |= (two ? 3u : 1u) << word->at;
    }
  }
  for (uint32_t at = 1; at < 16; ++at) {
    if ((used >> at & 1) != 0 || op.words[at] == 0) continue;
    char what[60];
    snprintf(what, sizeof what, "word %u is %u, not 0", at, op.words[at]);
    return checks.fail(what);
  }
  return check_overlaps(checks, op, row.words);
}

constexpr const char* kNotOf = "its code is not one of those that may stand there";

// The operation's row where its code may stand at one of `places` and its words are right; null after an error.
const OperationRow* check_operation(Checks& checks, const Operation& op, uint8_t places) {
  const OperationRow* row = row_of(op.code());
  if (row == nullptr || (row->places & places) == 0) {
    checks.fail(kNotOf);
    return nullptr;
  }
  return check_words(checks, op, *row) ? row : nullptr;
}

bool check_program(Checks& checks, const Operation* operations, uint32_t n, uint64_t offset, bool declare) {
  const bool sample = operations == checks.model.sample_program;
  checks.program = sample ? "sample" : "frame";
  checks.rows = sample ? checks.config().rows() : 1;
  for (uint32_t i = 0; i < n; ++i) {
    checks.number = i;
    checks.at = offset + uint64_t{i} * sizeof(Operation);
    const uint8_t places = !sample ? kInFrame : i + 1 == n ? kEndsSample : kInSample;
    const OperationRow* known = row_of(operations[i].code());
    if (declare && (known == nullptr || known->declare == nullptr)) continue;
    const OperationRow* row = check_operation(checks, operations[i], places);
    if (row == nullptr) return false;
    const auto rule = declare ? row->declare : row->check;
    if (rule != nullptr && !rule(checks, operations[i])) return false;
  }
  return true;
}

}  // namespace

bool Checks::fail(const char* what) { return errors.fail(at, "%s operation %u: %s", program, number, what); }

bool check_programs(Errors& errors, uint64_t operations_offset, Model* model) {
  const Config& config = model->config;
  if (config.features_at > config.arena_size || config.n_features > config.arena_size - config.features_at) {
    return errors.fail(0, "features_at: %u + %u floats do not lie in the arena's %u", config.features_at,
                       config.n_features, config.arena_size);
  }
  Checks checks = {errors, *model, 0, "", 0, 1, {}, nullptr};
  const uint64_t sample_offset = operations_offset + uint64_t{config.n_frame_operations} * sizeof(Operation);
  const uint32_t n = config.n_sample_operations;
  if (!check_program(checks, model->sample_program, n, sample_offset, true)) return false;
  for (uint32_t slot = 0; slot < config.n_slots; ++slot) {
    if (checks.classes[slot] == 0) return errors.fail(operations_offset, "slot %u has no draw", slot);
  }
  if (!check_program(checks, model->frame_program, config.n_frame_operations, operations_offset, false) ||
      !check_program(checks, model->sample_program, n, sample_offset, false))
    return false;
  if (model->match == nullptr) return true;
  checks.program = "match";
  checks.number = 0;
  checks.at = sample_offset + uint64_t{n} * sizeof(Operation);
  const Operation& match = model->sample_program[n];
  const OperationRow* row = check_operation(checks, match, kBehind);
  return row != nullptr && row->check(checks, match);
}

}  // namespace linnet
