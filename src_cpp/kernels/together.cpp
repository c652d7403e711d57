// Products with any number of vectors.
#include "kernels/contract.h"

namespace linnet {

// Where one vector is missing from a group, the last one is multiplied twice: that takes less time than three products
// by themselves. One or two vectors are multiplied by themselves.
void Kernels::multiply(const Matrix& w, uint32_t n, const float** x, const float* bias, float* packed,
                       float** y) const {
  static_assert(kTogether % kFewest == 0, "a group with one vector missing has room for it");
  const MatvecsFn together = matvecs_for(w);
  uint32_t l = 0;
  if (together != nullptr) {
    if (n % kFewest == kFewest - 1) {
      x[n] = x[n - 1];
      y[n] = y[n - 1];
    }
    l = (n + 1) / kFewest * kFewest;
    if (l != 0) together(w, l, x, bias, packed, y);
  }
  for (; l < n; ++l) matvec_for(w)(w, x[l], bias, y[l]);
}

}  // namespace linnet
