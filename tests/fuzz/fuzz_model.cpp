// libFuzzer: whatever lies in a sealed file, it is refused with a typed error or it runs, with the same samples from every
// kernel set. The header's size and checksum are corrected first; otherwise hardly a mutation would come past them.
#include <stddef.h>
#include <stdint.h>

#include "run_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<unsigned char> file(data, data + size);
  seal(&file);
  run_file(file);
  return 0;
}
