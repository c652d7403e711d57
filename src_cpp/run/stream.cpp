#include "run/stream.h"

#include <new>
#include <string.h>

namespace linnet {
namespace {

Stream* layout_stream(const Model& model, uint32_t n_threads, Carver* carver) {
  const Config& config = model.config;
  Stream* stream = carver->take<Stream>(1);
  void* state = carver->take<uint8_t>(state_size(model, n_threads));
  if (stream != nullptr) {
    new (stream) Stream{};
    stream->state = static_cast<State*>(state);
  }
  if (model.match == nullptr) return stream;
  const uint32_t capacity = lookahead_of(model) + 1;
  float* features = carver->take<float>(size_t{capacity} * config.n_features);
  int16_t* made = carver->take<int16_t>(config.hop_length);
  int16_t* matched = carver->take<int16_t>(config.hop_length);
  Matching* matching = Matching::make(model, carver);
  if (stream != nullptr) {
    stream->matching = matching;
    stream->frames = Frames{features, capacity, config.n_features, 0, false};
    stream->made = made;
    stream->matched = matched;
  }
  return stream;
}

uint32_t hop_of(const Stream& stream) { return stream.state->model->config.hop_length; }

bool matches(const Stream& stream) { return stream.matching != nullptr && !stream.scored; }

// Hops whose samples were pulled or scored.
uint64_t done(const Stream& stream) { return stream.scored ? stream.state->frames_made : stream.given; }

// Bring the engine's next frame on: true if there is a sample to make.
bool prepare(Stream* stream) {
  State* state = stream->state;
  if (stream->matching != nullptr) {
    const Frames& frames = stream->frames;
    while (!state->frame_ready && state->frames_taken < frames.taken) take_frame(state, frames.at(state->frames_taken));
    state->finished = frames.all && state->frames_taken == frames.taken;
  }
  return prepare_sample(state);
}

// After the engine made samples: hands a whole hop on.
void match_hop(Stream* stream, const int16_t* made) {
  stream->ready = stream->matching->run(stream->state->kernels, stream->frames, made, stream->matched);
  stream->position = 0;
}

// What the engine has ended with, brought through the matching: true if that gave a hop.
bool flush(Stream* stream) {
  const uint64_t last = stream->frames.taken + delay_of(*stream->state->model);
  while (!stream->ready && stream->frames.all && stream->matching->hops() < last) match_hop(stream, nullptr);
  return stream->ready;
}

size_t hand_out(Stream* stream, size_t most, int16_t* samples) {
  const uint32_t hop = hop_of(*stream);
  const uint32_t left = hop - stream->position;
  const uint32_t n = most < left ? static_cast<uint32_t>(most) : left;
  memcpy(samples, stream->matched + stream->position, n * sizeof *samples);
  stream->position += n;
  if (stream->position == hop) {
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
    const uint32_t at = stream->state->position;
    make_samples(stream->state, hop_of(*stream) - at, stream->made + at);
    if (stream->state->position == 0) match_hop(stream, stream->made);
  }
  return made;
}

}  // namespace

uint32_t lookahead_of(const Model& model) { return model.config.lookahead + delay_of(model); }

size_t stream_size(const Model& model, uint32_t n_threads) {
  Carver carver(nullptr);
  layout_stream(model, n_threads, &carver);
  return carver.used();
}

Stream* make_stream(const Model& model, const Kernels& kernels, const Sampling& sampling, const Threading& threading,
                    void* memory) {
  Carver carver(memory);
  Stream* stream = layout_stream(model, threading.n_threads, &carver);
  stream->state = make_state(model, kernels, sampling, threading, stream->state);
  if (stream->state == nullptr) return nullptr;
  if (stream->matching != nullptr) stream->matching->reset();
  return stream;
}

void reset_stream(Stream* stream, uint64_t seed, uint32_t number) {
  reset_state(stream->state, seed, number);
  if (stream->matching != nullptr) stream->matching->reset();
  stream->frames.taken = stream->given = 0;
  stream->position = 0;
  stream->frames.all = stream->ready = stream->scored = false;
}

bool wants_frame(const Stream& stream) {
  if (stream.matching == nullptr) return !stream.state->frame_ready;
  return stream.frames.taken < done(stream) + stream.frames.capacity;
}

void push_frame(Stream* stream, const float* features) {
  if (stream->matching == nullptr) return take_frame(stream->state, features);
  Frames& frames = stream->frames;
  memcpy(frames.at(frames.taken), features, frames.n_features * sizeof *features);
  frames.taken += 1;
}

void finish_stream(Stream* stream) {
  stream->frames.all = true;
  if (stream->matching == nullptr) stream->state->finished = true;
}

uint64_t samples_available(const Stream& stream) {
  if (stream.matching == nullptr) return samples_available(*stream.state);
  const Model& model = *stream.state->model;
  const uint64_t ahead = stream.scored ? model.config.lookahead : lookahead_of(model);
  const uint64_t taken = stream.frames.taken;
  const uint64_t hops = stream.frames.all ? taken : taken > ahead ? taken - ahead : 0;
  const uint32_t position = stream.scored ? stream.state->position : stream.ready ? stream.position : 0;
  return hops > done(stream) ? (hops - done(stream)) * model.config.hop_length - position : 0;
}

size_t pull_samples(Stream* stream, size_t most, int16_t* samples) {
  if (matches(*stream)) return pull_matched(stream, most, samples);
  size_t n = 0;
  while (n < most && prepare(stream)) n += make_samples(stream->state, most - n, samples + n);
  return n;
}

void pull_together(Stream* const* streams, uint32_t n_streams, int16_t* const* samples, size_t most, size_t* made) {
  for (uint32_t i = 0; i < n_streams; ++i) {
    made[i] = 0;
    if (streams[i]->state->plan.n_threads > 1) made[i] = pull_samples(streams[i], most, samples[i]);
  }
  for (;;) {
    State* states[kTogether];
    int16_t* at[kTogether];
    uint32_t numbers[kTogether];
    uint32_t n = 0;
    size_t each = hop_of(*streams[0]);  // make_samples_together stops where a frame ends
    for (uint32_t i = 0; i < n_streams; ++i) {
      Stream* stream = streams[i];
      if (stream->state->plan.n_threads > 1) continue;
      if (matches(*stream)) {
        if (!prepare_matched(stream, most, samples[i], &made[i])) continue;
        at[n] = stream->made + stream->state->position;
      } else {
        if (made[i] == most || !prepare(stream)) continue;
        at[n] = samples[i] + made[i];
        if (most - made[i] < each) each = most - made[i];
      }
      states[n] = stream->state;
      numbers[n++] = i;
    }
    if (n == 0) return;
    const uint32_t together = make_samples_together(states, n, each, at);
    for (uint32_t k = 0; k < n; ++k) {
      Stream* stream = streams[numbers[k]];
      if (!matches(*stream)) {
        made[numbers[k]] += together;
      } else if (stream->state->position == 0) {
        match_hop(stream, stream->made);
      }
    }
  }
}

size_t score_tokens(Stream* stream, size_t most, const uint16_t* tokens, double* nats) {
  stream->scored = true;
  size_t n = 0;
  while (n < most && prepare(stream)) n += score_samples(stream->state, most - n, tokens + n, nats);
  return n;
}

}  // namespace linnet
