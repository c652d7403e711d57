// Weights rounded to their storage types, as linnet/format/dtypes.py does it in Python.
#pragma once

#include <stdint.h>

#include "kernels/contract.h"

namespace linnet {

// The bits of `weight`, rounded to nearest even, subnormals kept; of int8, of weight / scale, within -127 .. 127. False
// where it is not finite, or beyond the range of the type.
bool round_weight(Dtype dtype, float weight, float scale, uint32_t* bits);

// The scale of a row (n) of finite weights in int8: of those that put its greatest weight at 127 .. 152, and of the
// best ones for the integers that these give, the one with the least sum of squared errors. 0 for a row of zeros.
float int8_scale(uint32_t n, const float* row);

// Whether rounded bits are neither +0 nor -0.
bool is_nonzero(Dtype dtype, uint32_t bits);

}  // namespace linnet
