// Which kernel sets there are, which of them this CPU can run, and which is best.
#include <string.h>

#include "kernels/contract.h"
#include "cpu/core_types.h"
#include "kernels/sets.h"

#if defined(__x86_64__) || defined(_M_X64)
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

#if defined(LINNET_NEON_VFPV4)
#include <sys/auxv.h>
#endif

namespace linnet {
namespace {

#if defined(__x86_64__) || defined(_M_X64)

struct Cpuid {
  uint32_t eax, ebx, ecx, edx;
};

Cpuid cpuid(uint32_t leaf) {
  Cpuid r = {0, 0, 0, 0};
#if defined(_MSC_VER)
  int words[4];
  __cpuidex(words, static_cast<int>(leaf), 0);
  memcpy(&r, words, sizeof r);
#else
  if (!__get_cpuid_count(leaf, 0, &r.eax, &r.ebx, &r.ecx, &r.edx)) r = {0, 0, 0, 0};
#endif
  return r;
}

// XCR0: the register states that the operating system saves. Only to be read where it said (OSXSAVE) that it may be.
uint64_t xgetbv() {
#if defined(_MSC_VER)
  return _xgetbv(0);
#else
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
#endif
}

bool has_avx2() {
  constexpr uint32_t kFma = 1u << 12, kOsxsave = 1u << 27, kAvx = 1u << 28, kF16c = 1u << 29;  // leaf 1, ecx
  constexpr uint32_t kAvx2 = 1u << 5;                                                          // leaf 7, ebx
  constexpr uint64_t kSseAndAvxState = 6;
  constexpr uint32_t kLeaf1 = kFma | kOsxsave | kAvx | kF16c;
  if ((cpuid(1).ecx & kLeaf1) != kLeaf1) return false;
  if ((xgetbv() & kSseAndAvxState) != kSseAndAvxState) return false;
  return (cpuid(7).ebx & kAvx2) != 0;
}

bool has_avx512() {
  constexpr uint32_t kF = 1u << 16, kDq = 1u << 17, kBw = 1u << 30, kVl = 1u << 31;  // leaf 7, ebx
  constexpr uint32_t kLeaf7 = kF | kDq | kBw | kVl;
  constexpr uint64_t kMaskAndZmmState = 7u
                                        << 5;  // mask registers, upper halves of the first sixteen, the other sixteen
  return has_avx2() && (xgetbv() & kMaskAndZmmState) == kMaskAndZmmState && (cpuid(7).ebx & kLeaf7) == kLeaf7;
}

#endif

#if defined(LINNET_NEON_VFPV4)

bool has_neon_vfpv4() {
  constexpr unsigned long kNeon = 1u << 12, kVfpv4 = 1u << 16;  // AT_HWCAP of 32-bit Arm
  return (getauxval(AT_HWCAP) & (kNeon | kVfpv4)) == (kNeon | kVfpv4);
}

#endif

struct KernelSet {
  const char* name;
  bool (*usable)();
  void (*overlay)(Kernels*);
};

// Best first; each set builds on all that follow it.
constexpr KernelSet kSets[] = {
#if defined(__x86_64__) || defined(_M_X64)
    {"avx512", has_avx512, overlay_avx512},
    {"avx2", has_avx2, overlay_avx2},
#endif
#if defined(LINNET_LITTLE_CORES)
    {"neon_little", only_little_cores, overlay_neon_little},
#endif
#if defined(__aarch64__) || defined(_M_ARM64)
    {"neon", [] { return true; }, overlay_neon},
#endif
#if defined(LINNET_NEON_VFPV4)
    {"neon_vfpv4", has_neon_vfpv4, overlay_neon_vfpv4},
#endif
    {"portable", [] { return true; }, overlay_portable},
};
constexpr size_t kSetCount = sizeof kSets / sizeof kSets[0];

}  // namespace

const char* kernel_name(size_t index) {
  for (const KernelSet& set : kSets) {
    if (set.usable() && index-- == 0) return set.name;
  }
  return nullptr;
}

bool select_kernels(const char* name, Kernels* out) {
  size_t chosen = 0;
  while (chosen < kSetCount && !((name == nullptr || strcmp(name, kSets[chosen].name) == 0) && kSets[chosen].usable()))
    ++chosen;
  if (chosen == kSetCount) return false;
  for (size_t i = kSetCount; i-- > chosen;) {
    if (kSets[i].usable()) kSets[i].overlay(out);
  }
  out->name = kSets[chosen].name;
  return true;
}

}  // namespace linnet
