// Reads files from standard input and answers each with one line, "STATUS HASH OFFSET MESSAGE". A file comes as its
// size (u32, little-endian), one byte (1: seal it, 0: leave it as it is) and its bytes.
#include <stdio.h>

#include "run_file.h"

int main() {
  unsigned char head[5];
  while (fread(head, sizeof head, 1, stdin) == 1) {
    const size_t size = head[0] | size_t{head[1]} << 8 | size_t{head[2]} << 16 | size_t{head[3]} << 24;
    std::vector<unsigned char> file(size);
    if (fread(file.data(), 1, size, stdin) != size) return 1;
    if (head[4] == 1) seal(&file);
    const RunResult result = run_file(file);
    printf("%d %u %llu %s\n", static_cast<int>(result.status), result.hash,
           static_cast<unsigned long long>(result.error.offset), result.error.message);
    fflush(stdout);
  }
  return 0;
}
