#include "operations/bands.h"

#include <math.h>
#include <string.h>

#include "operations/draw.h"

namespace linnet {
namespace {

// Sections z in turn: y[n] = z x[n] + x[n-1] - z y[n-1]. `previous` is the first one's last input and then the last
// output of each, which is the next one's last input.
float all_pass(uint32_t sections, const float* z, float* previous, float x) {
  for (uint32_t k = 0; k < sections; ++k) {
    const float y = fmaf(z[k], x - previous[k + 1], previous[k]);
    previous[k] = x;
    x = y;
  }
  previous[sections] = x;
  return x;
}

// Cut to 16 bits.
float cut(float v) {
  v = v > -32768.0f ? v : -32768.0f;
  v = v < 32767.0f ? v : 32767.0f;
  return static_cast<float>(static_cast<int32_t>(v));
}

}  // namespace

void merge_bands(const BandsOp& op, const Matrix* filters, const float* bands, float* state, int16_t* samples) {
  const uint32_t n_bands = 1u << op.levels;
  float x[kMostBands];
  memcpy(x, bands, n_bands * sizeof *x);
  if (op.levels > 0) {
    const uint32_t sections = filters->rows / 2;
    const float* first = static_cast<const float*>(filters->values);
    const float* second = first + sections;
    float* memory = state + 1;
    for (uint32_t k = 0; k < n_bands; ++k) x[k] = x[k] * 32768.0f;
    // Two signals of n samples after two of n samples become one of 2 n after the other.
    for (uint32_t n = 1; n < n_bands; n *= 2) {
      float merged[kMostBands];
      for (uint32_t pair = 0; pair < n_bands / (2 * n); ++pair, memory += 2 * (sections + 1)) {
        // The upper half of a band that was split lies upside down, so its own halves have changed places.
        const float* low = x + (2 * pair + pair % 2) * n;
        const float* high = x + (2 * pair + 1 - pair % 2) * n;
        float* out = merged + 2 * pair * n;
        for (uint32_t t = 0; t < n; ++t) {
          out[2 * t] = cut(all_pass(sections, second, memory + sections + 1, low[t] + high[t]));
          out[2 * t + 1] = cut(all_pass(sections, first, memory, low[t] - high[t]));
        }
      }
      memcpy(x, merged, n_bands * sizeof *x);
    }
    for (uint32_t k = 0; k < n_bands; ++k) x[k] = x[k] * 0x1p-15f;
  }
  for (uint32_t k = 0; k < n_bands; ++k) samples[k] = to_pcm(x[k], op.pre_emphasis, state);
}

}  // namespace linnet
