// The words of a subscale, which run/lanes.h follows.
#pragma once

#include "operations/operation.h"

namespace linnet {

constexpr uint32_t kMostSubTensors = 16;

// A signal is folded: its sample n is place n / sub_tensors of sub-tensor n % sub_tensors. Each sub-tensor is generated
// by a lane, which runs the sample program with an arena of its own, knows those before it up to `future` places beyond
// its own, and so follows each of them by future + 1 places.
struct SubscaleWords {
  Code code;
  uint32_t sub_tensors;
  uint32_t future, past;  // places of the sub-tensors before that a lane sees, beyond its own and behind it
  Operand conditions;     // (size) in every row of a frame: what a frame gives to its lanes
  Operand out;  // (sub_tensors - 1, past + 1 + future) values, the nearest sub-tensor first; one-hot (sub_tensors)
  uint32_t size;
  uint32_t unused[7];

  uint32_t seen() const { return past + 1 + future; }
  uint32_t lag() const { return (sub_tensors - 1) * (future + 1); }  // places of the last lane behind the first
};

// Places of one sub-tensor in a frame, and the frames by which the first lane is ahead of the last, rounded up.
uint32_t places_of_frame(const Config& config);
uint32_t frames_ahead(const Model& model);  // which has a subscale

}  // namespace linnet
