// Audio hosts often run with subnormals flushed to zero, and may round otherwise than to nearest. The arithmetic
// contract asks for the IEEE default, so the engine sets it while it computes and puts the caller's mode back.
#pragma once

#include <stdint.h>

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

namespace linnet {

class IeeeFloatMode {
 public:
  IeeeFloatMode() : saved_(read()) { write(kDefault); }
  ~IeeeFloatMode() { write(saved_); }
  IeeeFloatMode(const IeeeFloatMode&) = delete;
  IeeeFloatMode& operator=(const IeeeFloatMode&) = delete;

 private:
#if defined(__x86_64__) || defined(_M_X64)
  static constexpr uint64_t kDefault = 0x1f80;  // MXCSR: exceptions masked, nearest even, no FTZ, no DAZ
  static uint64_t read() { return _mm_getcsr(); }
  static void write(uint64_t mode) { _mm_setcsr(static_cast<unsigned>(mode)); }
#elif defined(__aarch64__) && defined(__GNUC__)
  static constexpr uint64_t kDefault = 0;  // FPCR
  static uint64_t read() {
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
  }
  static void write(uint64_t mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#elif defined(__arm__) && defined(__ARM_FP) && defined(__GNUC__)
  static constexpr uint64_t kDefault = 0;  // FPSCR
  static uint64_t read() {
    uint32_t mode;
    __asm__ volatile("vmrs %0, fpscr" : "=r"(mode));
    return mode;
  }
  static void write(uint64_t mode) { __asm__ volatile("vmsr fpscr, %0" : : "r"(static_cast<uint32_t>(mode))); }
#elif defined(__riscv_flen) && defined(__GNUC__)
  static constexpr uint64_t kDefault = 0;  // frm: to nearest even; subnormals are always kept
  static uint64_t read() {
    unsigned long mode;
    __asm__ volatile("frrm %0" : "=r"(mode));
    return mode;
  }
  static void write(uint64_t mode) { __asm__ volatile("fsrm %0" : : "r"(static_cast<unsigned long>(mode))); }
#else
  static constexpr uint64_t kDefault = 0;
  static uint64_t read() { return 0; }
  static void write(uint64_t) {}
#endif

  uint64_t saved_;
};

}  // namespace linnet
