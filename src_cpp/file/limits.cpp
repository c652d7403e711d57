#include "file/limits.h"

#include "matching/matching.h"
#include "operations/match.h"
#include "operations/operation.h"
#include "operations/subscale.h"
#include "run/stream.h"
#include "run/team.h"

namespace linnet {
namespace {

// Stored weights. Zeros that a dense panel is filled up with do not count.
uint64_t weights_of(const Matrix& w) {
  if (!is_sparse(w.layout)) return uint64_t{w.rows} * w.cols;
  const BlockShape shape = block_shape(w.layout, w.dtype);
  uint64_t blocks = 0;
  for (uint32_t i = 0; i < w.n_quads; ++i) blocks += uint64_t{4} * w.quads[i].depth;
  return blocks * shape.rows * shape.cols;
}

uint64_t work_of(const Model& model, const Operation& op) {
  const OperationRow& row = *row_of(op.code());
  uint64_t work = 1 + (row.products == nullptr ? 0 : row.products(model, op));
  for (const Word* word = row.words; word->at != 0; ++word) {
    if (!has(op, *word)) continue;
    const uint32_t value = op.words[word->at];
    if (word->kind == WordKind::operand) work += size_of(model, op, *word);
    if (word->kind == WordKind::matrix) work += weights_of(model.tensors[value]);
  }
  return work;
}

uint64_t log2_of(uint64_t n) { return n <= 1 ? 0 : 1 + log2_of(n / 2); }

// The work of a match on one hop.
uint64_t match_work(const Model& model) {
  if (model.match == nullptr) return 0;
  const MatchWords& op = *model.match;
  const uint64_t n = model.tensors[op.twiddles].rows, rounds = op.rounds == 0 ? 1 : op.rounds;
  const uint64_t matrices = weights_of(model.tensors[op.to_bands]) + weights_of(model.tensors[op.to_bins]);
  const uint64_t kept = (uint64_t{delay_of(model)} + 1) * model.config.hop_length;
  return kept + rounds * op.iterations * (matrices + 4 * n * log2_of(n) + n + model.config.n_features);
}

bool within(Errors& errors, uint64_t at, const Limit& limit, const char* what, uint64_t needed) {
  return needed <= limit.most || errors.fail(at, "limit %s: %s needs %llu, more than %llu", limit.name, what,
                                             printable(needed), printable(limit.most));
}

// Adds up the work of `n` operations, each of which runs `times`, until it is too much: adding takes time too.
bool check_work(Errors& errors, const Model& model, const Operation* operations, uint32_t n, uint32_t times,
                uint64_t offset, const Limit& limit, const char* what, uint64_t* work) {
  for (uint32_t i = 0; i < n; ++i) {
    *work += times * work_of(model, operations[i]);
    if (!within(errors, offset + uint64_t{i} * sizeof(Operation), limit, what, *work)) return false;
  }
  return true;
}

}  // namespace

bool check_sections(Errors& errors, const Bytes& file, uint64_t tensors_offset, uint32_t n_tensors) {
  const auto* entries = reinterpret_cast<const TensorEntry*>(file.data + tensors_offset);
  uint64_t left = file.size;
  for (uint32_t i = 0; i < n_tensors; ++i) {
    const uint64_t sizes[] = {entries[i].values_size, entries[i].columns_size, entries[i].quads_size};
    for (uint64_t size : sizes) {
      if (size > left) {
        return errors.fail(tensors_offset + uint64_t{i} * sizeof(TensorEntry),
                           "limit section_bytes: the sections of %u tensors need more than the file's %llu bytes",
                           i + 1, printable(file.size));
      }
      left -= size;
    }
  }
  return true;
}

bool check_limits(Errors& errors, uint64_t operations_offset, const Model& model) {
  const Config& config = model.config;
  const uint64_t sample_offset = operations_offset + uint64_t{config.n_frame_operations} * sizeof(Operation);
  const SubscaleWords* subscale = model.subscale;
  const uint32_t lanes = subscale == nullptr ? 1 : subscale->sub_tensors;
  const uint64_t ahead = subscale == nullptr ? 0 : subscale->lag();
  uint64_t frame = match_work(model), step = 0;
  if (!check_work(errors, model, model.sample_program, config.n_sample_operations, lanes, sample_offset, kStepWork,
                  "the sample program", &step) ||
      !within(errors, sample_offset, kAheadWork, "the lead of the first sub-tensor", ahead * step) ||
      !within(errors, sample_offset, kFrameWork, "the match", frame) ||
      !check_work(errors, model, model.frame_program, config.n_frame_operations, 1, operations_offset, kFrameWork,
                  "the frame program", &frame))
    return false;
  const uint64_t silent = uint64_t{config.priming} + lookahead_of(model);
  return within(errors, offsetof(Header, lookahead), kSilentWork, "priming and look-ahead", silent * frame) &&
         within(errors, offsetof(Header, arena_size), kStreamBytes, "a stream", stream_size(model, kMaxThreads));
}

}  // namespace linnet
