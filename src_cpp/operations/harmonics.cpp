// The excitation of a voice: harmonics of its pitch where a frame is voiced, noise where it is not.
#include <math.h>
#include <string.h>

#include "file/validation.h"
#include "operations/pcm.h"
#include "operations/random.h"

namespace linnet {
namespace {

constexpr float kMostHarmonics = 1024;
constexpr float kMostFrequency = 0.5f;  // cycles a sample

struct HarmonicsWords {
  Code code;
  uint32_t most;
  uint32_t phases;  // vector: turns at even distances of frequency, from 0 on
  uint32_t unused1;
  Operand input;  // (2): cycles a sample, voiced
  Operand out;    // (2, most): cosine parts, sine parts
  uint32_t unused2[4];
  float top;        // cycles a sample: harmonics stay below
  float per_cycle;  // phases per cycle a sample
  uint32_t unused3[2];
};

void run_harmonics(Step& step, const Operation& operation, const Part&) {
  const auto& op = operation.as<HarmonicsWords>();
  const Matrix& phases = step.model->tensors[op.phases];
  const float *turns = step.model->floats(op.phases), *input = step.at(op.input);
  float *cosine = step.at(op.out), *sine = cosine + op.most;
  memset(cosine, 0, 2 * size_t{op.most} * sizeof *cosine);
  const float frequency = clamped(input[0], 0.0f, kMostFrequency), voiced = clamped(input[1], 0.0f, 1.0f);
  const float size = voiced * (2.0f * sqrtf(frequency));  // cosines of every 1 / frequency samples, of power 1
  for (uint32_t k = 0; k < op.most; ++k) {
    const float at = static_cast<float>(k + 1) * frequency;
    if (!(at < op.top)) break;
    const float place = at * op.per_cycle;
    float turn = 0.0f;
    if (place < static_cast<float>(phases.rows - 1)) {
      const uint32_t low = static_cast<uint32_t>(place);
      turn = fused(turns[low + 1] - turns[low], place - static_cast<float>(low), turns[low]);
    }
    cosine[k] = size * cos_turns(turn);
    sine[k] = -size * sin_turns(turn);
  }
}

struct SourceWords {
  Code code;
  uint32_t most;
  uint32_t samples;      // of a step
  uint32_t random_word;  // index of the first random number
  Operand pitch;         // (2, 2): of this frame and the next, cycles a sample, voiced
  Operand out;           // (samples)
  Operand parts;         // (2, 2, most): of this frame and the next, cosine parts, sine parts
  Operand state;         // (1): turns of the first harmonic, from -1/2 to 1/2
  uint32_t unused2[4];
};

bool check_source(Checks& checks, const Operation& operation) {
  if (operation.as<SourceWords>().samples != checks.config().samples_per_step)
    return checks.fail("its samples are not those of a step");
  if (checks.model.subscale != nullptr) return checks.fail("a source of sub-tensors");
  return checks.config().steps_per_row == 1 || checks.fail("several steps see one row");
}

// Near to normal, of mean 0 and variance 1: the sum of four bytes.
float noise_of(uint32_t word) {
  const uint32_t sum = (word & 255u) + (word >> 8 & 255u) + (word >> 16 & 255u) + (word >> 24);
  return (static_cast<float>(sum) - 510.0f) * 0x1.bb688cp-8f;
}

// Up to the last of which one of the four parts is not zero.
uint32_t count_of(const float* parts, uint32_t most) {
  uint32_t count = most;
  const float *a = parts, *b = a + most, *c = b + most, *d = c + most;
  while (count > 0 && a[count - 1] == 0.0f && b[count - 1] == 0.0f && c[count - 1] == 0.0f && d[count - 1] == 0.0f)
    --count;
  return count;
}

void run_source(Step& step, const Operation& operation, const Part&) {
  const auto& op = operation.as<SourceWords>();
  const Config& config = step.model->config;
  const uint32_t n = op.samples;
  const float *pitch = step.at(op.pitch), *parts = step.at(op.parts);
  float *out = step.at(op.out), *state = step.at(op.state);
  const float v0 = clamped(pitch[1], 0.0f, 1.0f), v1 = clamped(pitch[3], 0.0f, 1.0f);
  float f0 = clamped(pitch[0], 0.0f, kMostFrequency), f1 = clamped(pitch[2], 0.0f, kMostFrequency);
  f0 = v0 == 0.0f ? f1 : f0;
  f1 = v1 == 0.0f ? f0 : f1;
  const uint32_t count = count_of(parts, op.most);
  const Sampler& sampler = *step.sampler;
  float at[kMostHarmonicSamples] = {}, cosine[kMostHarmonicSamples] = {}, sine[kMostHarmonicSamples] = {};
  float sum[kMostHarmonicSamples] = {};
  float turn = clamped(*state, -0.5f, 0.5f);
  PhiloxBlock random = {};
  for (uint32_t i = 0; i < n; ++i) {
    at[i] = static_cast<float>(step.row * n + i) / static_cast<float>(config.hop_length);
    const uint32_t index = op.random_word + i;
    if (i == 0 || index % 4 == 0) random = random_block(sampler, index);
    const float noise = (1.0f - fused(v1 - v0, at[i], v0)) * sampler.sampling.temperature;
    sum[i] = noise * noise_of(random.words[index % 4]);
    if (count == 0) continue;
    turn = turn + fused(f1 - f0, at[i], f0);
    turn = turn < 0.5f ? turn : turn - 1.0f;
    cosine[i] = cos_turns(turn);
    sine[i] = sin_turns(turn);
  }
  *state = turn;
  if (count != 0)
    step.kernels->harmonics(static_cast<uint32_t>(round_up(n, kGroup)), count, cosine, sine, at, parts, op.most, sum);
  memcpy(out, sum, n * sizeof *out);
}

uint64_t source_products(const Model&, const Operation& operation) {
  const auto& op = operation.as<SourceWords>();
  return uint64_t{4} * op.most * op.samples;
}

}  // namespace

namespace rows {

constexpr Word kHarmonicsWords[] = {number(1, "most", 1, kMostHarmonics),
                                    named(2, WordKind::vector, "phases"),
                                    reads(4, "input", {Size::constant, 2, 0}),
                                    writes(6, "out", {Size::multiple, 2, 1}),
                                    real(12, "top", "in (0, 1/2]; cycles a sample", kAboveZero, kMostFrequency),
                                    real(13, "per_cycle", "0 or more; phases per cycle a sample", 0),
                                    {}};

const OperationRow harmonics = {Code::harmonics, "harmonics", kInFrame,      kHarmonicsWords, nullptr,
                                nullptr,         nullptr,     run_harmonics, nullptr};

constexpr Word kSourceWords[] = {number(1, "most", 1, kMostHarmonics),
                                 number(2, "samples", 1, kMostHarmonicSamples),
                                 number(3, "random_word", 0, kNone, "index of the first random number"),
                                 reads(4, "pitch", {Size::constant, 4, 0}),
                                 writes(6, "out", {Size::word, 2, 0}),
                                 reads(8, "parts", {Size::multiple, 4, 1}),
                                 updates(10, "state", {Size::constant, 1, 0}),
                                 {}};

const OperationRow source = {Code::source, "source", kInSample,  kSourceWords, nullptr,
                             check_source, nullptr,  run_source, nullptr,      source_products};

}  // namespace rows
}  // namespace linnet
