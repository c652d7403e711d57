// The end of a step whose samples are made in sub-bands.
#pragma once

#include <stdint.h>

#include "file/model.h"

namespace linnet {

// One value of every band -> as many samples. `filters` is null where there is one band only.
void merge_bands(const BandsOp& op, const Matrix* filters,
                 const float* bands,  // (2^levels)
                 float* state,        // (bands_state_size)
                 int16_t* samples);   // (2^levels)

}  // namespace linnet
