// Runs a model's two programs: the frame program once per frame, the sample program once per step of samples.
#pragma once

#include "run/stream.h"

namespace linnet {

// Take one frame of finite features. Only while no frame is ready and the engine is not finished.
void take_frame(Stream* stream, const float* features);  // (n_features)

// Bring the next frame on if it can be had without the caller: true if there is a sample to make.
bool prepare_sample(Stream* stream);

// Make up to `most` samples, no more than the frame has left; returns how many. After prepare_sample said true.
uint32_t make_samples(Stream* stream, size_t most, int16_t* samples);  // (most)

// Make samples of up to kTogether streams of one model, one thread each: `most` of each, or as many as the frame of one
// of them has left; returns how many. After prepare_sample said true of all.
uint32_t make_samples_together(Stream* const* streams, uint32_t count, size_t most,
                               int16_t* const* samples);  // (count, most)

// Whether every class that a token stands for exists.
bool token_exists(const Stream& stream, uint16_t token);

// As make_samples, for whole steps, with tokens given that exist: adds their negative log-likelihood to *nats. Not
// while samples of a step are still to be handed out.
uint32_t score_samples(Stream* stream, size_t most, const uint16_t* tokens, double* nats);  // (most)

// Samples that the engine can make before another frame is needed.
uint64_t engine_available(const Stream& stream);

// One thread's part of what is asked for.
void run_request(void* context, uint32_t thread);  // a stream

// What a reset does of the operations of a program, in an arena of zeros.
void reset_operations(const Step& step, const Operation* operations, uint32_t n);

// Back to the start of an utterance: arena, slots, histories, counts.
void reset_engine(Stream* stream);

}  // namespace linnet
