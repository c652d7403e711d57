// RISC-V with vectors (V 1.0) of any length: sixteen floats in the four registers that hold as many at the least
// length, 128 bits.
#include "kernels/sets.h"

#if defined(LINNET_RVV)

#include "kernels/arithmetic.h"

#include "kernels/contract.h"

#pragma clang attribute push(__attribute__((target("arch=+v"))), apply_to = function)

#include "kernels/riscv/rvv_common.h"

#include "kernels/functions.h"

#include "kernels/four_lanes.h"

#include "kernels/row_ends.h"

#include "kernels/sixteen_lanes.h"

#include "kernels/riscv/int8_products.h"

#include "kernels/riscv/products.h"

namespace linnet {

// Asked for as V 1.0 encodes it; its drafts, which some kernels report as V, know no such type and answer 0.
bool rvv_holds_16_floats() {
  size_t held;
  __asm__ volatile("vsetivli %0, 16, e32, m4, ta, ma" : "=r"(held) : : "vl", "vtype");
  return held == 16;
}

void overlay_rvv(Kernels* kernels) { overlay_all(kernels); }

}  // namespace linnet

#pragma clang attribute pop

#endif
