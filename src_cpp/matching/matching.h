// The match of a voice (export/FORMAT.md, "match"): frame by frame, the spectrum of the samples is brought to the
// features that they were made from.
#pragma once

#include <stdint.h>

#include "run/arena.h"
#include "kernels/contract.h"
#include "kernels/fourier.h"
#include "file/model.h"

namespace linnet {

// Hops by which matched samples lag behind those of the engine; 0 where the model does not match them.
uint32_t delay_of(const Model& model);

// The features of an utterance's frames, of which the newest `capacity` are kept.
struct Frames {
  float* features;  // (capacity, n_features)
  uint32_t capacity, n_features;
  uint64_t taken;  // so far

  float* at(uint64_t number) const { return features + size_t{n_features} * (number % capacity); }
};

// The samples of one utterance, while they are matched.
class Matching {
 public:
  // For a model that has a match. Null where the allocator only measures.
  static Matching* make(const Model& model, BumpAllocator* allocator);

  void reset();

  // Takes the next hop of samples (hop_length), null for one behind the end, and gives the hop that is delay_of(model)
  // hops older: false where that lies before the first one.
  bool run(const Kernels& kernels, const Frames& frames, const int16_t* made, int16_t* matched);

  uint64_t hops() const { return hops_; }  // taken since the reset

 private:
  void run_round(const Kernels& kernels, const Frames& frames, bool first_round);
  void iterate(const Kernels& kernels, const float* target, float* signal, float* piece, float* wanted,
               bool first_time);
  void find_gains(const Kernels& kernels, const float* target);

  const Model* model_;
  float* made_;    // (reach hops, half a window): the newest samples
  float* signal_;  // (delay + 1 hops): the samples that are not handed out, as they are by now
  float* pieces_;  // (iterations, window): what the frames that are still iterated on add to the signal
  float* wanted_;  // (iterations, window): the same without momentum; null where the match has none
  Fourier fourier_;
  // Scratch: sizes and gains of bins, and of bands.
  float *size_, *gain_, *band_gain_;
  uint64_t hops_;
};

}  // namespace linnet
