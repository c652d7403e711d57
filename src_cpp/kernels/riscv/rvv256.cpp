// RISC-V with vectors (V 1.0) of 256 bits or more: sixteen floats in two registers. An instruction for four of them may
// take the time of four, whatever part of them it is to work on.
#include "kernels/sets.h"

#if defined(LINNET_RVV)

#include "kernels/arithmetic.h"

#include "kernels/contract.h"

#pragma clang attribute push(__attribute__((target("arch=+v,+zvl256b"))), apply_to = function)

#include "kernels/riscv/rvv_common.h"

#include "kernels/functions.h"

#include "kernels/four_lanes.h"

#include "kernels/row_ends.h"

#include "kernels/sixteen_lanes.h"

#include "kernels/riscv/int8_products.h"

#include "kernels/riscv/products.h"

namespace linnet {

bool rvv256_holds_16_floats() {
  size_t held;
  __asm__ volatile("vsetivli %0, 16, e32, m2, ta, ma" : "=r"(held) : : "vl", "vtype");
  return held == 16;
}

void overlay_rvv256(Kernels* kernels) { overlay_all(kernels); }

}  // namespace linnet

#pragma clang attribute pop

#endif
