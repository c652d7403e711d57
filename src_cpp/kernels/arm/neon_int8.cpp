// NEON on AArch64 (Armv8.0): products of int8 matrices.
#include "kernels/sets.h"

#if defined(__aarch64__) || defined(_M_ARM64)

#include <arm_neon.h>

#include "kernels/functions.h"

#include "kernels/arm/neon_common.h"

#include "kernels/arm/int8_products.h"

namespace linnet {

void overlay_neon_int8(Kernels* kernels) {
  auto& matvec = kernels->matvec;
  matvec[Layout::dense][Dtype::int8] = int8_dense<Mull>;
  matvec[Layout::block_4x4][Dtype::int8] = by_index_width<int8_4x4<Mull, uint8_t>, int8_4x4<Mull, uint16_t>>;
  matvec[Layout::block_8x4][Dtype::int8] = by_index_width<int8_8x4<Mull, uint8_t>, int8_8x4<Mull, uint16_t>>;
  matvec[Layout::block_1x16][Dtype::int8] = by_index_width<int8_1x16<Mull, uint8_t>, int8_1x16<Mull, uint16_t>>;
  kernels->stream_limit[Dtype::int8] = int8_stream_limit<Mull>;
}

}  // namespace linnet

#endif
