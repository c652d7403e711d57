// The lanes of a subscale voice (operations/subscale.h): each generates one sub-tensor of the signal.
//
// In step t of generation, lane s is at place t - s (future + 1): what it sees of the lanes before it, they have made
// in earlier steps, so that all lanes of a step can go at once. Threads divide the lanes and meet once a step. A score
// knows all values, so there all lanes go through the same place. What a lane makes depends on what it sees, never on
// when it runs.
#pragma once

#include <stdint.h>

#include "operations/step.h"
#include "operations/subscale.h"
#include "run/arena.h"
#include "run/stream.h"
#include "run/team.h"

namespace linnet {

// Written by the thread that runs it alone.
struct Lane {
  float* arena;      // (arena_size)
  float* values;     // (2, kept) of the newest places, twice, so that neighbours lie in one piece; 0 outside the signal
  uint16_t* tokens;  // (kept) of those places
  Sampler sampler;
  double nats;  // of the token that was scored last
};

struct Lanes {
  uint32_t n_threads;  // that divide them
  uint32_t kept;       // places
  uint32_t kept_frames;
  Lane* lanes[kMostSubTensors];
  float* packed[kMaxThreads];  // (kTogether, most_cols) scratch of products
  float* conditions;  // (kept_frames, rows, size): what the newest frames give to the lanes, in the rows that differ
  float state;        // of the output
};

// For a model that has a subscale. Null where the allocator only measures.
Lanes* make_lanes(const Model& model, uint32_t n_threads, BumpAllocator* allocator);

void reset_lanes(Stream* stream);

// After the frame program ran: keeps what it gives to the lanes.
void keep_conditions(Stream* stream);

// One thread's part of the places that are asked for.
void run_lanes(Stream* stream, uint32_t thread);

}  // namespace linnet
