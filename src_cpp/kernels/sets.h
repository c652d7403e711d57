// The kernel sets that dispatch.cpp chooses from. A set overlays the entries that it has on a table filled by the lower
// sets.
#pragma once

#include "kernels/contract.h"

namespace linnet {

void overlay_portable(Kernels* kernels);

#if defined(__x86_64__) || defined(_M_X64)
void overlay_avx2(Kernels* kernels);         // AVX2, FMA, F16C
void overlay_avx512(Kernels* kernels);       // AVX-512 F, BW, VL, DQ
void overlay_avx_vnni(Kernels* kernels);     // AVX-VNNI beside AVX2
void overlay_avx512_vnni(Kernels* kernels);  // AVX-512 VNNI beside these
void overlay_avx2_int8(Kernels* kernels);
void overlay_avx2_matvecs(Kernels* kernels);
void overlay_avx512_matvecs(Kernels* kernels);
#endif

#if defined(__aarch64__) || defined(_M_ARM64)
void overlay_neon(Kernels* kernels);
void overlay_neon_little(Kernels* kernels);  // for in-order cores, which convert faster than they shift and mask
void overlay_neon_matvecs(Kernels* kernels);
void overlay_neon_int8(Kernels* kernels);
#endif

// Linux tells whether the CPU has dot products; elsewhere the baseline must have them.
#if defined(__aarch64__) && defined(__GNUC__) && (defined(__linux__) || defined(__ARM_FEATURE_DOTPROD))
#define LINNET_DOTPROD
void overlay_neon_dotprod(Kernels* kernels);  // NEON with Armv8.2's dot products
void overlay_neon_dotprod_matvecs(Kernels* kernels);
#endif

#if defined(LINNET_DOTPROD) && (defined(__linux__) || defined(__ARM_FEATURE_MATMUL_INT8))
#define LINNET_I8MM
void overlay_neon_i8mm(Kernels* kernels);  // beside these Armv8.6's products of integer matrices
#endif

// Clang has NEON's intrinsics only where its baseline has NEON, as Android's has.
#if defined(__arm__) && defined(__linux__) && defined(__ARM_FP) && (defined(__ARM_NEON) || !defined(__clang__))
#define LINNET_NEON_VFPV4
void overlay_neon_vfpv4(Kernels* kernels);
#endif

// GCC lacks what clang makes these vectors of.
#if defined(__riscv) && __riscv_xlen == 64 && defined(__linux__) && defined(__clang_major__)
#if __clang_major__ >= 19
#define LINNET_RVV
bool rvv_holds_16_floats();  // of a CPU that has vectors
bool rvv256_holds_16_floats();
void overlay_rvv(Kernels* kernels);
void overlay_rvv256(Kernels* kernels);  // registers of 256 bits or more
#endif
#endif

// A module of WebAssembly is validated whole, so what it may use is said when it is built.
#if defined(__wasm_simd128__)
void overlay_wasm_simd128(Kernels* kernels);
#endif
#if defined(__wasm_relaxed_simd__)
bool relaxed_madd_fuses();  // which is up to the machine
void overlay_wasm_relaxed(Kernels* kernels);
#endif

}  // namespace linnet
