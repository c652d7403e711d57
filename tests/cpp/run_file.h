// Open a file that lies in memory and run its model a little: what the fuzzer and the corruption test do with each
// file.
#pragma once

#include <linnet.h>

#include <vector>

struct RunResult {
  linnet_status status;  // of opening
  linnet_error error;    // where it failed
  uint32_t hash;         // FNV-1a of what the model says of itself and of its samples; 0 where it failed
};

// Write the right size and checksum into the header, so that a changed file is refused for its content or not at all.
void seal(std::vector<unsigned char>* file);

// Opens a copy that ends where its memory ends, and makes samples of a few frames with every kernel set. A broken
// promise of the library (sets that disagree, an error without a message, ...) ends the program. Models that would take
// long are not run.
RunResult run_file(const std::vector<unsigned char>& file);
