// A kernel set is chosen only where the CPU has all that the set is compiled for: of the features that it asks for,
// every subset but the whole is refused. Prints what this machine would choose.
#include <stdio.h>
#include <stdlib.h>

#include <vector>

#include "cpu/x86_features.h"
#include "kernels/contract.h"

namespace {

#if defined(__x86_64__)

using linnet::X86Features;

void require(bool holds, const char* promise) {
  if (holds) return;
  fprintf(stderr, "broken promise: %s\n", promise);
  exit(1);
}

// One bit that a set may need.
struct Bit {
  uint32_t leaf1_ecx, leaf7_ebx;
  uint64_t xcr0;
  uint32_t leaf7_ecx = 0, leaf7_1_eax = 0;
};

void check_subsets() {
  const std::vector<Bit> avx2 = {{X86Features::kFma, 0, 0},
                                 {X86Features::kOsxsave, 0, 0},
                                 {X86Features::kAvx, 0, 0},
                                 {X86Features::kF16c, 0, 0},
                                 {0, X86Features::kAvx2, 0},
                                 {0, 0, 2},
                                 {0, 0, 4}};
  std::vector<Bit> avx512 = avx2;
  for (uint32_t bit : {X86Features::kAvx512F, X86Features::kAvx512Dq, X86Features::kAvx512Bw, X86Features::kAvx512Vl})
    avx512.push_back({0, bit, 0});
  for (uint64_t state : {0x20, 0x40, 0x80}) avx512.push_back({0, 0, state});
  std::vector<Bit> bits = avx512;
  bits.push_back({0, 0, 0, X86Features::kAvx512Vnni, 0});
  bits.push_back({0, 0, 0, 0, X86Features::kAvxVnni});
  const uint32_t all_of_avx2 = (1u << avx2.size()) - 1, all_of_avx512 = (1u << avx512.size()) - 1;
  const uint32_t vnni512 = 1u << avx512.size(), vnni = vnni512 << 1, all = (1u << bits.size()) - 1;
  for (uint32_t subset = 0; subset <= all; ++subset) {
    X86Features features = {0, 0, 0, 0, 0};
    for (size_t i = 0; i < bits.size(); ++i) {
      if ((subset >> i & 1) == 0) continue;
      features.leaf1_ecx |= bits[i].leaf1_ecx;
      features.leaf7_ebx |= bits[i].leaf7_ebx;
      features.leaf7_ecx |= bits[i].leaf7_ecx;
      features.leaf7_1_eax |= bits[i].leaf7_1_eax;
      features.xcr0 |= bits[i].xcr0;
    }
    const auto has = [&](uint32_t these) { return (subset & these) == these; };
    require(features.avx2() == has(all_of_avx2), "avx2 needs all of its features");
    require(features.avx512() == has(all_of_avx512), "avx512 needs all of its features");
    require(features.avx_vnni() == has(all_of_avx2 | vnni), "avx_vnni needs all of its features");
    require(features.avx512_vnni() == has(all_of_avx512 | vnni512), "avx512_vnni needs all of its features");
  }
}

#else

void check_subsets() {}

#endif

}  // namespace

int main() {
  check_subsets();
  for (size_t i = 0; linnet::kernel_name(i) != nullptr; ++i) printf("%s\n", linnet::kernel_name(i));
  return 0;
}
