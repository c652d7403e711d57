#include "engine.h"

#include <math.h>
#include <new>
#include <string.h>

#include "kernels/arithmetic.h"
#include "random.h"

namespace linnet {
namespace {

constexpr size_t kAlignment = 64;

// Hands out aligned pieces of one block of memory; with a null base it only measures.
class Carver {
 public:
  explicit Carver(void* base) : base_(static_cast<uint8_t*>(base)) {}

  template <class T>
  T* take(size_t count) {
    const size_t at = used_;
    used_ += (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    return base_ ? reinterpret_cast<T*>(base_ + at) : nullptr;
  }

  size_t used() const { return used_; }

 private:
  uint8_t* base_;
  size_t used_ = 0;
};

uint32_t groups_of(uint32_t classes) { return (classes + kGroup - 1) / kGroup; }

State* layout_state(const Config& config, Carver* carver) {
  State* state = carver->take<State>(1);
  float* arena = carver->take<float>(config.arena_size);
  uint32_t* slots = carver->take<uint32_t>(config.n_slots);
  float* e = carver->take<float>(size_t{groups_of(config.most_classes)} * kGroup);
  float* groups = carver->take<float>(groups_of(config.most_classes));
  if (state != nullptr) {
    new (state) State{};
    state->arena = arena;
    state->slots = slots;
    state->e = e;
    state->groups = groups;
  }
  return state;
}

// One step of one program: what every operation needs.
struct Step {
  const Model& model;
  const Kernels& kernels;
  float* arena;
  uint32_t i;  // number of the sample within its frame

  float* at(const Operand& operand) const { return arena + operand.offset + size_t{operand.stride} * i; }

  void linear(const LinearOp& op) const {
    const Matrix& w = model.tensors[op.weights];
    const float* bias = op.bias == kNone ? nullptr : static_cast<const float*>(model.tensors[op.bias].values);
    float* out = at(op.out);
    kernels.matvec_for(w)(w, at(op.in), bias, out);
    if (op.add.offset != kNone) {
      kernels.finish(w.rows, op.activation, at(op.add), out);
    } else if (op.activation != Activation::none) {
      kernels.finish(w.rows, op.activation, nullptr, out);
    }
  }

  void gates(const GatesOp& op) const { kernels.gates(op.units, at(op.recurrent), at(op.input), at(op.state)); }

  void history(const HistoryOp& op) const {
    float* window = at(op.out);
    const size_t kept = size_t{op.size} * (op.frames - 1);
    memmove(window, window + op.size, kept * sizeof *window);
    memcpy(window + kept, at(op.in), op.size * sizeof *window);
  }

  void upsample(const UpsampleOp& op) const {
    kernels.upsample(model.config.hop_length, op.window, op.channels,
                     static_cast<const float*>(model.tensors[op.weights].values), at(op.in), op.row_stride,
                     arena + op.out);
  }

  void add(const AddOp& op) const {
    const float* a = at(op.in);
    const float* b = at(op.add);
    float* out = at(op.out);
    for (uint32_t k = 0; k < op.size; ++k) out[k] = a[k] + b[k];
  }
};

// The observer of every run but a profiler's.
struct Unobserved {
  void operator()(uint32_t) const {}
};

// `done(n)` follows operation n of the program.
template <class Observe>
void run_frame(State* state, const float* features, const Observe& done) {
  const Model& model = *state->model;
  const Step step{model, state->kernels, state->arena, 0};
  float* in = state->arena + model.config.features_at;
  if (features != nullptr) {
    memcpy(in, features, model.config.n_features * sizeof *in);
  } else {
    memset(in, 0, model.config.n_features * sizeof *in);
  }
  for (uint32_t n = 0; n < model.config.n_frame_operations; ++n) {
    const Operation& op = model.frame_program[n];
    switch (op.code) {
      case Code::linear:
        step.linear(op.linear);
        break;
      case Code::gates:
        step.gates(op.gates);
        break;
      case Code::history:
        step.history(op.history);
        break;
      case Code::upsample:
        step.upsample(op.upsample);
        break;
      case Code::add:
        step.add(op.add);
        break;
      default:
        break;
    }
    done(n);
  }
}

// The random number of a draw: uniform in [0, 1), 24 bits.
float uniform(const State& state, uint32_t index) {
  const PhiloxBlock counter = {{static_cast<uint32_t>(state.sample), static_cast<uint32_t>(state.sample >> 32),
                                index >> 2, state.sampling.stream}};
  const PhiloxBlock block =
      philox4x32(counter, static_cast<uint32_t>(state.sampling.seed), static_cast<uint32_t>(state.sampling.seed >> 32));
  return static_cast<float>(block.words[index & 3] >> 8) * 0x1p-24f;
}

uint32_t likeliest(const float* logits, uint32_t classes) {
  uint32_t best = 0;
  float greatest = -INFINITY;
  for (uint32_t k = 0; k < classes; ++k) {
    if (logits[k] > greatest) {
      greatest = logits[k];
      best = k;
    }
  }
  return best;
}

// Inverts the cumulative distribution: first among the groups of 16 classes, then within one.
uint32_t draw_class(State* state, const DrawOp& op, const float* logits) {
  state->kernels.exponentials(op.classes, state->inverse_temperature, logits, state->e, state->groups);
  const uint32_t n_groups = groups_of(op.classes);
  float* cumulative = state->groups;
  for (uint32_t g = 1; g < n_groups; ++g) cumulative[g] = cumulative[g - 1] + cumulative[g];
  const float threshold = uniform(*state, op.word) * cumulative[n_groups - 1];
  uint32_t g = 0;
  while (g + 1 < n_groups && !(cumulative[g] > threshold)) ++g;
  const uint32_t last = (g + 1 < n_groups ? (g + 1) * kGroup : op.classes) - 1;
  uint32_t k = g * kGroup;
  float sum = (g == 0 ? 0.0f : cumulative[g - 1]) + state->e[k];
  while (k < last && !(sum > threshold)) sum = sum + state->e[++k];
  return k;
}

void set_token(State* state, const DrawOp& op, const Step& step, uint32_t token) {
  state->slots[op.slot] = token;
  *step.at(op.out) = fmaf(static_cast<float>(token), op.scale, op.offset);
}

// Nats of one class at temperature 1, from the same exponentials that a draw uses.
double class_nats(State* state, const DrawOp& op, const float* logits, uint32_t token) {
  const float greatest = state->kernels.exponentials(op.classes, 1.0f, logits, state->e, state->groups);
  float total = state->groups[0];
  for (uint32_t g = 1; g < groups_of(op.classes); ++g) total = total + state->groups[g];
  return log(static_cast<double>(total)) - (static_cast<double>(logits[token]) - static_cast<double>(greatest));
}

int16_t output_sample(State* state, const OutputOp& op, const Step& step) {
  uint32_t token = state->slots[op.high];
  if (op.low != kNone) token = token * 256 + state->slots[op.low];
  const float v = fmaf(static_cast<float>(token), op.scale, op.offset);
  float e = v;
  if (op.companding == Companding::mu_law) {
    e = copysignf((exp_scalar(fabsf(v) * op.log1p_mu) - 1.0f) * op.inverse_mu, v);
  }
  float* previous = step.at(op.state);
  const float y = fmaf(op.pre_emphasis, *previous, e);
  *previous = y;
  float z = y * 32768.0f;
  z = z > -32768.0f ? z : -32768.0f;
  z = z < 32767.0f ? z : 32767.0f;
  const uint32_t rounded = bits_of(z + kRound) - bits_of(kRound);  // the integer nearest to z, ties to even
  return static_cast<int16_t>(static_cast<int32_t>(rounded));
}

// One step of the sample program. A forced token takes the place of what would be drawn, and *nats grows by its score.
// `done(n)` follows operation n.
template <class Observe>
int16_t run_sample(State* state, const uint16_t* forced, double* nats, const Observe& done) {
  const Model& model = *state->model;
  const Config& config = model.config;
  const OutputOp& output = model.sample_program[config.n_sample_operations - 1].output;
  const Step step{model, state->kernels, state->arena, state->position};
  for (uint32_t n = 0; n + 1 < config.n_sample_operations; ++n) {
    const Operation& op = model.sample_program[n];
    switch (op.code) {
      case Code::linear:
        step.linear(op.linear);
        break;
      case Code::gates:
        step.gates(op.gates);
        break;
      case Code::add:
        step.add(op.add);
        break;
      case Code::embedding: {
        const Matrix& table = model.tensors[op.embedding.table];
        const uint32_t row_bytes = (table.cols + kGroup - 1) / kGroup * kGroup * (table.dtype == Dtype::fp32 ? 4 : 2);
        const uint8_t* row =
            static_cast<const uint8_t*>(table.values) + size_t{row_bytes} * state->slots[op.embedding.slot];
        state->kernels.widen(table.cols, table.dtype, row, step.at(op.embedding.out));
        break;
      }
      case Code::draw: {
        const float* logits = step.at(op.draw.in);
        uint32_t token;
        if (forced != nullptr) {
          token = output.low == kNone ? *forced : op.draw.slot == output.high ? *forced >> 8 : *forced & 255u;
          *nats += class_nats(state, op.draw, logits, token);
        } else {
          token = state->inverse_temperature == 0.0f ? likeliest(logits, op.draw.classes)
                                                     : draw_class(state, op.draw, logits);
        }
        set_token(state, op.draw, step, token);
        break;
      }
      default:
        break;
    }
    done(n);
  }
  const int16_t sample = output_sample(state, output, step);
  done(config.n_sample_operations - 1);
  state->sample += 1;
  state->position += 1;
  if (state->position == config.hop_length) {
    state->position = 0;
    state->frame_ready = false;
    state->frames_made += 1;
  }
  return sample;
}

template <class Observe>
void advance_frame(State* state, const float* features, const Observe& done) {
  run_frame(state, features, done);
  state->frames_run += 1;
  state->frame_ready = state->frames_run > state->model->config.lookahead;
}

}  // namespace

size_t state_size(const Model& model) {
  Carver carver(nullptr);
  layout_state(model.config, &carver);
  return carver.used();
}

State* make_state(const Model& model, const Kernels& kernels, const Sampling& sampling, void* memory) {
  Carver carver(memory);
  State* state = layout_state(model.config, &carver);
  state->model = &model;
  state->kernels = kernels;
  state->sampling = sampling;
  const float inverse = 1.0f / sampling.temperature;
  state->inverse_temperature = isfinite(inverse) ? inverse : 0.0f;
  reset_state(state, sampling.seed, sampling.stream);
  return state;
}

void reset_state(State* state, uint64_t seed, uint32_t stream) {
  const Model& model = *state->model;
  state->sampling.seed = seed;
  state->sampling.stream = stream;
  state->sample = state->frames_taken = state->frames_run = state->frames_made = 0;
  state->position = 0;
  state->frame_ready = state->finished = false;
  memset(state->arena, 0, model.config.arena_size * sizeof *state->arena);
  const Step step{model, state->kernels, state->arena, 0};
  for (uint32_t n = 0; n < model.config.n_sample_operations; ++n) {
    if (model.sample_program[n].code != Code::draw) continue;
    const DrawOp& op = model.sample_program[n].draw;
    state->slots[op.slot] = op.initial_token;
    *step.at(op.out) = op.initial_value;
  }
  for (uint32_t n = 0; n < model.config.priming; ++n) run_frame(state, nullptr, Unobserved{});
}

void take_frame(State* state, const float* features) {
  state->frames_taken += 1;
  advance_frame(state, features, Unobserved{});
}

bool prepare_sample(State* state) {
  while (!state->frame_ready && state->finished && state->frames_made < state->frames_taken)
    advance_frame(state, nullptr, Unobserved{});
  return state->frame_ready;
}

int16_t make_sample(State* state) { return run_sample(state, nullptr, nullptr, Unobserved{}); }

void observe_frame(State* state, const float* features, const Observer& done) {
  state->frames_taken += 1;
  advance_frame(state, features, done);
}

int16_t observe_sample(State* state, const Observer& done) { return run_sample(state, nullptr, nullptr, done); }

bool token_exists(const State& state, uint16_t token) {
  const Config& config = state.model->config;
  if (config.low_classes == 0) return token < config.high_classes;
  return token / 256u < config.high_classes && token % 256u < config.low_classes;
}

double score_sample(State* state, uint16_t token) {
  double nats = 0.0;
  run_sample(state, &token, &nats, Unobserved{});
  return nats;
}

uint64_t samples_available(const State& state) {
  const uint64_t frames = state.finished ? state.frames_taken - state.frames_made : state.frame_ready ? 1 : 0;
  return frames * state.model->config.hop_length - state.position;
}

}  // namespace linnet
