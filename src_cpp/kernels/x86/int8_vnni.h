// How int8 products are added by VNNI. To be included after int8_products.h, within a target region of a file that says
// how it writes the instruction: LINNET_VPDPBUSD for assemblers, LINNET_VPDPBUSD_INTRINSIC.
#pragma once

#include "kernels/x86/int8_products.h"

namespace linnet {
namespace {

// vpdpbusd adds four products of a byte without a sign and one with a sign. So x is kept plus 128, and 128 times the
// sum of the weights is summed beside it: the second instruction needs no load, which is what bounds these loops, and
// the file no sums.
struct Vnni {
  static constexpr int kOffset = 128;
  static I8 keep(I8 bytes) { return _mm256_xor_si256(bytes, all_offsets()); }
  static void add(I8 x, I8 w, I8* sums) { dot(x, w, sums); }
  static void add_offsets(I8 w, I8* offsets) { dot(all_offsets(), w, offsets); }
  static I8 all_offsets() { return _mm256_set1_epi8(static_cast<char>(kOffset)); }

  // gcc 12 copies the sums around its intrinsic, and loads w for each of them.
  static void dot(I8 x, I8 w, I8* sums) {
#if defined(__GNUC__)
    __asm__(LINNET_VPDPBUSD " %2, %1, %0" : "+v"(*sums) : "v"(x), "v"(w));
#else
    *sums = LINNET_VPDPBUSD_INTRINSIC(*sums, x, w);
#endif
  }
};

}  // namespace
}  // namespace linnet
