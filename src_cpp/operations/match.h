// The words of a match, which matching/ runs.
#pragma once

#include "operations/operation.h"

namespace linnet {

// Behind the samples: frame by frame, their bands are brought to the features again and again.
struct MatchWords {
  Code code;
  uint32_t window;         // tensor: vector of the analysis window
  uint32_t synthesis;      // tensor: vector of as many floats, by which the pieces are multiplied before they are added
  uint32_t twiddles;       // tensor: vector of the transform's size, cosines and then sines
  uint32_t to_bands;     // tensor: matrix, features x bins
  uint32_t to_bins;  // tensor: matrix, bins x features
  uint32_t power;          // of a bin's magnitude: 1 or 2
  uint32_t iterations;     // of every frame
  float scale, offset;     // of a feature: the logarithm that its band should have
  float floor;             // of a band
  float strength;          // of the correction, 1 / power for all of it
  float limit;             // of the logarithm of a gain
  float momentum;          // of a frame's piece, from its second iteration on
  uint32_t rounds;         // of all iterations of a hop; 0 counts as 1
  uint32_t unused;
};

}  // namespace linnet
