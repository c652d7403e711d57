// An utterance in progress, as linnet.h hands it out: frames go in, the engine (engine.h) makes samples of them, and
// where the model matches samples to the features, that follows hop by hop, some hops later.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "matching/matching.h"
#include "operations/logistics.h"
#include "operations/step.h"
#include "run/plan.h"

namespace linnet {

class Team;
struct Lanes;

// What the threads are to do together.
struct Request {
  uint32_t n;              // steps, all of one frame
  uint32_t first;          // number of the first within it
  int16_t* samples;        // (n, samples_per_step) or null
  const uint16_t* tokens;  // (n, samples_per_step) or null: forced
  double* nats;            // with tokens: the sum of their scores is added
};

// Told of every operation of a program as thread 0 is done with its part: `number` counts from 0. For profilers.
struct Observer {
  void (*done)(void* context, uint32_t number);  // null: nobody is told
  void* context;

  void done_with(uint32_t number) const {
    if (done != nullptr) done(context, number);
  }
};

}  // namespace linnet

// Everything that changes while an utterance is made. The pointers lead into the one piece of memory that the stream
// stands in.
struct linnet_stream {
  const linnet::Model* model;
  linnet::Kernels kernels;
  linnet::Sampler sampler;
  bool owned;  // the memory is the library's own

  linnet::Plan plan;     // of the sample program
  uint32_t n_threads;    // that share the work
  linnet::Team* team;    // where there are several
  linnet::Lanes* lanes;  // of a subscale, which the threads share; else they share the plan. Null without one
  linnet::Request request;
  linnet::Observer observer;

  float* arena;   // (arena_size)
  float* packed;  // (kTogether, most_cols) scratch of products made together

  uint64_t frames_taken;                   // by the engine
  uint64_t frames_run;                     // through the frame program since the reset, without priming
  uint64_t frames_made;                    // whose samples are all made
  uint32_t position;                       // of the next sample within its frame
  int16_t pending[linnet::kMostSubBands];  // the last step's samples, where some of them are still to be handed out
  bool frame_ready;                        // the frame whose samples come next has been computed
  bool finished;                           // the engine gets no more frames

  bool ended;                  // the caller gives no more frames
  linnet::Matching* matching;  // null where the model has no match; then nothing below is used
  linnet::Frames frames;       // those that samples are still to be made of or matched to
  int16_t* made;               // (hop_length) by the engine
  int16_t* matched;            // (hop_length)
  uint64_t given;              // hops that were handed out whole
  uint32_t matched_position;   // of the next sample in `matched`
  bool ready;                  // `matched` holds a hop
  bool scored;                 // since the reset: then nothing is matched
};

namespace linnet {

using Stream = linnet_stream;

// Frames that must arrive after a frame before its samples can be pulled.
uint32_t lookahead_of(const Model& model);

// Bytes of a stream with all that it points to.
size_t stream_size(const Model& model, uint32_t n_threads);

// Make a stream in `memory` (aligned to 64, stream_size bytes), start its threads (at most kMaxThreads with the
// caller's) and reset it. Null where the system refuses a thread; errno says why.
Stream* make_stream(const Model& model, const Kernels& kernels, const Sampling& sampling, const Threading& threading,
                    void* memory);

// Before the memory is used for anything else.
void end_threads(Stream* stream);

void reset_stream(Stream* stream, uint64_t seed, uint32_t stream_number);

// Whether no sample waits: then a frame of finite features can be pushed.
bool wants_frame(const Stream& stream);
void push_frame(Stream* stream, const float* features);  // (n_features)

void finish_stream(Stream* stream);

// Samples that can be pulled, or scored, before another frame is needed.
uint64_t samples_available(const Stream& stream);

// Make up to `most` samples; fewer only where another frame is needed, or at the end.
size_t pull_samples(Stream* stream, size_t most, int16_t* samples);  // (most)

// pull_samples of up to kTogether streams of one model. Those that need a frame, or share their samples among threads,
// leave the others to go on.
void pull_together(Stream* const* streams, uint32_t n_streams, int16_t* const* samples, size_t most, size_t* made);

// As pull_samples, with tokens given: adds their negative log-likelihood, before any matching, to *nats.
size_t score_tokens(Stream* stream, size_t most, const uint16_t* tokens, double* nats);

}  // namespace linnet
