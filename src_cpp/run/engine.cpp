#include "run/engine.h"

#include <math.h>
#include <new>
#include <string.h>

#include "operations/bands.h"
#include "run/arena.h"
#include "operations/draw.h"
#include "operations/logistics.h"
#include "operations/prediction.h"
#include "operations/step.h"
#include "run/team.h"

namespace linnet {
namespace {

State* layout_state(const Model& model, uint32_t n_threads, Carver* carver) {
  const Config& config = model.config;
  const uint32_t n_tasks = most_tasks(model);
  State* state = carver->take<State>(1);
  float* arena = carver->take<float>(config.arena_size);
  uint32_t* slots = carver->take<uint32_t>(config.n_slots);
  float* e = carver->take<float>(size_t{groups_of(config.most_classes)} * kGroup);
  float* groups = carver->take<float>(groups_of(config.most_classes));
  float* packed = carver->take<float>(size_t{kTogether} * config.most_cols);
  Task* tasks = carver->take<Task>(n_tasks);
  Share* shares = carver->take<Share>(size_t{n_tasks} * n_threads);
  Team* team = n_threads == 1 ? nullptr : carver->take<Team>(1);
  if (state != nullptr) {
    new (state) State{};
    state->arena = arena;
    state->slots = slots;
    state->e = e;
    state->groups = groups;
    state->packed = packed;
    state->plan.tasks = tasks;
    state->plan.shares = shares;
    state->team = team;
  }
  return state;
}

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

// Step n of those that are asked for.
Step step_of(const State& state, uint32_t n) {
  const uint32_t row = (state.request.first + n) / state.model->config.steps_per_row;
  return Step{*state.model, state.kernels, state.arena, row};
}

// The product of a linear operation for step n of several streams. Where one lacks to a group, the last is multiplied
// twice, which takes less time than three alone; one or two are multiplied alone.
void multiply_together(State* const* states, uint32_t count, const LinearOp& op, uint32_t n) {
  const State& first = *states[0];
  const Matrix& w = first.model->tensors[op.weights];
  const float* bias = op.bias == kNone ? nullptr : static_cast<const float*>(first.model->tensors[op.bias].values);
  static_assert(kTogether % kFewest == 0, "a group that lacks one has room for it");
  const float* in[kTogether];
  float* out[kTogether];
  for (uint32_t l = 0; l < count; ++l) {
    const Step step = step_of(*states[l], n);
    in[l] = step.at(op.in);
    out[l] = step.at(op.out);
  }
  const MatvecsFn matvecs = first.kernels.matvecs_for(w);
  uint32_t l = 0;
  if (matvecs != nullptr) {
    if (count % kFewest == kFewest - 1) {
      in[count] = in[count - 1];
      out[count] = out[count - 1];
    }
    l = (count + 1) / kFewest * kFewest;
    if (l != 0) matvecs(w, l, in, bias, first.packed, out);
  }
  for (; l < count; ++l) first.kernels.matvec_for(w)(w, in[l], bias, out[l]);
}

// One thread's share of one task, for step n of those that are asked for.
void run_task(State* state, const Task& task, const Share& share, const Step& step, uint32_t n, double* nats) {
  const Request& request = state->request;
  const Config& config = state->model->config;
  const size_t first = size_t{n} * config.samples_per_step;
  const uint16_t* forced = request.tokens == nullptr ? nullptr : request.tokens + first;
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
      draw(state, op.draw, step, forced, nats);
      break;
    case Code::logistics:
      draw_logistics(state, op.logistics, step, forced, nats);
      break;
    case Code::output: {
      const int16_t sample = output_sample(*state, op.output, step);
      if (request.samples != nullptr) request.samples[first] = sample;
      end_step(state, *nats);
      break;
    }
    case Code::bands: {
      int16_t merged[kMostBands];
      const Matrix* filters = op.bands.levels == 0 ? nullptr : &state->model->tensors[op.bands.weights];
      merge_bands(op.bands, filters, step.at(op.bands.in), step.at(op.bands.state), merged);
      if (request.samples != nullptr) memcpy(request.samples + first, merged, config.samples_per_step * sizeof *merged);
      end_step(state, *nats);
      break;
    }
    default:
      break;
  }
}

// One thread's part of the steps that are asked for. All threads run this at once; only thread 0 changes the state
// beyond the arena. `done(n)` follows this thread's share of operation n.
template <class Observe>
void run_shares(State* state, uint32_t thread, const Observe& done) {
  const Plan& plan = state->plan;
  for (uint32_t n = 0; n < state->request.n; ++n) {
    const Step step = step_of(*state, n);
    double nats = 0.0;
    for (uint32_t k = 0; k < plan.n_tasks; ++k) {
      const Task& task = plan.tasks[k];
      if (task.barrier) state->team->barrier(thread);
      const Share& share = plan.share(k, thread);
      if (share.count == 0) continue;
      run_task(state, task, share, step, n, &nats);
      done(static_cast<uint32_t>(task.operation - state->model->sample_program));
    }
  }
}

// The samples that are asked for of `count` streams of one model and one thread each, operation by operation.
void run_together(State* const* states, uint32_t count) {
  const State& first = *states[0];
  for (uint32_t n = 0; n < first.request.n; ++n) {
    double nats[kTogether] = {};
    for (uint32_t k = 0; k < first.plan.n_tasks; ++k) {
      Task task = first.plan.tasks[k];
      const Share& share = first.plan.share(k, 0);
      if (task.operation->code == Code::linear) {
        multiply_together(states, count, task.operation->linear, n);
        task.product = false;
      }
      for (uint32_t l = 0; l < count; ++l) run_task(states[l], task, share, step_of(*states[l], n), n, &nats[l]);
    }
  }
}

void run_shares_unobserved(void* state, uint32_t thread) {
  run_shares(static_cast<State*>(state), thread, Unobserved{});
}

// How many of `most` samples the frame has left.
uint32_t up_to_frame(const State& state, size_t most) {
  const uint32_t left = state.model->config.hop_length - state.position;
  return most < left ? static_cast<uint32_t>(most) : left;
}

// After n samples of the frame.
void move_on(State* state, uint32_t n) {
  state->position += n;
  if (state->position == state->model->config.hop_length) {
    state->position = 0;
    state->frame_ready = false;
    state->frames_made += 1;
  }
}

// Hands out what is left of the last step's samples, but at most `most`; returns how many.
uint32_t hand_out(State* state, uint32_t most, int16_t* samples) {
  const uint32_t per_step = state->model->config.samples_per_step;
  const uint32_t used = state->position % per_step;
  const uint32_t waiting = used == 0 ? 0 : per_step - used;
  const uint32_t n = most < waiting ? most : waiting;
  memcpy(samples, state->pending + used, n * sizeof *samples);
  move_on(state, n);
  return n;
}

// Asks for n steps, all of this frame.
void ask(State* state, uint32_t n, int16_t* samples, const uint16_t* tokens, double* nats) {
  state->request = Request{n, state->position / state->model->config.samples_per_step, samples, tokens, nats};
}

// Only one thread is observed.
template <class Observe>
void run_asked(State* state, const Observe& done) {
  if (state->plan.n_threads == 1) {
    run_shares(state, 0, done);
  } else {
    state->team->run();
  }
}

// Makes the samples asked for, but not beyond the frame; returns how many they are. A step may make more of them than
// are asked for: the others stay in `pending`, and are handed out before the next step.
template <class Observe>
uint32_t run(State* state, size_t most, int16_t* samples, const Observe& done) {
  const uint32_t per_step = state->model->config.samples_per_step;
  const uint32_t n = up_to_frame(*state, most);
  uint32_t made = hand_out(state, n, samples);
  const uint32_t whole = (n - made) / per_step;
  if (whole != 0) {
    ask(state, whole, samples + made, nullptr, nullptr);
    run_asked(state, done);
    move_on(state, whole * per_step);
    made += whole * per_step;
  }
  if (made < n) {
    ask(state, 1, state->pending, nullptr, nullptr);
    run_asked(state, done);
    memcpy(samples + made, state->pending, (n - made) * sizeof *samples);
    move_on(state, n - made);
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

uint32_t make_samples(State* state, size_t most, int16_t* samples) { return run(state, most, samples, Unobserved{}); }

uint32_t make_samples_together(State* const* states, uint32_t count, size_t most, int16_t* const* samples) {
  for (uint32_t l = 0; l < count; ++l) most = up_to_frame(*states[l], most);
  const uint32_t n = static_cast<uint32_t>(most), per_step = states[0]->model->config.samples_per_step;
  uint32_t made[kTogether], steps = n / per_step;
  for (uint32_t l = 0; l < count; ++l) {
    made[l] = hand_out(states[l], n, samples[l]);
    if ((n - made[l]) / per_step < steps) steps = (n - made[l]) / per_step;
  }
  if (steps != 0) {
    for (uint32_t l = 0; l < count; ++l) ask(states[l], steps, samples[l] + made[l], nullptr, nullptr);
    run_together(states, count);
  }
  // What is left is less than two steps, where the streams do not stand at the same place of a step.
  for (uint32_t l = 0; l < count; ++l) {
    move_on(states[l], steps * per_step);
    made[l] += steps * per_step;
    if (made[l] < n) run(states[l], n - made[l], samples[l] + made[l], Unobserved{});
  }
  return n;
}

void observe_frame(State* state, const float* features, const Observer& done) {
  state->frames_taken += 1;
  advance_frame(state, features, done);
}

uint32_t observe_samples(State* state, size_t most, int16_t* samples, const Observer& done) {
  return run(state, most, samples, done);
}

bool token_exists(const State& state, uint16_t token) {
  const Config& config = state.model->config;
  if (config.low_classes == 0) return token < config.high_classes;
  return token / 256u < config.high_classes && token % 256u < config.low_classes;
}

uint32_t score_samples(State* state, size_t most, const uint16_t* tokens, double* nats) {
  const uint32_t per_step = state->model->config.samples_per_step;
  const uint32_t steps = up_to_frame(*state, most) / per_step;
  ask(state, steps, nullptr, tokens, nats);
  run_asked(state, Unobserved{});
  move_on(state, steps * per_step);
  return steps * per_step;
}

uint64_t samples_available(const State& state) {
  const uint64_t frames = state.finished ? state.frames_taken - state.frames_made : state.frame_ready ? 1 : 0;
  return frames * state.model->config.hop_length - state.position;
}

}  // namespace linnet
