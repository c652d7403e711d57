#include "cpu/x86_features.h"

#if defined(__x86_64__) || defined(_M_X64)

#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif

namespace linnet {
namespace {

struct Cpuid {
  uint32_t eax, ebx, ecx, edx;
};

Cpuid cpuid(uint32_t leaf, uint32_t subleaf) {
  Cpuid r = {0, 0, 0, 0};
#if defined(_MSC_VER)
  int words[4];
  __cpuidex(words, static_cast<int>(leaf), static_cast<int>(subleaf));
  r = {static_cast<uint32_t>(words[0]), static_cast<uint32_t>(words[1]), static_cast<uint32_t>(words[2]),
       static_cast<uint32_t>(words[3])};
#else
  if (!__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx)) r = {0, 0, 0, 0};
#endif
  return r;
}

// Only to be read where OSXSAVE says that it may be.
uint64_t xgetbv() {
#if defined(_MSC_VER)
  return _xgetbv(0);
#else
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
#endif
}

}  // namespace

X86Features x86_features() {
  const uint32_t ecx = cpuid(1, 0).ecx;
  const Cpuid leaf7 = cpuid(7, 0);
  const uint32_t leaf7_1_eax = leaf7.eax >= 1 ? cpuid(7, 1).eax : 0;  // eax of subleaf 0: the last subleaf
  return {ecx, leaf7.ebx, leaf7.ecx, leaf7_1_eax, (ecx & X86Features::kOsxsave) != 0 ? xgetbv() : 0};
}

}  // namespace linnet

#endif
