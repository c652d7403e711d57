#include "engine.h"

#include <math.h>
#include <new>
#include <string.h>

#include "bands.h"
#include "draw.h"
#include "logistics.h"
#include "prediction.h"
#include "threads.h"

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

State* layout_state(const Model& model, uint32_t n_threads, Carver* carver) {
  const Config& config = model.config;
  const uint32_t n_tasks = most_tasks(model);
  State* state = carver->take<State>(1);
  float* arena = carver->take<float>(config.arena_size);
  uint32_t* slots = carver->take<uint32_t>(config.n_slots);
  float* e = carver->take<float>(size_t{groups_of(config.most_classes)} * kGroup);
  float* groups = carver->take<float>(groups_of(config.most_classes));
  Task* tasks = carver->take<Task>(n_tasks);
  Share* shares = carver->take<Share>(size_t{n_tasks} * n_threads);
  Team* team = n_threads == 1 ? nullptr : carver->take<Team>(1);
  if (state != nullptr) {
    new (state) State{};
    state->arena = arena;
    state->slots = slots;
    state->e = e;
    state->groups = groups;
    state->plan.tasks = tasks;
    state->plan.shares = shares;
    state->team = team;
  }
  return state;
}

// One step of one program: what every operation needs.
struct Step {
  const Model& model;
  const Kernels& kernels;
  float* arena;
  uint32_t i;  // number of the row within its frame

  float* at(const Operand& operand) const { return arena + operand.offset + size_t{operand.stride} * i; }

  void linear(const LinearOp& op, bool product, bool finish, const Share& share) const {
    float* out = at(op.out) + share.first;
    if (product) {
      const float* bias =
          op.bias == kNone ? nullptr : static_cast<const float*>(model.tensors[op.bias].values) + share.first;
      kernels.matvec_for(share.weights)(share.weights, at(op.in), bias, out);
    }
    if (!finish) return;
    if (op.add.offset != kNone) {
      kernels.finish(share.count, op.activation, at(op.add) + share.first, out);
    } else if (op.activation != Activation::none) {
      kernels.finish(share.count, op.activation, nullptr, out);
    }
  }

  void linear(const LinearOp& op) const {
    const Matrix& w = model.tensors[op.weights];
    linear(op, true, true, Share{0, w.rows, w});
  }

  void gates(const GatesOp& op, uint32_t first, uint32_t count) const {
    kernels.gates(count, op.units, at(op.recurrent) + first, at(op.input) + first, at(op.state) + first);
  }

  void history(const HistoryOp& op) const {
    float* window = at(op.out);
    const size_t kept = size_t{op.size} * (op.frames - 1);
    memmove(window, window + op.size, kept * sizeof *window);
    memcpy(window + kept, at(op.in), op.size * sizeof *window);
  }

  void upsample(const UpsampleOp& op) const {
    kernels.upsample(model.config.rows(), op.window, op.channels,
                     static_cast<const float*>(model.tensors[op.weights].values), at(op.in), op.row_stride,
                     arena + op.out);
  }

  void add(const AddOp& op, uint32_t first, uint32_t count) const {
    const float* a = at(op.in) + first;
    const float* b = at(op.add) + first;
    float* out = at(op.out) + first;
    for (uint32_t k = 0; k < count; ++k) out[k] = a[k] + b[k];
    if (op.activation != Activation::none) kernels.finish(count, op.activation, nullptr, out);
  }

  void predict(const PredictOp& op) const {
    linnet::predict(op, at(op.in), *at(op.gain), at(op.past), at(op.out));
  }

  void embedding(const EmbeddingOp& op, uint32_t token) const {
    const Matrix& table = model.tensors[op.table];
    const uint32_t row_bytes = (table.cols + kGroup - 1) / kGroup * kGroup * (table.dtype == Dtype::fp32 ? 4 : 2);
    const uint8_t* row = static_cast<const uint8_t*>(table.values) + size_t{row_bytes} * token;
    kernels.widen(table.cols, table.dtype, row, at(op.out));
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
  if (features == nullptr && model.config.silence != kNone)
    features = static_cast<const float*>(model.tensors[model.config.silence].values);
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
        step.gates(op.gates, 0, op.gates.units);
        break;
      case Code::history:
        step.history(op.history);
        break;
      case Code::upsample:
        step.upsample(op.upsample);
        break;
      case Code::add:
        step.add(op.add, 0, op.add.size);
        break;
      case Code::step_up:
        step_up(op.step_up.order, step.at(op.step_up.in), step.at(op.step_up.out));
        break;
      default:
        break;
    }
    done(n);
  }
}

// A sample of a recording, one of 65536, as the filter of the output would have to make it.
float pre_emphasised(State* state, const OutputOp& op, uint16_t sample) {
  const float x = (static_cast<float>(sample) - 32768.0f) * 0x1p-15f;
  const float s = fmaf(-op.pre_emphasis, state->recorded, x);
  state->recorded = x;
  return s;
}

// Draws the operation's token; a forced one takes its place, and *nats grows by its score.
void draw(State* state, const DrawOp& op, const Step& step, const uint16_t* forced, double* nats) {
  const Config& config = state->model->config;
  const OutputOp& output = state->model->sample_program[config.n_sample_operations - 1].output;
  const float* logits = step.at(op.in);
  uint32_t token;
  if (forced != nullptr) {
    if (output.companding == Companding::excitation) {
      token = token_of(output, op.classes, step.at(output.predicted), pre_emphasised(state, output, *forced));
    } else {
      token = output.low == kNone ? *forced : op.slot == output.high ? *forced >> 8 : *forced & 255u;
    }
    *nats += class_nats(state, op, logits, token);
  } else {
    token = draw_class(state, op, logits);
  }
  state->slots[op.slot] = token;
  *step.at(op.out) = fmaf(static_cast<float>(token), op.scale, op.offset);
}

// Draws the operation's bands; forced tokens take their place.
void draw_logistics(State* state, const LogisticsOp& op, const Step& step, const uint16_t* forced, double* nats) {
  const Mixture mixture = {op, step.at(op.in), step.at(op.means), step.at(op.scales)};
  float* out = step.at(op.out);
  for (uint32_t band = 0; band < op.bands; ++band) {
    if (forced != nullptr) {
      *nats += logistic_nats(state, mixture, band, forced[band]);
      out[band] = logistic_value(op, forced[band]);
    } else {
      out[band] = draw_logistic(state, mixture, band);
    }
  }
}

int16_t output_sample(const State& state, const OutputOp& op, const Step& step) {
  float value = output_value(state, op);
  if (op.companding == Companding::excitation) {
    value = excited(step.at(op.predicted), value);
    *step.at(op.past) = value;
  }
  return to_pcm(value, op.pre_emphasis, step.at(op.state));
}

void end_step(State* state, double nats) {
  if (state->request.nats != nullptr) *state->request.nats += nats;
  state->step += 1;
}

// One thread's part of the steps that are asked for. All threads run this at once; only thread 0 changes the state
// beyond the arena. `done(n)` follows this thread's share of operation n.
template <class Observe>
void run_shares(State* state, uint32_t thread, const Observe& done) {
  const Request& request = state->request;
  const Plan& plan = state->plan;
  const Config& config = state->model->config;
  for (uint32_t n = 0; n < request.n; ++n) {
    const Step step{*state->model, state->kernels, state->arena, (request.first + n) / config.steps_per_row};
    const size_t first = size_t{n} * config.samples_per_step;
    const uint16_t* forced = request.tokens == nullptr ? nullptr : request.tokens + first;
    int16_t* samples = request.samples == nullptr ? nullptr : request.samples + first;
    double nats = 0.0;
    for (uint32_t k = 0; k < plan.n_tasks; ++k) {
      const Task& task = plan.tasks[k];
      if (task.barrier) state->team->barrier(thread);
      const Share& share = plan.share(k, thread);
      if (share.count == 0) continue;
      const Operation& op = *task.operation;
      switch (op.code) {
        case Code::linear:
          step.linear(op.linear, task.product, task.finish, share);
          break;
        case Code::gates:
          step.gates(op.gates, share.first, share.count);
          break;
        case Code::add:
          step.add(op.add, share.first, share.count);
          break;
        case Code::predict:
          step.predict(op.predict);
          break;
        case Code::embedding:
          step.embedding(op.embedding, state->slots[op.embedding.slot]);
          break;
        case Code::draw:
          draw(state, op.draw, step, forced, &nats);
          break;
        case Code::logistics:
          draw_logistics(state, op.logistics, step, forced, &nats);
          break;
        case Code::output: {
          const int16_t sample = output_sample(*state, op.output, step);
          if (samples != nullptr) *samples = sample;
          end_step(state, nats);
          break;
        }
        case Code::bands: {
          int16_t merged[kMostBands];
          const Matrix* filters = op.bands.levels == 0 ? nullptr : &state->model->tensors[op.bands.weights];
          merge_bands(op.bands, filters, step.at(op.bands.in), step.at(op.bands.state), merged);
          if (samples != nullptr) memcpy(samples, merged, config.samples_per_step * sizeof *samples);
          end_step(state, nats);
          break;
        }
        default:
          break;
      }
      done(static_cast<uint32_t>(task.operation - state->model->sample_program));
    }
  }
}

void run_shares_unobserved(void* state, uint32_t thread) {
  run_shares(static_cast<State*>(state), thread, Unobserved{});
}

// Runs n steps of the frame from the next on; moves on by as many of their samples as are `counted`.
template <class Observe>
void run_steps(State* state, uint32_t n, int16_t* samples, const uint16_t* tokens, double* nats, uint32_t counted,
               const Observe& done) {
  if (n == 0) return;
  state->request = Request{n, state->position / state->model->config.samples_per_step, samples, tokens, nats};
  if (state->plan.n_threads == 1) {
    run_shares(state, 0, done);
  } else {
    state->team->run();
  }
  state->position += counted;
}

// Makes the samples asked for, but not beyond the frame; returns how many they are. Only one thread is observed. A step
// may make more than are asked for: the others stay in `pending`, and are handed out before the next step.
template <class Observe>
uint32_t run(State* state, size_t most, int16_t* samples, const uint16_t* tokens, double* nats, const Observe& done) {
  const Config& config = state->model->config;
  const uint32_t per_step = config.samples_per_step;
  const uint32_t left = config.hop_length - state->position;
  uint32_t n = most < left ? static_cast<uint32_t>(most) : left;
  if (tokens != nullptr) {
    n -= n % per_step;
    run_steps(state, n / per_step, nullptr, tokens, nats, n, done);
  } else {
    const uint32_t used = state->position % per_step;
    const uint32_t waiting = used == 0 ? 0 : per_step - used;
    const uint32_t handed = n < waiting ? n : waiting;
    memcpy(samples, state->pending + used, handed * sizeof *samples);
    state->position += handed;
    const uint32_t rest = (n - handed) % per_step;
    const uint32_t whole = n - handed - rest;
    run_steps(state, whole / per_step, samples + handed, nullptr, nullptr, whole, done);
    if (rest != 0) {
      run_steps(state, 1, state->pending, nullptr, nullptr, rest, done);
      memcpy(samples + handed + whole, state->pending, rest * sizeof *samples);
    }
  }
  if (state->position == config.hop_length) {
    state->position = 0;
    state->frame_ready = false;
    state->frames_made += 1;
  }
  return n;
}

template <class Observe>
void advance_frame(State* state, const float* features, const Observe& done) {
  run_frame(state, features, done);
  state->frames_run += 1;
  state->frame_ready = state->frames_run > state->model->config.lookahead;
}

}  // namespace

size_t state_size(const Model& model, uint32_t n_threads) {
  Carver carver(nullptr);
  layout_state(model, n_threads, &carver);
  return carver.used();
}

State* make_state(const Model& model, const Kernels& kernels, const Sampling& sampling, const Threading& threading,
                  void* memory) {
  Carver carver(memory);
  State* state = layout_state(model, threading.n_threads, &carver);
  state->model = &model;
  state->kernels = kernels;
  state->sampling = sampling;
  const float inverse = 1.0f / sampling.temperature;
  state->inverse_temperature = isfinite(inverse) ? inverse : 0.0f;
  make_plan(model, threading, &state->plan);
  if (state->plan.n_threads > 1) {
    new (state->team) Team();
    if (!state->team->start(state->plan.n_threads, run_shares_unobserved, state)) return nullptr;
  }
  reset_state(state, sampling.seed, sampling.stream);
  return state;
}

void end_threads(State* state) {
  if (state->plan.n_threads > 1) state->team->stop();
}

void reset_state(State* state, uint64_t seed, uint32_t stream) {
  const Model& model = *state->model;
  state->sampling.seed = seed;
  state->sampling.stream = stream;
  state->step = state->frames_taken = state->frames_run = state->frames_made = 0;
  state->position = 0;
  state->recorded = 0.0f;
  state->frame_ready = state->finished = false;
  memset(state->arena, 0, model.config.arena_size * sizeof *state->arena);
  const Step step{model, state->kernels, state->arena, 0};
  for (uint32_t n = 0; n < model.config.n_sample_operations; ++n) {
    if (model.sample_program[n].code != Code::draw) continue;
    const DrawOp& op = model.sample_program[n].draw;
    state->slots[op.slot] = op.initial_token;
    *step.at(op.out) = op.initial_value;
  }
  for (uint32_t n = 0; n < model.config.n_frame_operations; ++n) {
    if (model.frame_program[n].code != Code::history) continue;
    const HistoryOp& op = model.frame_program[n].history;
    if (op.initial != kNone)
      memcpy(step.at(op.out), model.tensors[op.initial].values, size_t{op.size} * op.frames * sizeof(float));
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

uint32_t make_samples(State* state, size_t most, int16_t* samples) {
  return run(state, most, samples, nullptr, nullptr, Unobserved{});
}

void observe_frame(State* state, const float* features, const Observer& done) {
  state->frames_taken += 1;
  advance_frame(state, features, done);
}

uint32_t observe_samples(State* state, size_t most, int16_t* samples, const Observer& done) {
  return run(state, most, samples, nullptr, nullptr, done);
}

bool token_exists(const State& state, uint16_t token) {
  const Config& config = state.model->config;
  if (config.low_classes == 0) return token < config.high_classes;
  return token / 256u < config.high_classes && token % 256u < config.low_classes;
}

uint32_t score_samples(State* state, size_t most, const uint16_t* tokens, double* nats) {
  return run(state, most, nullptr, tokens, nats, Unobserved{});
}

uint64_t samples_available(const State& state) {
  const uint64_t frames = state.finished ? state.frames_taken - state.frames_made : state.frame_ready ? 1 : 0;
  return frames * state.model->config.hop_length - state.position;
}

}  // namespace linnet
