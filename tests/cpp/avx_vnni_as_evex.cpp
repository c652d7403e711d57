// The kernels of AVX-VNNI on a CPU that has AVX-512 VNNI alone: the same instruction, on the same registers, in the
// other encoding. A program that is linked with this file has it in the place of the library's: the CPU then says that
// it has AVX-VNNI, and no AVX-512.
#define x86_features features_of_the_cpu
#include "cpu/x86_features.cpp"
#undef x86_features

#define LINNET_VPDPBUSD "%{evex%} vpdpbusd"
#include "kernels/x86/avx_vnni.cpp"

namespace linnet {

X86Features x86_features() {
  X86Features features = features_of_the_cpu();
  features.leaf7_1_eax = features.avx512_vnni() ? X86Features::kAvxVnni : 0;
  features.leaf7_ebx &= ~X86Features::kAvx512F;
  return features;
}

}  // namespace linnet
