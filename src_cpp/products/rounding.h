// Weights rounded to their storage types, as linnet/format/dtypes.py does it in Python.
#pragma once

#include <stdint.h>

#include "kernels/contract.h"

namespace linnet {

// The bits of `weight`, rounded to nearest even, subnormals kept. False where it is not finite, or beyond the range of
// the type.
bool round_weight(Dtype dtype, float weight, uint32_t* bits);

// Whether rounded bits are neither +0 nor -0.
bool is_nonzero(Dtype dtype, uint32_t bits);

}  // namespace linnet
