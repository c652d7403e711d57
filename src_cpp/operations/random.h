// Philox4x32-10: counter-based random numbers (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
#pragma once

#include <stdint.h>

#include "operations/step.h"

namespace linnet {

struct PhiloxBlock {
  uint32_t words[4];
};

inline PhiloxBlock philox4x32(PhiloxBlock counter, uint32_t key0, uint32_t key1) {
  constexpr uint32_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;
  constexpr uint32_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;
  uint32_t* c = counter.words;
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{kMultiplier0} * c[0];
    const uint64_t product1 = uint64_t{kMultiplier1} * c[2];
    counter = PhiloxBlock{{static_cast<uint32_t>(product1 >> 32) ^ c[1] ^ key0, static_cast<uint32_t>(product1),
                           static_cast<uint32_t>(product0 >> 32) ^ c[3] ^ key1, static_cast<uint32_t>(product0)}};
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return counter;
}

// The words index & ~3 .. index | 3 of the step.
inline PhiloxBlock random_block(const Sampler& sampler, uint32_t index) {
  const uint64_t step = sampler.step, seed = sampler.sampling.seed;
  const PhiloxBlock counter = {
      {static_cast<uint32_t>(step), static_cast<uint32_t>(step >> 32), index >> 2, sampler.sampling.stream_number}};
  return philox4x32(counter, static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
}

// The index-th random number of the step: uniform in [0, 1), 24 bits.
inline float uniform(const Sampler& sampler, uint32_t index) {
  return static_cast<float>(random_block(sampler, index).words[index & 3] >> 8) * 0x1p-24f;
}

}  // namespace linnet
