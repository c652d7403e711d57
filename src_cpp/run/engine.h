// Runs a model's two programs: the frame program once per frame, the sample program once per sample.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/contract.h"
#include "file/model.h"
#include "run/plan.h"

namespace linnet {

struct Sampling {
  uint64_t seed;
  uint32_t stream;
  float temperature;
};

class Team;

// What the threads are to do together.
struct Request {
  uint32_t n;              // steps, all of one frame
  uint32_t first;          // number of the first within it
  int16_t* samples;        // (n, samples_per_step) or null
  const uint16_t* tokens;  // (n, samples_per_step) or null: forced
  double* nats;            // with tokens: the sum of their scores is added
};

// Everything that changes while an utterance is made. The pointers lead into one piece of memory, laid out by
// `layout_state`.
struct State {
  const Model* model;
  Kernels kernels;
  Sampling sampling;
  float inverse_temperature;  // 0 where the likeliest class is taken

  Plan plan;   // of the sample program
  Team* team;  // where the plan is for several threads
  Request request;

  float* arena;     // (arena_size)
  uint32_t* slots;  // (n_slots) tokens
  float* e;         // (most_classes, padded) scratch of a draw: exponentials
  float* groups;    // (most_classes / 16) scratch of a draw: their sums in groups
  float* packed;    // (kTogether, most_cols) scratch of products made together

  uint64_t step;                // since the reset
  uint64_t frames_taken;        // from the caller
  uint64_t frames_run;          // through the frame program since the reset, without priming
  uint64_t frames_made;         // whose samples are all made
  uint32_t position;            // of the next sample within its frame
  int16_t pending[kMostBands];  // the last step's samples, where some of them are still to be handed out
  float recorded;               // the last sample of the recording that a score is given, where it is
  bool frame_ready;             // the frame whose samples come next has been computed
  bool finished;                // no more frames will come
};

// Bytes of a State with all that it points to.
size_t state_size(const Model& model, uint32_t n_threads);

// Make a State in `memory` (aligned to 64, state_size bytes), start its threads (at most kMaxThreads with the caller's)
// and reset it. Null where the system refuses a thread; errno says why.
State* make_state(const Model& model, const Kernels& kernels, const Sampling& sampling, const Threading& threading,
                  void* memory);

// Before the memory is used for anything else.
void end_threads(State* state);

void reset_state(State* state, uint64_t seed, uint32_t stream);

// Take one frame of finite features. Only while no frame is ready and the stream is not finished.
void take_frame(State* state, const float* features);  // (n_features)

// Bring the next frame on if it can be had without the caller: true if there is a sample to make.
bool prepare_sample(State* state);

// Make up to `most` samples, no more than the frame has left; returns how many. After prepare_sample said true.
uint32_t make_samples(State* state, size_t most, int16_t* samples);  // (most)

// Make samples of up to kTogether streams of one model, one thread each: `most` of each, or as many as the frame of one
// of them has left; returns how many. After prepare_sample said true of all.
uint32_t make_samples_together(State* const* states, uint32_t count, size_t most,
                               int16_t* const* samples);  // (count, most)

// Told of every operation as it is done: `number` counts from 0 in the running program.
struct Observer {
  void (*done)(void* context, uint32_t number);
  void* context;

  void operator()(uint32_t number) const { done(context, number); }
};

// take_frame and make_samples for a profiler: the same bits. The samples of one thread only are observed.
void observe_frame(State* state, const float* features, const Observer& done);                // (n_features)
uint32_t observe_samples(State* state, size_t most, int16_t* samples, const Observer& done);  // (most)

// Whether every class that a token stands for exists.
bool token_exists(const State& state, uint16_t token);

// As make_samples, for whole steps, with tokens given that exist: adds their negative log-likelihood to *nats. Not
// while samples of a step are still to be handed out.
uint32_t score_samples(State* state, size_t most, const uint16_t* tokens, double* nats);  // (most)

// Samples that can be made before another frame is needed.
uint64_t samples_available(const State& state);

}  // namespace linnet
