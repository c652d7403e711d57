#include "matching/matching.h"

#include <new>
#include <string.h>

#include "operations/match.h"
#include "operations/pcm.h"
#include "kernels/arithmetic.h"

namespace linnet {
namespace {

uint32_t window_of(const Model& model) { return model.tensors[model.match->window].rows; }
uint32_t transform_of(const Model& model) { return model.tensors[model.match->twiddles].rows; }

// Hops that half a window spans.
uint32_t reach_of(const Model& model) {
  const uint32_t hop = model.config.hop_length;
  return (window_of(model) / 2 + hop - 1) / hop;
}

size_t made_size(const Model& model) {
  return size_t{reach_of(model)} * model.config.hop_length + window_of(model) / 2;
}

size_t signal_size(const Model& model) { return size_t{delay_of(model) + 1} * model.config.hop_length; }

// Moves what is kept to the front; returns where the new hop goes.
float* make_room(float* buffer, size_t size, uint32_t hop) {
  memmove(buffer, buffer + hop, (size - hop) * sizeof *buffer);
  return buffer + (size - hop);
}

}  // namespace

uint32_t delay_of(const Model& model) {
  return model.match == nullptr ? 0 : 2 * reach_of(model) - 2 + model.match->iterations;
}

Matching* Matching::make(const Model& model, BumpAllocator* allocator) {
  const size_t n = transform_of(model), bins = n / 2 + kGroup, bands = size_t{model.config.n_features} + kGroup;
  Matching* matching = allocator->take<Matching>(1);
  float* made = allocator->take<float>(made_size(model));
  float* signal = allocator->take<float>(signal_size(model));
  float* pieces = allocator->take<float>(size_t{model.match->iterations} * window_of(model));
  const bool moves = model.match->momentum != 0.0f;
  float* wanted = moves ? allocator->take<float>(size_t{model.match->iterations} * window_of(model)) : nullptr;
  float* frame = allocator->take<float>(n);
  float* first_twiddles = allocator->take<float>(3 * n / 2);
  float* rows[6];
  for (float*& row : rows) row = allocator->take<float>(bins);
  float* band_gain = allocator->take<float>(bands);
  if (matching == nullptr) return nullptr;
  memset(band_gain, 0, bands * sizeof *band_gain);
  new (matching) Matching{};
  matching->model_ = &model;
  matching->made_ = made;
  matching->signal_ = signal;
  matching->pieces_ = pieces;
  matching->wanted_ = wanted;
  matching->size_ = rows[0];
  matching->gain_ = rows[1];
  const float* twiddles = model.floats(model.match->twiddles);
  put_first_twiddles(static_cast<uint32_t>(n), twiddles, first_twiddles);
  matching->fourier_ =
      Fourier{static_cast<uint32_t>(n), twiddles, first_twiddles, frame, rows[2], rows[3], rows[4], rows[5]};
  matching->band_gain_ = band_gain;
  return matching;
}

void Matching::reset() {
  hops_ = 0;
  memset(made_, 0, made_size(*model_) * sizeof *made_);
  memset(signal_, 0, signal_size(*model_) * sizeof *signal_);
}

bool Matching::run(const Kernels& kernels, const Frames& frames, const int16_t* made, int16_t* matched) {
  const MatchWords& op = *model_->match;
  const uint32_t hop = model_->config.hop_length, delay = delay_of(*model_);
  float* newest = make_room(made_, made_size(*model_), hop);
  for (uint32_t i = 0; i < hop; ++i) newest[i] = made == nullptr ? 0.0f : static_cast<float>(made[i]) * 0x1p-15f;
  memcpy(make_room(signal_, signal_size(*model_), hop), newest, hop * sizeof *newest);

  for (uint32_t round = 0; round < (op.rounds == 0 ? 1 : op.rounds); ++round) run_round(kernels, frames, round == 0);
  hops_ += 1;
  if (hops_ <= delay) return false;
  for (uint32_t i = 0; i < hop; ++i) matched[i] = to_16_bits(signal_[i]);
  return true;
}

// First the newest frame whose window is complete, then those before it. A frame without features stays as it is.
void Matching::run_round(const Kernels& kernels, const Frames& frames, bool first_round) {
  const MatchWords& op = *model_->match;
  const uint32_t hop = model_->config.hop_length, size = window_of(*model_), reach = reach_of(*model_);
  for (uint32_t k = 0; k < op.iterations; ++k) {
    if (hops_ + 1 < uint64_t{reach} + k) break;
    const uint64_t frame = hops_ + 1 - reach - k;
    if (frame >= frames.taken) continue;
    const bool first_time = first_round && k == 0;
    float* piece = pieces_ + size_t{size} * (frame % op.iterations);
    float* wanted = wanted_ == nullptr ? nullptr : wanted_ + (piece - pieces_);
    if (first_time) {
      const float *window = model_->floats(op.window), *synthesis = model_->floats(op.synthesis);
      for (uint32_t j = 0; j < size; ++j) piece[j] = made_[j] * window[j] * synthesis[j];
    }
    float* signal = signal_ + size_t{delay_of(*model_) + 1 - reach - k} * hop - size / 2;
    iterate(kernels, frames.at(frame), signal, piece, wanted, first_time);
  }
}

// One iteration on a frame: takes its spectrum from the signal and puts a new piece in the place of the old one. With
// momentum it goes on in the direction in which the piece has changed (Perraudin, Balazs and Sondergaard 2013, "A fast
// Griffin-Lim algorithm").
void Matching::iterate(const Kernels& kernels, const float* target, float* signal, float* piece, float* wanted,
                       bool first_time) {
  const MatchWords& op = *model_->match;
  const uint32_t n = transform_of(*model_), size = window_of(*model_), first = (n - size) / 2;
  const float *window = model_->floats(op.window), *synthesis = model_->floats(op.synthesis);
  kernels.spectrum(fourier_, op.power, size, signal, window, size_);
  find_gains(kernels, target);
  kernels.from_spectrum(fourier_, gain_);
  const float* frame = fourier_.frame + first;
  const float share = 1.0f / static_cast<float>(n);
  // The first time there is no target before: the momentum is that of the next iteration.
  float* before = first_time ? nullptr : wanted;
  if (first_time && wanted != nullptr) {
    for (uint32_t j = 0; j < size; ++j) wanted[j] = frame[j] * share * synthesis[j];
  }
  kernels.put_piece(size, share, op.momentum, frame, synthesis, before, piece, signal);
}

// The gain of every bin, from the spectrum and the features that it should have.
void Matching::find_gains(const Kernels& kernels, const float* target) {
  const MatchWords& op = *model_->match;
  const uint32_t bins = transform_of(*model_) / 2 + 1, n_bands = model_->config.n_features;
  memset(size_ + bins, 0, (kGroup - 1) * sizeof *size_);  // products read up to a multiple of a block's columns
  const Matrix &to_bands = model_->tensors[op.to_bands], &to_bins = model_->tensors[op.to_bins];
  kernels.matvec_for(to_bands)(to_bands, size_, nullptr, band_gain_);
  const Correction correction = {op.scale, op.offset, op.floor, op.strength, op.limit};
  kernels.corrections(n_bands, correction, target, band_gain_);
  kernels.activate(n_bands, Activation::exp, nullptr, band_gain_);
  kernels.matvec_for(to_bins)(to_bins, band_gain_, nullptr, gain_);
}

}  // namespace linnet
