// What a lane of a subscale sees of the lanes before it, and what the rest of its file must be. The lanes themselves
// fill `out` (run/lanes.cpp).
#include "operations/subscale.h"

#include "file/validation.h"

namespace linnet {
namespace {

constexpr float kMostSeen = 1024;  // places to either side

bool declare(Checks& checks, const Operation& operation) {
  if (checks.number != 0) return checks.fail("it is not the first of its program");
  checks.model.subscale = &operation.as<SubscaleWords>();
  return true;
}

bool check(Checks& checks, const Operation&) {
  if (last_operation(checks.model).code() != Code::output) return checks.fail("the program does not end in an output");
  return checks.config().lookahead >= frames_ahead(checks.model) ||
         checks.fail("the first of its sub-tensors is further ahead of the last than the look-ahead reaches");
}

}  // namespace

uint32_t places_of_frame(const Config& config) { return config.hop_length / config.samples_per_step; }

uint32_t frames_ahead(const Model& model) {
  const uint32_t places = places_of_frame(model.config);
  return (model.subscale->lag() + places - 1) / places;
}

namespace rows {

constexpr Word kSubscaleWords[] = {number(1, "sub_tensors", 2, kMostSubTensors),
                                   number(2, "future", 0, kMostSeen),
                                   number(3, "past", 0, kMostSeen),
                                   reads(4, "conditions", {Size::word, 8, 0}),
                                   writes(6, "out", {Size::sub_tensors, 1, 2}),
                                   number(8, "size", 1, kMostFloats),
                                   {}};

const OperationRow subscale = {Code::subscale, "subscale", kInSample, kSubscaleWords, declare,
                               check,          nullptr,    nullptr,   nullptr};

}  // namespace rows
}  // namespace linnet
