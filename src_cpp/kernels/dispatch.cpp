// Which kernel sets there are, which of them this CPU can run, and which is best.
#include <string.h>

#include "cpu/core_types.h"
#include "cpu/x86_features.h"
#include "kernels/contract.h"
#include "kernels/sets.h"

#if defined(LINNET_NEON_VFPV4) || (defined(LINNET_DOTPROD) && defined(__linux__)) || defined(LINNET_RVV)
#include <sys/auxv.h>
#endif
#if defined(LINNET_RVV)
#include <unistd.h>
#endif

namespace linnet {
namespace {

#if defined(LINNET_NEON_VFPV4)

bool has_neon_vfpv4() {
  constexpr unsigned long kNeon = 1u << 12, kVfpv4 = 1u << 16;  // AT_HWCAP of 32-bit Arm
  return (getauxval(AT_HWCAP) & (kNeon | kVfpv4)) == (kNeon | kVfpv4);
}

#endif

#if defined(LINNET_DOTPROD)

bool has_dotprod() {
#if defined(__ARM_FEATURE_DOTPROD)
  return true;
#else
  constexpr unsigned long kAsimdDp = 1ul << 20;  // AT_HWCAP of 64-bit Arm
  return (getauxval(AT_HWCAP) & kAsimdDp) != 0;
#endif
}

#endif

#if defined(LINNET_I8MM)

bool has_i8mm() {
#if defined(__ARM_FEATURE_MATMUL_INT8)
  return has_dotprod();
#else
  constexpr unsigned long kI8mm = 1ul << 13;  // AT_HWCAP2 of 64-bit Arm
  return has_dotprod() && (getauxval(AT_HWCAP2) & kI8mm) != 0;
#endif
}

#endif

#if defined(LINNET_RVV)

bool has_rvv() {
  struct {
    int64_t key;
    uint64_t value;
  } extensions = {4, 0};  // RISCV_HWPROBE_KEY_IMA_EXT_0
  constexpr long kHwprobe = 258;
  constexpr uint64_t kImaV = 1u << 2;
  constexpr unsigned long kHwcapV = 1ul << ('V' - 'A');
  const bool answered = syscall(kHwprobe, &extensions, size_t{1}, size_t{0}, nullptr, 0u) == 0;  // since Linux 6.4
  const bool vectors = answered ? (extensions.value & kImaV) != 0 : (getauxval(AT_HWCAP) & kHwcapV) != 0;
  return vectors && rvv_holds_16_floats();
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
    {"avx512_vnni", [] { return x86_features().avx512_vnni(); }, overlay_avx512_vnni},
    {"avx512", [] { return x86_features().avx512(); }, overlay_avx512},
    {"avx_vnni", [] { return x86_features().avx_vnni(); }, overlay_avx_vnni},
    {"avx2", [] { return x86_features().avx2(); }, overlay_avx2},
#endif
#if defined(LINNET_I8MM)
    {"neon_i8mm", has_i8mm, overlay_neon_i8mm},
#endif
#if defined(LINNET_DOTPROD)
    {"neon_dotprod", has_dotprod, overlay_neon_dotprod},
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
#if defined(LINNET_RVV)
    {"rvv256", [] { return has_rvv() && rvv256_holds_16_floats(); }, overlay_rvv256},
    {"rvv", has_rvv, overlay_rvv},
#endif
#if defined(__wasm_relaxed_simd__)
    {"wasm_relaxed", relaxed_madd_fuses, overlay_wasm_relaxed},
#endif
#if defined(__wasm_simd128__)
    {"wasm_simd128", [] { return true; }, overlay_wasm_simd128},
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
