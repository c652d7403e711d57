#include "run/engine.h"

#include <string.h>

#include "run/lanes.h"
#include "run/team.h"
#include "run/together.h"

namespace linnet {
namespace {

// A step of a frame program, or the step of a sample program that sees a row of a frame.
Step step_at(Stream* stream, uint32_t row) {
  return Step{stream->model, &stream->kernels, stream->arena, &stream->sampler, row, nullptr, nullptr, 0.0};
}

// Step n of those that are asked for.
Step step_of(Stream* stream, uint32_t n) {
  const Request& request = stream->request;
  const Config& config = stream->model->config;
  const size_t first = size_t{n} * config.samples_per_step;
  Step step = step_at(stream, (request.first + n) / config.steps_per_row);
  if (request.tokens != nullptr) step.forced = request.tokens + first;
  if (request.samples != nullptr) step.samples = request.samples + first;
  return step;
}

void end_step(Stream* stream, const Step& step) {
  if (stream->request.nats != nullptr) *stream->request.nats += step.nats;
  stream->sampler.step += 1;
}

void run_frame(Stream* stream, const float* features) {
  const Model& model = *stream->model;
  float* in = stream->arena + model.config.features_at;
  if (features == nullptr && model.config.silence != kNone) features = model.floats(model.config.silence);
  if (features != nullptr) {
    memcpy(in, features, model.config.n_features * sizeof *in);
  } else {
    memset(in, 0, model.config.n_features * sizeof *in);
  }
  Step step = step_at(stream, 0);
  for (uint32_t n = 0; n < model.config.n_frame_operations; ++n) {
    const Operation& op = model.frame_program[n];
    row_of(op.code())->run(step, op, whole(model, op));
    stream->observer.done_with(n);
  }
}

// One thread's part of the steps that are asked for. All threads run this at once; only thread 0 changes the stream
// beyond the arena.
void run_parts(Stream* stream, uint32_t thread) {
  const Plan& plan = stream->plan;
  for (uint32_t n = 0; n < stream->request.n; ++n) {
    Step step = step_of(stream, n);
    for (uint32_t k = 0; k < plan.n_tasks; ++k) {
      const Task& task = plan.tasks[k];
      if (task.barrier) stream->team->barrier(thread);
      const Part& part = plan.part(k, thread);
      if (part.count == 0) continue;
      task.row->run(step, *task.operation, part);
      if (thread == 0)
        stream->observer.done_with(static_cast<uint32_t>(task.operation - stream->model->sample_program));
    }
    if (thread == 0) end_step(stream, step);
  }
}

// What is asked for of `count` streams of one model and one thread each, operation by operation.
void run_streams(Stream* const* streams, uint32_t count) {
  const Stream& first = *streams[0];
  for (uint32_t n = 0; n < first.request.n; ++n) {
    Step steps[kTogether];
    for (uint32_t l = 0; l < count; ++l) steps[l] = step_of(streams[l], n);
    for (uint32_t k = 0; k < first.plan.n_tasks; ++k) run_together(first.plan, k, steps, count, first.packed);
    for (uint32_t l = 0; l < count; ++l) end_step(streams[l], steps[l]);
  }
}

// How many of `most` samples the frame has left.
uint32_t up_to_frame(const Stream& stream, size_t most) {
  const uint32_t left = stream.model->config.hop_length - stream.position;
  return most < left ? static_cast<uint32_t>(most) : left;
}

// After n samples of the frame.
void move_on(Stream* stream, uint32_t n) {
  stream->position += n;
  if (stream->position == stream->model->config.hop_length) {
    stream->position = 0;
    stream->frame_ready = false;
    stream->frames_made += 1;
  }
}

// Hands out what is left of the last step's samples, but at most `most`; returns how many.
uint32_t hand_out(Stream* stream, uint32_t most, int16_t* samples) {
  const uint32_t per_step = stream->model->config.samples_per_step;
  const uint32_t used = stream->position % per_step;
  const uint32_t waiting = used == 0 ? 0 : per_step - used;
  const uint32_t n = most < waiting ? most : waiting;
  memcpy(samples, stream->pending + used, n * sizeof *samples);
  move_on(stream, n);
  return n;
}

// Asks for n steps, all of this frame.
void ask(Stream* stream, uint32_t n, int16_t* samples, const uint16_t* tokens, double* nats) {
  stream->request = Request{n, stream->position / stream->model->config.samples_per_step, samples, tokens, nats};
}

void run_asked(Stream* stream) {
  if (stream->n_threads == 1) {
    run_request(stream, 0);
  } else {
    stream->team->run();
  }
}

void advance_frame(Stream* stream, const float* features) {
  run_frame(stream, features);
  stream->frames_run += 1;
  if (stream->lanes != nullptr) keep_conditions(stream);
  stream->frame_ready = stream->frames_run > stream->model->config.lookahead;
}

}  // namespace

void reset_operations(const Step& step, const Operation* operations, uint32_t n) {
  for (uint32_t i = 0; i < n; ++i) {
    const auto reset = row_of(operations[i].code())->reset;
    if (reset != nullptr) reset(step, operations[i]);
  }
}

void run_request(void* context, uint32_t thread) {
  auto* stream = static_cast<Stream*>(context);
  if (stream->lanes != nullptr) return run_lanes(stream, thread);
  run_parts(stream, thread);
}

void reset_engine(Stream* stream) {
  const Model& model = *stream->model;
  stream->sampler.step = stream->frames_taken = stream->frames_run = stream->frames_made = 0;
  stream->position = 0;
  stream->sampler.recorded = 0.0f;
  stream->frame_ready = stream->finished = false;
  memset(stream->arena, 0, model.config.arena_size * sizeof *stream->arena);
  const Step step = step_at(stream, 0);
  reset_operations(step, model.sample_program, model.config.n_sample_operations);
  reset_operations(step, model.frame_program, model.config.n_frame_operations);
  if (stream->lanes != nullptr) reset_lanes(stream);
  for (uint32_t n = 0; n < model.config.priming; ++n) run_frame(stream, nullptr);
}

void take_frame(Stream* stream, const float* features) {
  stream->frames_taken += 1;
  advance_frame(stream, features);
}

bool prepare_sample(Stream* stream) {
  while (!stream->frame_ready && stream->finished && stream->frames_made < stream->frames_taken)
    advance_frame(stream, nullptr);
  return stream->frame_ready;
}

// A step may make more of them than are asked for: the others stay in `pending`, and are handed out before the next
// step.
uint32_t make_samples(Stream* stream, size_t most, int16_t* samples) {
  const uint32_t per_step = stream->model->config.samples_per_step;
  const uint32_t n = up_to_frame(*stream, most);
  uint32_t made = hand_out(stream, n, samples);
  const uint32_t steps = (n - made) / per_step;
  if (steps != 0) {
    ask(stream, steps, samples + made, nullptr, nullptr);
    run_asked(stream);
    move_on(stream, steps * per_step);
    made += steps * per_step;
  }
  if (made < n) {
    ask(stream, 1, stream->pending, nullptr, nullptr);
    run_asked(stream);
    memcpy(samples + made, stream->pending, (n - made) * sizeof *samples);
    move_on(stream, n - made);
  }
  return n;
}

uint32_t make_samples_together(Stream* const* streams, uint32_t count, size_t most, int16_t* const* samples) {
  for (uint32_t l = 0; l < count; ++l) most = up_to_frame(*streams[l], most);
  const uint32_t n = static_cast<uint32_t>(most), per_step = streams[0]->model->config.samples_per_step;
  uint32_t made[kTogether], steps = n / per_step;
  for (uint32_t l = 0; l < count; ++l) {
    made[l] = hand_out(streams[l], n, samples[l]);
    if ((n - made[l]) / per_step < steps) steps = (n - made[l]) / per_step;
  }
  if (steps != 0) {
    for (uint32_t l = 0; l < count; ++l) ask(streams[l], steps, samples[l] + made[l], nullptr, nullptr);
    run_streams(streams, count);
  }
  // What is left is less than two steps, where the streams do not stand at the same place of a step.
  for (uint32_t l = 0; l < count; ++l) {
    move_on(streams[l], steps * per_step);
    made[l] += steps * per_step;
    if (made[l] < n) make_samples(streams[l], n - made[l], samples[l] + made[l]);
  }
  return n;
}

bool token_exists(const Stream& stream, uint16_t token) {
  const Config& config = stream.model->config;
  if (config.low_classes == 0) return token < config.high_classes;
  return token / 256u < config.high_classes && token % 256u < config.low_classes;
}

uint32_t score_samples(Stream* stream, size_t most, const uint16_t* tokens, double* nats) {
  const uint32_t per_step = stream->model->config.samples_per_step;
  const uint32_t steps = up_to_frame(*stream, most) / per_step;
  ask(stream, steps, nullptr, tokens, nats);
  run_asked(stream);
  move_on(stream, steps * per_step);
  return steps * per_step;
}

uint64_t engine_available(const Stream& stream) {
  const uint64_t frames = stream.finished ? stream.frames_taken - stream.frames_made : stream.frame_ready ? 1 : 0;
  return frames * stream.model->config.hop_length - stream.position;
}

}  // namespace linnet
