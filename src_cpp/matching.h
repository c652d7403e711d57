// The passes that follow the samples (export/FORMAT.md, "match"): each takes the spectrum of what was made, frame by
// frame, and brings its bands to the features that it was made from.
#pragma once

#include <stdint.h>

#include "carver.h"
#include "kernels/kernels.h"
#include "model.h"

namespace linnet {

// Hops by which a pass's output lags behind its input; and of all passes together.
uint32_t delay_of(const Model& model, const MatchOp& op);
uint32_t delay_of(const Model& model);

// The features of an utterance's frames, of which the newest `capacity` are kept.
struct Frames {
  float* features;  // (capacity, n_features)
  uint32_t capacity, n_features;
  uint64_t taken;  // so far
  bool all;        // no more will come

  float* at(uint64_t number) const { return features + size_t{n_features} * (number % capacity); }
};

// The passes of one utterance.
class Matching {
 public:
  // For a model that has passes. Null where the carver only measures.
  static Matching* make(const Model& model, Carver* carver);

  void reset();

  // Takes the next hop of samples (hop_length), null for one behind the end, and gives the hop that is delay_of(model)
  // hops older: false where that lies before the first one.
  bool run(const Kernels& kernels, const Frames& frames, const int16_t* made, int16_t* matched);

  uint64_t hops() const { return hops_; }  // taken since the reset

 private:
  struct Pass {
    const MatchOp* op;
    uint32_t reach;  // hops that half a window spans
    uint32_t room;   // floats of each of the next two
    float* heard;    // the newest samples of its input
    float* sum;      // of its output's pieces, from the hop that is next to be complete
  };

  void match(const Kernels& kernels, const MatchOp& op, const float* target, const float* heard, float* sum);
  void find_gains(const Kernels& kernels, const MatchOp& op, const float* target);

  const Model* model_;
  Pass passes_[kMostPasses];
  float* hop_;  // (hop_length) between two passes
  // Scratch: spectrum and transform (most size), magnitudes and gains of bins, and of bands.
  float *re_, *im_, *re2_, *im2_, *size_, *gain_, *band_gain_;
  uint64_t hops_;
};

}  // namespace linnet
