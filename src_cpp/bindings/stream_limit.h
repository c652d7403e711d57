// The least that any product must do with its weights: load them in order, widen them, multiply-add them into
// registers. Benchmarks print it beside their own figure.
#pragma once

#include <stddef.h>

#include "kernels/kernels.h"

namespace linnet {

struct alignas(64) StreamBlock {
  unsigned char bytes[64];
};

// One pass over n blocks; the sum has no meaning but keeps the compiler from dropping the work.
using StreamLimitFn = float (*)(const StreamBlock* blocks, size_t n);

// The fastest loop that this CPU can run.
StreamLimitFn choose_stream_limit(Dtype dtype);

}  // namespace linnet
