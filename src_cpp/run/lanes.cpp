#include "run/lanes.h"

#include <new>
#include <string.h>

#include "operations/categorical.h"
#include "operations/output.h"
#include "run/engine.h"
#include "run/together.h"

namespace linnet {
namespace {

uint32_t first_lane(const Lanes& lanes, uint32_t sub_tensors, uint32_t thread) {
  return sub_tensors * thread / lanes.n_threads;
}

// Places of the frames that were taken: once the utterance is finished, its end.
uint64_t end_of(const Stream& stream) { return stream.frames_taken * places_of_frame(stream.model->config); }

// Lanes go through the same floats of their arenas in turn. So these lie an odd number of cache lines apart, which puts
// them into different sets of a cache.
size_t arena_spacing(const Config& config) {
  const size_t lines = round_up(config.arena_size, kLine) / kLine;
  return (lines | 1) * kLine;
}

// What the lanes of one thread have in common, and they themselves.
void lay_thread(const Model& model, uint32_t thread, Lanes* lanes, BumpAllocator* allocator) {
  const Config& config = model.config;
  const uint32_t first = first_lane(*lanes, model.subscale->sub_tensors, thread);
  const uint32_t last = first_lane(*lanes, model.subscale->sub_tensors, thread + 1);
  lanes->packed[thread] = allocator->take<float>(size_t{kTogether} * config.most_cols);
  float* e = allocator->take<float>(size_t{groups_of(config.most_classes)} * kGroup);
  float* groups = allocator->take<float>(groups_of(config.most_classes));
  float* arena = allocator->take<float>((last - first) * arena_spacing(config));
  for (uint32_t s = first; s < last; ++s) {
    Lane measured;
    Lane* taken = allocator->take<Lane>(1);
    Lane& lane = taken == nullptr ? measured : *new (taken) Lane{};
    lane.values = allocator->take<float>(2 * size_t{lanes->kept});
    lane.tokens = allocator->take<uint16_t>(lanes->kept);
    lane.sampler.slots = allocator->take<uint32_t>(config.n_slots);
    lane.sampler.e = e;
    lane.sampler.groups = groups;
    if (taken != nullptr) lane.arena = arena + (s - first) * arena_spacing(config);
    lanes->lanes[s] = taken;
  }
}

Step step_of(const Stream& stream, Lane* lane, uint64_t place) {
  const Config& config = stream.model->config;
  const uint32_t row = static_cast<uint32_t>(place % places_of_frame(config)) / config.steps_per_row;
  return Step{stream.model, &stream.kernels, lane->arena, &lane->sampler, row, nullptr, nullptr, 0.0};
}

// Rows of a frame that differ.
uint32_t rows_of_conditions(const Model& model) {
  return model.subscale->conditions.stride == 0 ? 1 : model.config.rows();
}

// Those of a frame, (rows, size), among the newest.
float* kept_conditions(const Stream& stream, uint64_t frame) {
  const size_t size = size_t{stream.model->subscale->size} * rows_of_conditions(*stream.model);
  return stream.lanes->conditions + size * (frame % stream.lanes->kept_frames);
}

void take_conditions(const Stream& stream, const Lane& lane, uint64_t frame) {
  const SubscaleWords& op = *stream.model->subscale;
  const uint32_t rows = rows_of_conditions(*stream.model);
  const float* kept = kept_conditions(stream, frame);
  float* to = lane.arena + op.conditions.offset;
  for (uint32_t row = 0; row < rows; ++row)
    memcpy(to + size_t{op.conditions.stride} * row, kept + size_t{op.size} * row, op.size * sizeof *to);
}

// What the lane of number s sees at a place.
void look(const Lanes& lanes, const SubscaleWords& op, uint32_t s, uint64_t place, float* out) {
  const uint32_t n = op.seen();
  const size_t first = (place + lanes.kept - op.past) % lanes.kept;
  for (uint32_t d = 1; d <= s; ++d, out += n) memcpy(out, lanes.lanes[s - d]->values + first, n * sizeof *out);
  const size_t others = size_t{op.sub_tensors - 1 - s} * n;
  memset(out, 0, (others + op.sub_tensors) * sizeof *out);
  out[others + s] = 1.0f;
}

void show(const Lanes& lanes, uint32_t s, uint64_t place, uint32_t token, float value) {
  Lane& lane = *lanes.lanes[s];
  const size_t at = place % lanes.kept;
  lane.tokens[at] = static_cast<uint16_t>(token);
  lane.values[at] = lane.values[at + lanes.kept] = value;
}

// Of the lanes of one thread, those that go through the sample program together.
class Group {
 public:
  Group(Stream* stream, uint32_t thread) : stream_(*stream), thread_(thread) {}

  // A lane at a place; once there are enough, they run.
  void add(uint32_t s, uint64_t place) {
    numbers_[count_] = s;
    places_[count_++] = place;
    if (count_ == kTogether) run();
  }

  void run() {
    if (count_ == 0) return;
    const Model& model = *stream_.model;
    for (uint32_t l = 0; l < count_; ++l) enter(l);
    tell(0);
    const uint32_t last = stream_.plan.n_tasks - 1;  // one for each operation
    for (uint32_t task = 1; task < last; ++task) {
      run_together(stream_.plan, task, steps_, count_, stream_.lanes->packed[thread_]);
      tell(task);
    }
    for (uint32_t l = 0; l < count_; ++l) {
      Lane& lane = *stream_.lanes->lanes[numbers_[l]];
      if (stream_.request.tokens != nullptr) {
        lane.nats = steps_[l].nats;
      } else {
        const uint32_t token = token_of(last_operation(model), lane.sampler.slots);
        show(*stream_.lanes, numbers_[l], places_[l], token, companded(last_operation(model), token));
      }
    }
    count_ = 0;
  }

 private:
  void enter(uint32_t l) {
    const SubscaleWords& op = *stream_.model->subscale;
    const uint64_t place = places_[l];
    const uint32_t places = places_of_frame(stream_.model->config);
    Lane& lane = *stream_.lanes->lanes[numbers_[l]];
    if (place % places == 0) take_conditions(stream_, lane, place / places);
    lane.sampler.step = place * op.sub_tensors + numbers_[l];
    steps_[l] = step_of(stream_, &lane, place);
    if (stream_.request.tokens != nullptr) steps_[l].forced = lane.tokens + place % stream_.lanes->kept;
    look(*stream_.lanes, op, numbers_[l], place, steps_[l].at(op.out));
  }

  void tell(uint32_t operation) const {
    if (thread_ == 0) stream_.observer.done_with(operation);
  }

  Stream& stream_;
  uint32_t thread_;
  uint32_t count_ = 0;
  uint32_t numbers_[kTogether];
  uint64_t places_[kTogether];
  Step steps_[kTogether];
};

// One thread of those that a stream's lanes are divided among.
class Runner {
 public:
  Runner(Stream* stream, uint32_t thread)
      : stream_(*stream),
        thread_(thread),
        op_(*stream->model->subscale),
        first_(first_lane(*stream->lanes, op_.sub_tensors, thread)),
        last_(first_lane(*stream->lanes, op_.sub_tensors, thread + 1)) {}

  // The next step, or those up to the first that gives a place to the last lane.
  void make(uint64_t place, int16_t* samples) {
    for (uint64_t t = place == 0 ? 0 : place + op_.lag(); t <= place + op_.lag(); ++t) {
      make_step(t);
      meet();
    }
    if (thread_ != 0) return;
    const Operation& output = last_operation(*stream_.model);
    for (uint32_t s = 0; s < op_.sub_tensors; ++s) {
      const Lane& lane = *stream_.lanes->lanes[s];
      samples[s] = sample_of(output, lane.tokens[place % stream_.lanes->kept], &stream_.lanes->state);
    }
    stream_.observer.done_with(stream_.plan.n_tasks - 1);
    stream_.sampler.step += 1;
  }

  // The last place of all takes with it those behind whose values were not known.
  void score(uint64_t place, const uint16_t* tokens) {
    know(place, tokens);
    if (thread_ == 0) stream_.sampler.step += 1;
    if (!stream_.finished || place + 1 != end_of(stream_)) return;
    for (uint32_t beyond = 1; beyond <= op_.future; ++beyond) know(place + beyond, nullptr);
  }

 private:
  void make_step(uint64_t t) {
    Group group(&stream_, thread_);
    const uint64_t end = end_of(stream_);
    for (uint32_t s = first_; s < last_ && t >= uint64_t{s} * (op_.future + 1); ++s) {
      const uint64_t place = t - uint64_t{s} * (op_.future + 1);
      if (place < end) {
        group.add(s, place);
      } else {
        show(*stream_.lanes, s, place, 0, 0.0f);
      }
    }
    group.run();
  }

  // Makes the tokens of a place known, null behind the end, and scores the place that waited for them.
  void know(uint64_t place, const uint16_t* tokens) {
    const Operation& output = last_operation(*stream_.model);
    for (uint32_t s = first_; s < last_; ++s) {
      const uint32_t token = tokens == nullptr ? 0 : tokens[s];
      show(*stream_.lanes, s, place, token, tokens == nullptr ? 0.0f : companded(output, token));
    }
    if (place < op_.future) return;
    meet();
    Group group(&stream_, thread_);
    for (uint32_t s = first_; s < last_; ++s) group.add(s, place - op_.future);
    group.run();
    meet();
    if (thread_ != 0) return;
    for (uint32_t s = 0; s < op_.sub_tensors; ++s) *stream_.request.nats += stream_.lanes->lanes[s]->nats;
  }

  void meet() {
    if (stream_.lanes->n_threads > 1) stream_.team->barrier(thread_);
  }

  Stream& stream_;
  uint32_t thread_;
  const SubscaleWords& op_;
  uint32_t first_, last_;  // lanes
};

}  // namespace

Lanes* make_lanes(const Model& model, uint32_t n_threads, BumpAllocator* allocator) {
  const SubscaleWords& op = *model.subscale;
  Lanes* taken = allocator->take<Lanes>(1);
  Lanes measured;
  Lanes& lanes = taken == nullptr ? measured : *new (taken) Lanes{};
  lanes.n_threads = n_threads < op.sub_tensors ? n_threads : op.sub_tensors;
  // Of generation: from the place of the first lane, in the next step, to the last that the last lane sees.
  lanes.kept = op.lag() + op.past + 2;
  // Of generation, those from the last lane's to the first's; of a score, which is behind the frame that is next.
  lanes.kept_frames = frames_ahead(model) + 1 + op.future / places_of_frame(model.config);
  lanes.conditions = allocator->take<float>(size_t{lanes.kept_frames} * rows_of_conditions(model) * op.size);
  for (uint32_t t = 0; t < lanes.n_threads; ++t) lay_thread(model, t, &lanes, allocator);
  return taken;
}

void reset_lanes(Stream* stream) {
  const Model& model = *stream->model;
  Lanes& lanes = *stream->lanes;
  lanes.state = 0.0f;
  for (uint32_t s = 0; s < model.subscale->sub_tensors; ++s) {
    Lane& lane = *lanes.lanes[s];
    lane.sampler.sampling = stream->sampler.sampling;
    lane.sampler.inverse_temperature = stream->sampler.inverse_temperature;
    memset(lane.values, 0, 2 * size_t{lanes.kept} * sizeof *lane.values);
    memset(lane.arena, 0, model.config.arena_size * sizeof *lane.arena);
    const Step step = step_of(*stream, &lane, 0);
    reset_operations(step, model.sample_program, model.config.n_sample_operations);
    reset_operations(step, model.frame_program, model.config.n_frame_operations);
  }
}

void keep_conditions(Stream* stream) {
  const Model& model = *stream->model;
  const SubscaleWords& op = *model.subscale;
  const uint32_t known_after = model.config.lookahead - frames_ahead(model);  // frames
  if (stream->frames_run <= known_after) return;
  const uint32_t rows = rows_of_conditions(model);
  float* kept = kept_conditions(*stream, stream->frames_run - 1 - known_after);
  const float* from = stream->arena + op.conditions.offset;
  for (uint32_t row = 0; row < rows; ++row)
    memcpy(kept + size_t{op.size} * row, from + size_t{op.conditions.stride} * row, op.size * sizeof *kept);
}

void run_lanes(Stream* stream, uint32_t thread) {
  const Request& request = stream->request;
  const Config& config = stream->model->config;
  const uint64_t first = stream->frames_made * places_of_frame(config) + request.first;
  Runner runner(stream, thread);
  for (uint32_t n = 0; n < request.n; ++n) {
    const size_t at = size_t{n} * config.samples_per_step;
    if (request.tokens != nullptr) {
      runner.score(first + n, request.tokens + at);
    } else {
      runner.make(first + n, request.samples + at);
    }
  }
}

}  // namespace linnet
