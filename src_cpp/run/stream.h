// An utterance in progress as linnet.h hands it out: the engine makes samples, and where the model matches them to the
// features, that follows hop by hop, some hops later.
#pragma once

#include "run/engine.h"
#include "matching/matching.h"

namespace linnet {

struct Stream {
  State* state;
  Matching* matching;  // null where the model has no match; then nothing below is used but `frames.all`
  Frames frames;       // those that samples are still to be made of or matched to
  int16_t* made;       // (hop_length) by the engine
  int16_t* matched;    // (hop_length)
  uint64_t given;      // hops that were handed out whole
  uint32_t position;   // of the next sample in `matched`
  bool ready;          // `matched` holds a hop
  bool scored;         // since the reset: then nothing is matched
};

// Frames that must arrive after a frame before its samples can be pulled.
uint32_t lookahead_of(const Model& model);

// Bytes of a Stream with all that it points to.
size_t stream_size(const Model& model, uint32_t n_threads);

// As make_state.
Stream* make_stream(const Model& model, const Kernels& kernels, const Sampling& sampling, const Threading& threading,
                    void* memory);

void reset_stream(Stream* stream, uint64_t seed, uint32_t number);

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
