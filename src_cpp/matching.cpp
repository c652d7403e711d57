#include "matching.h"

#include <math.h>
#include <new>
#include <string.h>

#include "draw.h"
#include "fourier.h"
#include "kernels/arithmetic.h"

namespace linnet {
namespace {

uint32_t window_of(const Model& model, const MatchOp& op) { return model.tensors[op.window].rows; }
uint32_t transform_of(const Model& model, const MatchOp& op) { return model.tensors[op.turns].rows; }

const float* values(const Model& model, uint32_t tensor) {
  return static_cast<const float*>(model.tensors[tensor].values);
}

// Hops that half a window spans.
uint32_t reach_of(const Model& model, const MatchOp& op) {
  const uint32_t hop = model.config.hop_length;
  return (window_of(model, op) / 2 + hop - 1) / hop;
}

}  // namespace

uint32_t delay_of(const Model& model, const MatchOp& op) { return 2 * reach_of(model, op) - 1; }

uint32_t delay_of(const Model& model) {
  uint32_t hops = 0;
  for (uint32_t p = 0; p < model.config.n_passes; ++p) hops += delay_of(model, model.passes[p].match);
  return hops;
}

Matching* Matching::make(const Model& model, Carver* carver) {
  const Config& config = model.config;
  uint32_t n = 0;
  for (uint32_t p = 0; p < config.n_passes; ++p) {
    const uint32_t own = transform_of(model, model.passes[p].match);
    if (own > n) n = own;
  }
  const size_t bins = n / 2 + kGroup, features = size_t{config.n_features} + kGroup;
  Matching* matching = carver->take<Matching>(1);
  float* hop = carver->take<float>(config.hop_length);
  float* scratch[] = {carver->take<float>(n),    carver->take<float>(n),    carver->take<float>(n),
                      carver->take<float>(n),    carver->take<float>(bins), carver->take<float>(bins),
                      carver->take<float>(features)};
  if (matching != nullptr) {
    new (matching) Matching{};
    matching->model_ = &model;
    matching->hop_ = hop;
    matching->re_ = scratch[0];
    matching->im_ = scratch[1];
    matching->re2_ = scratch[2];
    matching->im2_ = scratch[3];
    matching->size_ = scratch[4];
    matching->gain_ = scratch[5];
    matching->band_gain_ = scratch[6];
    memset(matching->band_gain_, 0, features * sizeof(float));
  }
  for (uint32_t p = 0; p < config.n_passes; ++p) {
    const MatchOp& op = model.passes[p].match;
    const uint32_t reach = reach_of(model, op), room = reach * config.hop_length + window_of(model, op) / 2;
    float* heard = carver->take<float>(room);
    float* sum = carver->take<float>(room);
    if (matching != nullptr) matching->passes_[p] = Pass{&op, reach, room, heard, sum};
  }
  return matching;
}

void Matching::reset() {
  hops_ = 0;
  for (uint32_t p = 0; p < model_->config.n_passes; ++p) {
    memset(passes_[p].heard, 0, passes_[p].room * sizeof(float));
    memset(passes_[p].sum, 0, passes_[p].room * sizeof(float));
  }
}

bool Matching::run(const Kernels& kernels, const Frames& frames, const int16_t* made, int16_t* matched) {
  const uint32_t hop = model_->config.hop_length;
  uint64_t number = hops_++;  // of the hop that a pass is given
  for (uint32_t i = 0; i < hop; ++i) hop_[i] = made == nullptr ? 0.0f : static_cast<float>(made[i]) * 0x1p-15f;
  for (uint32_t p = 0; p < model_->config.n_passes; ++p) {
    Pass& pass = passes_[p];
    const uint32_t kept = pass.room - hop;
    memmove(pass.heard, pass.heard + hop, kept * sizeof(float));
    memcpy(pass.heard + kept, hop_, hop * sizeof(float));
    // The newest frame whose window lies within what was heard. One without features keeps its spectrum.
    const bool before = number + 1 < pass.reach;
    const uint64_t frame = number + 1 - pass.reach;
    const float* target = before || frame >= frames.taken ? nullptr : frames.at(frame);
    match(kernels, *pass.op, target, pass.heard, pass.sum + pass.reach * hop - window_of(*model_, *pass.op) / 2);
    memcpy(hop_, pass.sum, hop * sizeof(float));
    memmove(pass.sum, pass.sum + hop, kept * sizeof(float));
    memset(pass.sum + kept, 0, hop * sizeof(float));
    const uint32_t delay = 2 * pass.reach - 1;
    if (number < delay) return false;
    number -= delay;
    // What a pass leaves behind the end does not belong to the utterance.
    if (frames.all && number >= frames.taken) memset(hop_, 0, hop * sizeof(float));
  }
  for (uint32_t i = 0; i < hop; ++i) matched[i] = rounded(hop_[i]);
  return true;
}

// Adds the frame's piece to the sum: window_of(op) floats.
void Matching::match(const Kernels& kernels, const MatchOp& op, const float* target, const float* heard, float* sum) {
  const uint32_t n = transform_of(*model_, op), size = window_of(*model_, op), first = (n - size) / 2;
  const float *window = values(*model_, op.window), *turns = values(*model_, op.turns);
  memset(re_, 0, n * sizeof(float));
  memset(im_, 0, n * sizeof(float));
  for (uint32_t j = 0; j < size; ++j) re_[first + j] = heard[j] * window[j];
  if (target != nullptr) {
    transform(n, turns, re_, im_, re2_, im2_);
    find_gains(kernels, op, target);
    re_[0] *= gain_[0];
    im_[0] *= gain_[0];
    for (uint32_t k = 1; k < n / 2; ++k) {
      re_[k] *= gain_[k];
      im_[k] *= gain_[k];
      re_[n - k] = re_[k];
      im_[n - k] = -im_[k];
    }
    re_[n / 2] *= gain_[n / 2];
    im_[n / 2] *= gain_[n / 2];
    transform(n, turns, im_, re_, im2_, re2_);
  } else {
    for (uint32_t j = first; j < first + size; ++j) re_[j] *= static_cast<float>(n);
  }
  const float* synthesis = values(*model_, op.synthesis);
  for (uint32_t j = 0; j < size; ++j) sum[j] += re_[first + j] * synthesis[j];
}

// The gain of every bin, from the spectrum and the features that it should have.
void Matching::find_gains(const Kernels& kernels, const MatchOp& op, const float* target) {
  const uint32_t bins = transform_of(*model_, op) / 2 + 1, n_bands = model_->config.n_features;
  for (uint32_t k = 0; k < bins; ++k) size_[k] = re_[k] * re_[k] + im_[k] * im_[k];
  if (op.power == 1) {
    for (uint32_t k = 0; k < bins; ++k) size_[k] = sqrtf(size_[k]);
  }
  memset(size_ + bins, 0, (kGroup - 1) * sizeof(float));  // products read up to a multiple of a block's columns
  const Matrix &bands = model_->tensors[op.bands], &spread = model_->tensors[op.spread];
  kernels.matvec_for(bands)(bands, size_, nullptr, band_gain_);
  for (uint32_t b = 0; b < n_bands; ++b) {
    const float own = band_gain_[b] > op.floor ? band_gain_[b] : op.floor;
    float d = (fmaf(op.scale, target[b], op.offset) - log_scalar(own)) * op.strength;
    d = d > -op.limit ? d : -op.limit;
    band_gain_[b] = d < op.limit ? d : op.limit;
  }
  kernels.finish(n_bands, Activation::exp, nullptr, band_gain_);
  kernels.matvec_for(spread)(spread, band_gain_, nullptr, gain_);
}

}  // namespace linnet
