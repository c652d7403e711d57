// How much a file may ask for: some times more than known voices do, so that a hostile one is refused when it is opened
// and cannot keep a caller waiting, or take all memory, later. FORMAT.md ("Limits") says how work is counted.
#pragma once

#include <stdint.h>

#include "file/errors.h"
#include "file/header.h"
#include "file/model.h"

namespace linnet {

struct Limit {
  const char* name;
  uint64_t most;
};

// Each beside the most that a known voice needs: fatchord's WaveRNN per step, Lyra's WaveGRU per frame and of memory.
constexpr Limit kStepWork = {"step_work", uint64_t{1} << 26};      // 4 * 10^6
constexpr Limit kAheadWork = {"ahead_work", uint64_t{1} << 35};    // 1 * 10^10 (16 lanes of 3 * 10^5, 129 places apart)
constexpr Limit kFrameWork = {"frame_work", uint64_t{1} << 26};    // 3 * 10^6
constexpr Limit kSilentWork = {"silent_work", uint64_t{1} << 28};  // 6 * 10^6
constexpr Limit kStreamBytes = {"stream_bytes", uint64_t{1} << 26};  // 3 * 10^5 (1 thread)

// Whether the sections of all tensors together are no longer than the file, as those are that do not overlap. Before
// tensors are read, which takes time for every byte of a section.
bool check_sections(Errors& errors, const Bytes& file, uint64_t tensors_offset, uint32_t n_tensors);

// Of a model that is valid otherwise.
bool check_limits(Errors& errors, uint64_t operations_offset, const Model& model);

}  // namespace linnet
