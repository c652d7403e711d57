#include "operations/match.h"

#include "file/validation.h"
#include "matching/matching.h"

namespace linnet {
namespace {

constexpr uint32_t kMostTransform = 16384;
constexpr uint32_t kMostDelay = 1024;  // frames

bool check(Checks& checks, const Operation& operation) {
  const auto& op = operation.as<MatchWords>();
  const Matrix* tensors = checks.model.tensors;
  const uint32_t n = tensors[op.twiddles].rows, w = tensors[op.window].rows, bins = n / 2 + 1;
  const uint32_t features = checks.config().n_features;
  const auto has_size = [&](uint32_t tensor, uint32_t rows, uint32_t cols) {
    return tensors[tensor].rows == rows && tensors[tensor].cols == cols;
  };
  if (n < 16 || n > kMostTransform || (n & (n - 1)) != 0)
    return checks.fail("twiddles is not a vector of 16 .. 16384 floats, a power of two");
  if (w % 2 != 0 || w > n)
    return checks.fail("window is not a vector of an even number of floats, of the transform's at most");
  if (!has_size(op.to_bands, features, bins)) return checks.fail("to_bands is not a matrix of features x bins");
  if (!has_size(op.to_bins, bins, features)) return checks.fail("to_bins is not a matrix of bins x features");
  return delay_of(checks.model) <= kMostDelay || checks.fail("it delays samples by more than 1024 frames");
}

}  // namespace

namespace rows {

constexpr Word kMatchWords[] = {named(1, WordKind::vector, "window"),
                                named(2, WordKind::vector, "synthesis", {Size::tensor_rows, 1, 0}),
                                named(3, WordKind::vector, "twiddles"),
                                named(4, WordKind::matrix, "to_bands"),
                                named(5, WordKind::matrix, "to_bins"),
                                number(6, "power", 1, 2),
                                number(7, "iterations", 1, 16),
                                real(8, "scale"),
                                real(9, "offset"),
                                real(10, "floor", "above 0", kAboveZero),
                                real(11, "strength"),
                                real(12, "limit", "0 .. 80", 0, 80),
                                real(13, "momentum", "0 or more, below 1", 0, kBelowOne),
                                number(14, "rounds", 0, 16, "0 counts as 1"),
                                {}};

const OperationRow match = {Code::match, "match", kBehind, kMatchWords, nullptr, check, nullptr, nullptr, nullptr};

}  // namespace rows
}  // namespace linnet
