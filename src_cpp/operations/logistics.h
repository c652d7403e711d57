// The words of a mixture of logistics, which the merging of sub-bands looks at too.
#pragma once

#include "operations/operation.h"

namespace linnet {

constexpr uint32_t kMostSubBands = 64;

enum class ScaleActivation : uint32_t { exp, softplus };

struct LogisticsWords {
  Code code;
  uint32_t mixtures;  // per band
  uint32_t bands;
  ScaleActivation scale_activation;  // how scales come from their parameters
  Operand input;                 // logits of the mixtures, (bands, mixtures)
  Operand out;                   // (bands)
  Operand means;                 // (bands, mixtures)
  Operand scales;                // (bands, mixtures)
  float least_scale;             // parameters below count as this
  uint32_t random_word;          // index of the first of 2 x bands random numbers
  float values_per_unit;                // values per unit, cut to 16 bits; 0: any value of [-1, 1]
  uint32_t classes;              // values that a score knows
};

}  // namespace linnet
