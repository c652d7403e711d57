// The operations of a program, as they lie in the file: sixteen u32 words each (export/FORMAT.md, "Programs").
#pragma once

#include <stdint.h>

#include "kernels/contract.h"

namespace linnet {

constexpr uint32_t kNone = 0xFFFFFFFFu;

enum class Code : uint32_t {
  linear = 1,
  gates,
  history,
  upsample,
  add,
  embedding,
  draw,
  output,
  logistics,
  bands,
  step_up,
  predict,
  match
};

// The arena from offset + stride * (number of the row within its frame), in floats.
struct Operand {
  uint32_t offset;
  uint32_t stride;
};

struct LinearOp {
  Code code;
  uint32_t weights;  // tensor
  uint32_t bias;     // tensor or kNone
  Activation activation;
  Operand in, out, add;  // add.offset may be kNone
  uint32_t unused[6];
};

struct GatesOp {
  Code code;
  uint32_t units;
  uint32_t unused1[2];
  Operand recurrent, state, input;
  uint32_t unused2[6];
};

struct HistoryOp {
  Code code;
  uint32_t size;     // floats per frame
  uint32_t frames;   // in the window
  uint32_t initial;  // tensor: vector of the window after a reset, or kNone
  Operand in, out;
  uint32_t unused2[8];
};

struct UpsampleOp {
  Code code;
  uint32_t weights;  // tensor: vector of the frame's rows x window
  uint32_t channels;
  uint32_t window;
  Operand in;
  uint32_t out, row_stride;
  uint32_t unused[8];
};

struct AddOp {
  Code code;
  uint32_t size;
  uint32_t unused1;
  Activation activation;
  Operand in, out, add;
  uint32_t unused2[6];
};

struct EmbeddingOp {
  Code code;
  uint32_t table;  // tensor
  uint32_t slot;
  uint32_t unused1[3];
  Operand out;
  uint32_t unused2[8];
};

struct DrawOp {
  Code code;
  uint32_t classes;
  uint32_t slot;
  uint32_t initial_token;
  Operand in, out;
  float scale, offset;
  float initial_value;
  uint32_t word;  // index of the random word
  uint32_t unused[4];
};

// excitation: mu-law, of a sample's excitation in gains.
enum class Companding : uint32_t { linear, mu_law, excitation };

struct OutputOp {
  Code code;
  uint32_t high;  // slot
  uint32_t low;   // slot or kNone
  Companding companding;
  Operand predicted;  // of an excitation: prediction and gain
  Operand state;
  float scale, offset;
  float mu, log1p_mu, inverse_mu;
  float pre_emphasis;
  Operand past;  // of an excitation: where the sample goes
};

enum class Spread : uint32_t { exp, softplus };

constexpr uint32_t kMostBands = 64;
constexpr uint32_t kMostMixtures = 256;
constexpr uint32_t kMostSections = 16;  // of a band filter

struct LogisticsOp {
  Code code;
  uint32_t mixtures;  // per band
  uint32_t bands;
  Spread spread;      // how a band's scales come from their parameters
  Operand in;         // logits of the mixtures, (bands, mixtures)
  Operand out;        // (bands)
  Operand means;      // (bands, mixtures)
  Operand scales;     // (bands, mixtures)
  float least_scale;  // parameters below count as this
  uint32_t word;      // index of the first of 2 x bands random words
  float steps;        // a value has them per unit, cut to 16 bits; 0: any value of [-1, 1]
  uint32_t classes;   // values that a score knows
};

struct BandsOp {
  Code code;
  uint32_t levels;   // 2^levels bands
  uint32_t weights;  // tensor: vector of the filters' coefficients, or kNone
  uint32_t unused1;
  Operand in, state;
  uint32_t unused2[5];
  float pre_emphasis;
  uint32_t unused3[2];
};

constexpr uint32_t kMostOrder = 64;

struct StepUpOp {
  Code code;
  uint32_t order;
  uint32_t unused1[2];
  Operand in, out;  // (order)
  uint32_t unused2[8];
};

struct PredictOp {
  Code code;
  uint32_t order;
  uint32_t unused1[2];
  Operand in;    // prediction coefficients (order)
  Operand out;   // (4)
  Operand gain;  // (1)
  Operand past;  // samples (order), the newest first
  float least_gain;
  uint32_t unused2[3];
};

constexpr uint32_t kMostVisits = 16;
constexpr uint32_t kMostTransform = 16384;

// What follows the samples: frame by frame their bands are brought to the features, over and over.
struct MatchOp {
  Code code;
  uint32_t window;      // tensor: vector of the analysis window
  uint32_t synthesis;   // tensor: vector of as many floats, what the pieces are multiplied with before they are added
  uint32_t turns;       // tensor: vector of the transform's size, cosines and then sines
  uint32_t bands;       // tensor: matrix, features x bins
  uint32_t spread;      // tensor: matrix, bins x features
  uint32_t power;       // of a bin's magnitude: 1 or 2
  uint32_t visits;      // of every frame
  float scale, offset;  // of a feature: the logarithm that its band should have
  float floor;          // of a band
  float strength;       // of the correction, 1 / power for all of it
  float limit;          // of the logarithm of a gain
  uint32_t unused[3];
};

union Operation {
  uint32_t words[16];
  Code code;
  LinearOp linear;
  GatesOp gates;
  HistoryOp history;
  UpsampleOp upsample;
  AddOp add;
  EmbeddingOp embedding;
  DrawOp draw;
  OutputOp output;
  LogisticsOp logistics;
  BandsOp bands;
  StepUpOp step_up;
  PredictOp predict;
  MatchOp match;
};
static_assert(sizeof(Operation) == 64, "an operation has sixteen words");
static_assert(sizeof(LinearOp) == 64 && sizeof(GatesOp) == 64 && sizeof(HistoryOp) == 64 && sizeof(UpsampleOp) == 64,
              "");
static_assert(sizeof(AddOp) == 64 && sizeof(EmbeddingOp) == 64 && sizeof(DrawOp) == 64 && sizeof(OutputOp) == 64, "");
static_assert(sizeof(LogisticsOp) == 64 && sizeof(BandsOp) == 64 && sizeof(StepUpOp) == 64 && sizeof(PredictOp) == 64,
              "");
static_assert(sizeof(MatchOp) == 64, "");

}  // namespace linnet
