#include "run/stream.h"

#include <math.h>
#include <new>
#include <string.h>

#include "operations/categorical.h"
#include "run/arena.h"
#include "run/engine.h"
#include "run/lanes.h"
#include "run/team.h"

namespace linnet {
namespace {

Stream* layout_stream(const Model& model, uint32_t n_threads, BumpAllocator* allocator) {
  const Config& config = model.config;
  const uint32_t n_tasks = most_tasks(model);
  Stream* stream = allocator->take<Stream>(1);
  Stream measured;
  Stream& laid = stream == nullptr ? measured : *new (stream) Stream{};
  laid.arena = allocator->take<float>(config.arena_size);
  laid.sampler.slots = allocator->take<uint32_t>(config.n_slots);
  laid.sampler.e = allocator->take<float>(size_t{groups_of(config.most_classes)} * kGroup);
  laid.sampler.groups = allocator->take<float>(groups_of(config.most_classes));
  laid.packed = allocator->take<float>(size_t{kTogether} * config.most_cols);
  laid.plan.tasks = allocator->take<Task>(n_tasks);
  laid.plan.parts = allocator->take<Part>(size_t{n_tasks} * n_threads);
  if (model.subscale != nullptr) laid.lanes = make_lanes(model, n_threads, allocator);
  if (n_threads > 1) laid.team = allocator->take<Team>(1);
  if (model.match != nullptr) {
    const uint32_t capacity = lookahead_of(model) + 1;
    float* features = allocator->take<float>(size_t{capacity} * config.n_features);
    laid.frames = Frames{features, capacity, config.n_features, 0};
    laid.made = allocator->take<int16_t>(config.hop_length);
    laid.matched = allocator->take<int16_t>(config.hop_length);
    laid.matching = Matching::make(model, allocator);
  }
  return stream;
}

uint32_t hop_of(const Stream& stream) { return stream.model->config.hop_length; }

bool matches(const Stream& stream) { return stream.matching != nullptr && !stream.scored; }

// Hops whose samples were pulled or scored.
uint64_t done(const Stream& stream) { return stream.scored ? stream.frames_made : stream.given; }

// Bring the engine's next frame on: true if there is a sample to make.
bool prepare(Stream* stream) {
  if (stream->matching != nullptr) {
    const Frames& frames = stream->frames;
    while (!stream->frame_ready && stream->frames_taken < frames.taken)
      take_frame(stream, frames.at(stream->frames_taken));
    stream->finished = stream->ended && stream->frames_taken == frames.taken;
  }
  return prepare_sample(stream);
}

// Whether its samples are made by itself, whatever other streams of the model do.
bool is_alone(const Stream& stream) { return stream.n_threads > 1 || stream.lanes != nullptr; }

// After the engine made samples: hands a whole hop on.
void match_hop(Stream* stream, const int16_t* made) {
  stream->ready = stream->matching->run(stream->kernels, stream->frames, made, stream->matched);
  stream->matched_position = 0;
}

// What the engine has ended with, brought through the matching: true if that gave a hop.
bool flush(Stream* stream) {
  const uint64_t last = stream->frames.taken + delay_of(*stream->model);
  while (!stream->ready && stream->ended && stream->matching->hops() < last) match_hop(stream, nullptr);
  return stream->ready;
}

size_t hand_out(Stream* stream, size_t most, int16_t* samples) {
  const uint32_t hop = hop_of(*stream);
  const uint32_t left = hop - stream->matched_position;
  const uint32_t n = most < left ? static_cast<uint32_t>(most) : left;
  memcpy(samples, stream->matched + stream->matched_position, n * sizeof *samples);
  stream->matched_position += n;
  if (stream->matched_position == hop) {
    stream->ready = false;
    stream->given += 1;
  }
  return n;
}

// Hand out what is matched, and bring on more, until `most` samples are made or the engine has one to make: then true.
bool prepare_matched(Stream* stream, size_t most, int16_t* samples, size_t* made) {
  for (;;) {
    if (stream->ready) *made += hand_out(stream, most - *made, samples + *made);
    if (*made == most) return false;
    if (prepare(stream)) return true;
    if (!flush(stream)) return false;
  }
}

size_t pull_matched(Stream* stream, size_t most, int16_t* samples) {
  size_t made = 0;
  while (prepare_matched(stream, most, samples, &made)) {
    const uint32_t at = stream->position;
    make_samples(stream, hop_of(*stream) - at, stream->made + at);
    if (stream->position == 0) match_hop(stream, stream->made);
  }
  return made;
}

}  // namespace

uint32_t lookahead_of(const Model& model) { return model.config.lookahead + delay_of(model); }

size_t stream_size(const Model& model, uint32_t n_threads) {
  BumpAllocator measured(nullptr);
  layout_stream(model, n_threads, &measured);
  return measured.used();
}

Stream* make_stream(const Model& model, const Kernels& kernels, const Sampling& sampling, const Threading& threading,
                    void* memory) {
  BumpAllocator allocator(memory);
  Stream* stream = layout_stream(model, threading.n_threads, &allocator);
  stream->model = &model;
  stream->kernels = kernels;
  stream->sampler.sampling = sampling;
  const float inverse = 1.0f / sampling.temperature;
  stream->sampler.inverse_temperature = isfinite(inverse) ? inverse : 0.0f;
  make_plan(model, stream->lanes == nullptr ? threading : Threading{1, 0}, &stream->plan);
  stream->n_threads = stream->lanes == nullptr ? stream->plan.n_threads : stream->lanes->n_threads;
  if (stream->n_threads > 1) {
    new (stream->team) Team();
    if (!stream->team->start(stream->n_threads, run_request, stream)) return nullptr;
  }
  reset_stream(stream, sampling.seed, sampling.stream_number);
  return stream;
}

void end_threads(Stream* stream) {
  if (stream->n_threads > 1) stream->team->stop();
}

void reset_stream(Stream* stream, uint64_t seed, uint32_t stream_number) {
  stream->sampler.sampling.seed = seed;
  stream->sampler.sampling.stream_number = stream_number;
  reset_engine(stream);
  if (stream->matching != nullptr) stream->matching->reset();
  stream->frames.taken = stream->given = 0;
  stream->matched_position = 0;
  stream->ended = stream->ready = stream->scored = false;
}

bool wants_frame(const Stream& stream) {
  if (stream.matching == nullptr) return !stream.frame_ready;
  return stream.frames.taken < done(stream) + stream.frames.capacity;
}

void push_frame(Stream* stream, const float* features) {
  if (stream->matching == nullptr) return take_frame(stream, features);
  Frames& frames = stream->frames;
  memcpy(frames.at(frames.taken), features, frames.n_features * sizeof *features);
  frames.taken += 1;
}

void finish_stream(Stream* stream) {
  stream->ended = true;
  if (stream->matching == nullptr) stream->finished = true;
}

uint64_t samples_available(const Stream& stream) {
  if (stream.matching == nullptr) return engine_available(stream);
  const Model& model = *stream.model;
  const uint64_t ahead = stream.scored ? model.config.lookahead : lookahead_of(model);
  const uint64_t taken = stream.frames.taken;
  const uint64_t hops = stream.ended ? taken : taken > ahead ? taken - ahead : 0;
  const uint32_t position = stream.scored ? stream.position : stream.ready ? stream.matched_position : 0;
  return hops > done(stream) ? (hops - done(stream)) * model.config.hop_length - position : 0;
}

size_t pull_samples(Stream* stream, size_t most, int16_t* samples) {
  if (matches(*stream)) return pull_matched(stream, most, samples);
  size_t n = 0;
  while (n < most && prepare(stream)) n += make_samples(stream, most - n, samples + n);
  return n;
}

void pull_together(Stream* const* streams, uint32_t n_streams, int16_t* const* samples, size_t most, size_t* made) {
  for (uint32_t i = 0; i < n_streams; ++i) {
    made[i] = 0;
    if (is_alone(*streams[i])) made[i] = pull_samples(streams[i], most, samples[i]);
  }
  for (;;) {
    Stream* ready[kTogether];
    int16_t* at[kTogether];
    uint32_t numbers[kTogether];
    uint32_t n = 0;
    size_t each = hop_of(*streams[0]);  // make_samples_together stops where a frame ends
    for (uint32_t i = 0; i < n_streams; ++i) {
      Stream* stream = streams[i];
      if (is_alone(*stream)) continue;
      if (matches(*stream)) {
        if (!prepare_matched(stream, most, samples[i], &made[i])) continue;
        at[n] = stream->made + stream->position;
      } else {
        if (made[i] == most || !prepare(stream)) continue;
        at[n] = samples[i] + made[i];
        if (most - made[i] < each) each = most - made[i];
      }
      ready[n] = stream;
      numbers[n++] = i;
    }
    if (n == 0) return;
    const uint32_t together = make_samples_together(ready, n, each, at);
    for (uint32_t k = 0; k < n; ++k) {
      Stream* stream = streams[numbers[k]];
      if (!matches(*stream)) {
        made[numbers[k]] += together;
      } else if (stream->position == 0) {
        match_hop(stream, stream->made);
      }
    }
  }
}

size_t score_tokens(Stream* stream, size_t most, const uint16_t* tokens, double* nats) {
  stream->scored = true;
  size_t n = 0;
  while (n < most && prepare(stream)) n += score_samples(stream, most - n, tokens + n, nats);
  return n;
}

}  // namespace linnet
