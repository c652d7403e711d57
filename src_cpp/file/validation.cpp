#include "file/validation.h"

#include <math.h>

#include "matching/matching.h"

namespace linnet {
namespace {

constexpr uint32_t kMostDelay = 1024;

// The floats of the arena that an operand can touch: [first, last).
struct Range {
  uint64_t first, last;
};

bool overlap(const Range& a, const Range& b) { return a.first < b.last && b.first < a.last; }
bool same(const Range& a, const Range& b) { return a.first == b.first && a.last == b.last; }

class ProgramChecker {
 public:
  ProgramChecker(Errors& errors, uint64_t operations_offset, Model* model)
      : errors_(errors), operations_offset_(operations_offset), model_(model), config_(model->config) {}

  bool check() {
    if (config_.features_at > config_.arena_size || config_.n_features > config_.arena_size - config_.features_at) {
      return errors_.fail(0, "features_at: %u + %u floats do not lie in the arena's %u", config_.features_at,
                          config_.n_features, config_.arena_size);
    }
    // Draws first: embeddings and the output need to know their classes.
    for (uint32_t i = 0; i < config_.n_sample_operations; ++i) {
      const Code code = model_->sample_program[i].code;
      if (code == Code::draw && !check_draw(i)) return false;
      if (code == Code::logistics && !check_logistics(i)) return false;
    }
    for (uint32_t slot = 0; slot < config_.n_slots; ++slot) {
      if (classes_[slot] == 0) return errors_.fail(operations_offset_, "slot %u has no draw", slot);
    }
    rows_ = 1;
    first_ = 0;
    for (uint32_t i = 0; i < config_.n_frame_operations; ++i) {
      if (!check_frame_operation(i, model_->frame_program[i])) return false;
    }
    rows_ = config_.rows();
    first_ = config_.n_frame_operations;
    for (uint32_t i = 0; i < config_.n_sample_operations; ++i) {
      if (!check_sample_operation(i, model_->sample_program[i])) return false;
    }
    return model_->match == nullptr || check_match(config_.n_sample_operations, *model_->match);
  }

 private:
  bool fail(uint32_t i, const char* what) {
    return errors_.fail(operations_offset_ + (uint64_t{first_} + i) * sizeof(Operation), "%s operation %u: %s",
                        first_ == 0 && rows_ == 1 ? "frame" : "sample", i, what);
  }

  // The range of `size` floats at `operand` over all rows of a frame that this program sees.
  bool find_range(const Operand& operand, uint64_t size, Range* range) const {
    const uint64_t last = uint64_t{operand.offset} + uint64_t{operand.stride} * (rows_ - 1) + size;
    *range = Range{operand.offset, last};
    return last <= config_.arena_size;
  }

  const Matrix* tensor(uint32_t index) const { return index < config_.n_tensors ? &model_->tensors[index] : nullptr; }

  bool check_frame_operation(uint32_t i, const Operation& op) {
    switch (op.code) {
      case Code::linear:
        return check_linear(i, op.linear);
      case Code::gates:
        return check_gates(i, op.gates);
      case Code::history:
        return check_history(i, op.history);
      case Code::upsample:
        return check_upsample(i, op.upsample);
      case Code::add:
        return check_add(i, op.add);
      case Code::step_up:
        return check_step_up(i, op.step_up);
      default:
        return fail(i, "its code is not one of a frame program's");
    }
  }

  bool check_sample_operation(uint32_t i, const Operation& op) {
    const bool last = i + 1 == config_.n_sample_operations;
    if (last != (op.code == Code::output || op.code == Code::bands))
      return fail(i, "the output must be the last operation, and only that");
    switch (op.code) {
      case Code::linear:
        return check_linear(i, op.linear);
      case Code::gates:
        return check_gates(i, op.gates);
      case Code::add:
        return check_add(i, op.add);
      case Code::embedding:
        return check_embedding(i, op.embedding);
      case Code::predict:
        return check_predict(i, op.predict);
      case Code::draw:
      case Code::logistics:
        return true;  // checked before
      case Code::bands:
        return check_bands(i, op.bands);
      case Code::output:
        return check_output(i, op.output);
      default:
        return fail(i, "its code is not one of a sample program's");
    }
  }

  bool check_linear(uint32_t i, const LinearOp& op) {
    const Matrix* w = tensor(op.weights);
    if (w == nullptr || w->layout < Layout::dense) return fail(i, "weights is not a matrix");
    if (op.bias != kNone) {
      const Matrix* bias = tensor(op.bias);
      if (bias == nullptr || bias->layout != Layout::vector || bias->rows != w->rows)
        return fail(i, "bias is not a vector of the matrix's rows");
    }
    if (op.activation > Activation::exp) return fail(i, "unknown activation");
    const uint64_t block_cols = block_shape(w->layout).cols;
    Range in, out, add;
    const uint64_t cols = (w->cols + block_cols - 1) / block_cols * block_cols;
    if (cols > config_.most_cols) config_.most_cols = static_cast<uint32_t>(cols);
    if (!find_range(op.in, cols, &in)) return fail(i, "in leaves the arena");
    if (!find_range(op.out, w->rows, &out)) return fail(i, "out leaves the arena");
    if (overlap(in, out)) return fail(i, "out overlaps in");
    if (op.add.offset != kNone) {
      if (!find_range(op.add, w->rows, &add)) return fail(i, "add leaves the arena");
      if (overlap(add, out)) return fail(i, "out overlaps add");
    }
    return true;
  }

  bool check_gates(uint32_t i, const GatesOp& op) {
    Range recurrent, input, state;
    if (op.units == 0) return fail(i, "no units");
    if (!find_range(op.recurrent, uint64_t{3} * op.units, &recurrent)) return fail(i, "recurrent leaves the arena");
    if (!find_range(op.input, uint64_t{3} * op.units, &input)) return fail(i, "input leaves the arena");
    if (!find_range(op.state, op.units, &state)) return fail(i, "state leaves the arena");
    if (overlap(state, recurrent) || overlap(state, input)) return fail(i, "state overlaps what it is computed from");
    return true;
  }

  bool check_history(uint32_t i, const HistoryOp& op) {
    Range in, out;
    if (op.size == 0 || op.frames == 0) return fail(i, "an empty window");
    if (!find_range(op.in, op.size, &in)) return fail(i, "in leaves the arena");
    if (!find_range(op.out, uint64_t{op.size} * op.frames, &out)) return fail(i, "out leaves the arena");
    if (overlap(in, out)) return fail(i, "out overlaps in");
    if (op.initial == kNone) return true;
    const Matrix* initial = tensor(op.initial);
    if (initial == nullptr || initial->layout != Layout::vector || initial->rows != uint64_t{op.size} * op.frames)
      return fail(i, "initial is not a vector of the window");
    return true;
  }

  bool check_upsample(uint32_t i, const UpsampleOp& op) {
    const Matrix* w = tensor(op.weights);
    if (op.channels == 0 || op.window == 0) return fail(i, "no channels or no window");
    if (w == nullptr || w->layout != Layout::vector || w->rows != uint64_t{config_.rows()} * op.window) {
      return fail(i, "weights is not a vector of the frame's rows x window");
    }
    if (op.row_stride < op.channels) return fail(i, "rows overlap");
    Range in, out;
    if (!find_range(op.in, uint64_t{op.window} * op.channels, &in)) return fail(i, "in leaves the arena");
    if (!find_range(Operand{op.out, 0}, uint64_t{op.row_stride} * (config_.rows() - 1) + op.channels, &out))
      return fail(i, "out leaves the arena");
    if (overlap(in, out)) return fail(i, "out overlaps in");
    return true;
  }

  bool check_add(uint32_t i, const AddOp& op) {
    Range in, add, out;
    if (op.size == 0) return fail(i, "nothing to add");
    if (op.activation > Activation::exp) return fail(i, "unknown activation");
    if (!find_range(op.in, op.size, &in)) return fail(i, "in leaves the arena");
    if (!find_range(op.add, op.size, &add)) return fail(i, "add leaves the arena");
    if (!find_range(op.out, op.size, &out)) return fail(i, "out leaves the arena");
    if ((overlap(out, in) && !(same(out, in) && op.out.stride == op.in.stride)) ||
        (overlap(out, add) && !(same(out, add) && op.out.stride == op.add.stride))) {
      return fail(i, "out overlaps a part of what it is computed from");
    }
    return true;
  }

  bool check_embedding(uint32_t i, const EmbeddingOp& op) {
    const Matrix* table = tensor(op.table);
    if (table == nullptr || table->layout != Layout::table) return fail(i, "table is not a table");
    if (op.slot >= config_.n_slots) return fail(i, "slot out of range");
    if (classes_[op.slot] > table->rows) return fail(i, "the table has fewer rows than the slot has classes");
    Range out;
    if (!find_range(op.out, table->cols, &out)) return fail(i, "out leaves the arena");
    return true;
  }

  bool check_draw(uint32_t i) {
    rows_ = config_.rows();
    first_ = config_.n_frame_operations;
    const DrawOp& op = model_->sample_program[i].draw;
    if (op.slot >= config_.n_slots) return fail(i, "slot out of range");
    if (classes_[op.slot] != 0) return fail(i, "its slot has another draw");
    if (op.classes == 0 || op.classes > 65536) return fail(i, "classes outside 1 .. 65536");
    if (op.initial_token >= op.classes) return fail(i, "initial token beyond the classes");
    if (!isfinite(op.scale) || !isfinite(op.offset) || !isfinite(op.initial_value))
      return fail(i, "a number is not finite");
    Range in, out;
    if (!find_range(op.in, op.classes, &in)) return fail(i, "in leaves the arena");
    if (!find_range(op.out, 1, &out)) return fail(i, "out leaves the arena");
    classes_[op.slot] = op.classes;
    if (op.classes > config_.most_classes) config_.most_classes = op.classes;
    return true;
  }

  bool check_logistics(uint32_t i) {
    rows_ = config_.rows();
    first_ = config_.n_frame_operations;
    const LogisticsOp& op = model_->sample_program[i].logistics;
    if (logistics_ != nullptr) return fail(i, "a second mixture of logistics");
    logistics_ = &op;
    if (op.mixtures == 0 || op.mixtures > kMostMixtures) return fail(i, "mixtures outside 1 .. 256");
    if (op.bands == 0 || op.bands > kMostBands) return fail(i, "bands outside 1 .. 64");
    if (op.spread > Spread::softplus) return fail(i, "unknown spread");
    if (op.word > kNone - 2 * op.bands) return fail(i, "random words beyond 2^32");
    if (!isfinite(op.least_scale)) return fail(i, "a number is not finite");
    if (!(op.steps >= 0.0f) || !isfinite(op.steps)) return fail(i, "steps is not a number of 0 or more");
    if (op.classes < 2 || op.classes > 65536 || (op.steps > 0.0f && op.classes != 65536))
      return fail(i, "classes outside 2 .. 65536, or not 65536 where values have steps");
    const uint64_t size = uint64_t{op.mixtures} * op.bands;
    Range logits, means, scales, out;
    if (!find_range(op.in, size, &logits)) return fail(i, "in leaves the arena");
    if (!find_range(op.means, size, &means)) return fail(i, "means leaves the arena");
    if (!find_range(op.scales, size, &scales)) return fail(i, "scales leaves the arena");
    if (!find_range(op.out, op.bands, &out)) return fail(i, "out leaves the arena");
    if (overlap(out, logits) || overlap(out, means) || overlap(out, scales))
      return fail(i, "out overlaps what it is drawn from");
    if (op.mixtures > config_.most_classes) config_.most_classes = op.mixtures;
    return true;
  }

  bool check_step_up(uint32_t i, const StepUpOp& op) {
    if (op.order == 0 || op.order > kMostOrder) return fail(i, "order outside 1 .. 64");
    Range in, out;
    if (!find_range(op.in, op.order, &in)) return fail(i, "in leaves the arena");
    if (!find_range(op.out, op.order, &out)) return fail(i, "out leaves the arena");
    if (overlap(in, out)) return fail(i, "out overlaps in");
    return true;
  }

  bool check_predict(uint32_t i, const PredictOp& op) {
    if (op.order == 0 || op.order > kMostOrder) return fail(i, "order outside 1 .. 64");
    if (!(op.least_gain > 0.0f) || !(op.least_gain <= 1.0f)) return fail(i, "least gain outside (0, 1]");
    Range in, out, gain, past;
    if (!find_range(op.in, op.order, &in)) return fail(i, "in leaves the arena");
    if (!find_range(op.out, 4, &out)) return fail(i, "out leaves the arena");
    if (!find_range(op.gain, 1, &gain)) return fail(i, "gain leaves the arena");
    if (!find_range(op.past, op.order, &past)) return fail(i, "past leaves the arena");
    if (overlap(out, in) || overlap(out, gain) || overlap(out, past) || overlap(past, in) || overlap(past, gain))
      return fail(i, "out or past overlaps what is read");
    return true;
  }

  bool check_bands(uint32_t i, const BandsOp& op) {
    if (op.levels > 6) return fail(i, "levels beyond 6");
    const uint32_t bands = 1u << op.levels;
    if (bands != config_.samples_per_step) return fail(i, "its bands are not the samples of a step");
    if (config_.n_slots != 0) return fail(i, "slots that are not in the output");
    if (logistics_ == nullptr || logistics_->bands != bands)
      return fail(i, "no mixture of logistics draws as many bands");
    config_.high_classes = logistics_->classes;
    if (op.levels == 0) {
      if (op.weights != kNone) return fail(i, "weights without levels");
    } else {
      const Matrix* w = tensor(op.weights);
      if (w == nullptr || w->layout != Layout::vector || w->rows % 2 != 0 || w->rows > 2 * kMostSections)
        return fail(i, "weights is not a vector of twice 1 .. 16 sections");
    }
    if (!(fabsf(op.pre_emphasis) < 1.0f)) return fail(i, "pre-emphasis outside (-1, 1)");
    Range in, state;
    if (!find_range(op.in, bands, &in)) return fail(i, "in leaves the arena");
    if (!find_range(op.state, bands_state_size(op, model_->tensors), &state)) return fail(i, "state leaves the arena");
    if (overlap(in, state)) return fail(i, "state overlaps in");
    return true;
  }

  bool check_output(uint32_t i, const OutputOp& op) {
    if (config_.samples_per_step != 1) return fail(i, "one sample where a step has several");
    if (logistics_ != nullptr) return fail(i, "a mixture of logistics that is not in the output");
    if (op.high >= config_.n_slots) return fail(i, "high slot out of range");
    uint64_t tokens = classes_[op.high];
    if (op.low != kNone) {
      if (op.low >= config_.n_slots || op.low == op.high) return fail(i, "low slot out of range");
      if (classes_[op.low] > 256) return fail(i, "the low slot has more than 256 classes");
      tokens *= 256;
    }
    if (tokens > 65536) return fail(i, "tokens beyond 65535");
    config_.high_classes = classes_[op.high];
    config_.low_classes = op.low == kNone ? 0 : classes_[op.low];
    if (config_.n_slots != (op.low == kNone ? 1u : 2u)) return fail(i, "a slot is neither high nor low");
    if (op.companding > Companding::excitation) return fail(i, "unknown companding");
    if (!isfinite(op.scale) || !isfinite(op.offset) || !isfinite(op.mu) || !isfinite(op.log1p_mu) ||
        !isfinite(op.inverse_mu)) {
      return fail(i, "a number is not finite");
    }
    if (!(fabsf(op.pre_emphasis) < 1.0f)) return fail(i, "pre-emphasis outside (-1, 1)");
    Range state;
    if (!find_range(op.state, 1, &state)) return fail(i, "state leaves the arena");
    if (op.companding == Companding::excitation) return check_excitation(i, op, state);
    if (op.predicted.offset != 0 || op.predicted.stride != 0 || op.past.offset != 0 || op.past.stride != 0)
      return fail(i, "a prediction without an excitation");
    return true;
  }

  bool check_excitation(uint32_t i, const OutputOp& op, const Range& state) {
    if (op.low != kNone) return fail(i, "an excitation of two slots");
    if (!(op.scale > 0.0f) || !(op.log1p_mu > 0.0f)) return fail(i, "scale or log(1 + mu) is not positive");
    config_.high_classes = 65536;  // of the recording that a score is given
    Range predicted, past;
    if (!find_range(op.predicted, 2, &predicted)) return fail(i, "predicted leaves the arena");
    if (!find_range(op.past, 1, &past)) return fail(i, "past leaves the arena");
    if (overlap(past, predicted) || overlap(past, state) || overlap(state, predicted))
      return fail(i, "past, state and predicted overlap");
    return true;
  }

  // The vector at `index`; null where there is none.
  const Matrix* vector(uint32_t index) const {
    const Matrix* found = tensor(index);
    return found != nullptr && found->layout == Layout::vector ? found : nullptr;
  }

  bool is_matrix(uint32_t index, uint32_t rows, uint32_t cols) const {
    const Matrix* found = tensor(index);
    return found != nullptr && found->layout >= Layout::dense && found->rows == rows && found->cols == cols;
  }

  bool check_match(uint32_t i, const MatchOp& op) {
    if (op.code != Code::match) return fail(i, "its code is not that of a match");
    const Matrix *window = vector(op.window), *synthesis = vector(op.synthesis), *turns = vector(op.turns);
    if (turns == nullptr || turns->rows < 16 || turns->rows > kMostTransform || (turns->rows & (turns->rows - 1)) != 0)
      return fail(i, "turns is not a vector of 16 .. 16384 floats, a power of two");
    if (window == nullptr || window->rows % 2 != 0 || window->rows > turns->rows)
      return fail(i, "window is not a vector of an even number of floats, of the transform's at most");
    if (synthesis == nullptr || synthesis->rows != window->rows) return fail(i, "synthesis is not a vector as window");
    const uint32_t bins = turns->rows / 2 + 1;
    if (!is_matrix(op.bands, config_.n_features, bins)) return fail(i, "bands is not a matrix of features x bins");
    if (!is_matrix(op.spread, bins, config_.n_features)) return fail(i, "spread is not a matrix of bins x features");
    if (op.power != 1 && op.power != 2) return fail(i, "power is neither 1 nor 2");
    if (!isfinite(op.scale) || !isfinite(op.offset) || !isfinite(op.strength)) return fail(i, "a number is not finite");
    if (!(op.floor > 0.0f) || !isfinite(op.floor)) return fail(i, "floor is not positive");
    if (!(op.limit >= 0.0f) || !(op.limit <= 80.0f)) return fail(i, "limit outside 0 .. 80");
    if (op.visits == 0 || op.visits > kMostVisits) return fail(i, "visits outside 1 .. 16");
    if (delay_of(*model_) > kMostDelay) return fail(i, "it delays samples by more than 1024 frames");
    return true;
  }

  Errors& errors_;
  uint64_t operations_offset_;
  Model* model_;
  Config& config_;
  uint64_t rows_ = 1;           // rows per frame as this program sees them
  uint32_t first_ = 0;          // number of this program's first operation in the file
  uint32_t classes_[256] = {};  // per slot
  const LogisticsOp* logistics_ = nullptr;
};

}  // namespace

bool check_program(Errors& errors, uint64_t operations_offset, Model* model) {
  return ProgramChecker(errors, operations_offset, model).check();
}

}  // namespace linnet
