#include "cpu/core_types.h"

#ifdef LINNET_LITTLE_CORES

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

namespace linnet {
namespace {

// MIDR_EL1 names a core: implementer in bits 24-31 (0x41: Arm), part in bits 4-15.
bool is_little(uint64_t midr) {
  constexpr uint64_t kParts[] = {0xd02, 0xd03, 0xd04, 0xd05, 0xd46, 0xd80};  // Cortex-A34, A53, A35, A55, A510, A520
  if ((midr >> 24 & 0xff) != 0x41) return false;
  for (const uint64_t part : kParts) {
    if ((midr >> 4 & 0xfff) == part) return true;
  }
  return false;
}

// False where the system does not tell.
bool read_midr(long core, uint64_t* midr) {
  char path[80], text[32];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%ld/regs/identification/midr_el1", core);
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  const ssize_t size = read(file, text, sizeof text - 1);
  close(file);
  if (size <= 0) return false;
  text[size] = 0;
  *midr = strtoull(text, nullptr, 16);
  return true;
}

bool this_core_is_little() {
  constexpr unsigned long kCpuid = 1ul << 11;  // AT_HWCAP: the kernel lets programs read MIDR_EL1
  if (!(getauxval(AT_HWCAP) & kCpuid)) return false;
  uint64_t midr;
  __asm__("mrs %0, MIDR_EL1" : "=r"(midr));
  return is_little(midr);
}

}  // namespace

bool only_little_cores() {
  const long n_cores = sysconf(_SC_NPROCESSORS_CONF);
  bool told = false;
  for (long core = 0; core < n_cores; ++core) {
    uint64_t midr;
    if (!read_midr(core, &midr)) continue;
    if (!is_little(midr)) return false;
    told = true;
  }
  return told || this_core_is_little();
}

}  // namespace linnet

#endif
