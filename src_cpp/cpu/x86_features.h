// What an x86 CPU and its operating system offer, as far as kernel sets ask.
#pragma once

#if defined(__x86_64__) || defined(_M_X64)

#include <stdint.h>

namespace linnet {

struct X86Features {
  uint32_t leaf1_ecx, leaf7_ebx, leaf7_ecx;  // of cpuid
  uint32_t leaf7_1_eax;                      // of leaf 7's subleaf 1
  uint64_t xcr0;                             // register states that the operating system saves; 0 where it does not say

  static constexpr uint32_t kFma = 1u << 12, kOsxsave = 1u << 27, kAvx = 1u << 28, kF16c = 1u << 29;  // leaf 1, ecx
  static constexpr uint32_t kAvx2 = 1u << 5, kAvx512F = 1u << 16, kAvx512Dq = 1u << 17;               // leaf 7, ebx
  static constexpr uint32_t kAvx512Bw = 1u << 30, kAvx512Vl = 1u << 31;                               // leaf 7, ebx
  static constexpr uint32_t kAvx512Vnni = 1u << 11;                                                   // leaf 7, ecx
  static constexpr uint32_t kAvxVnni = 1u << 4;   // leaf 7, subleaf 1, eax
  static constexpr uint64_t kAvxState = 6;        // the lower halves of the registers, and the upper ones
  static constexpr uint64_t kAvx512State = 0xE0;  // masks, upper halves of the first sixteen, the other sixteen

  bool avx2() const {
    constexpr uint32_t kLeaf1 = kFma | kOsxsave | kAvx | kF16c;
    return (leaf1_ecx & kLeaf1) == kLeaf1 && (xcr0 & kAvxState) == kAvxState && (leaf7_ebx & kAvx2) != 0;
  }

  bool avx512() const {
    constexpr uint32_t kLeaf7 = kAvx512F | kAvx512Dq | kAvx512Bw | kAvx512Vl;
    return avx2() && (xcr0 & kAvx512State) == kAvx512State && (leaf7_ebx & kLeaf7) == kLeaf7;
  }

  bool avx_vnni() const { return avx2() && (leaf7_1_eax & kAvxVnni) != 0; }

  bool avx512_vnni() const { return avx512() && (leaf7_ecx & kAvx512Vnni) != 0; }
};

X86Features x86_features();  // of this machine

}  // namespace linnet

#endif
