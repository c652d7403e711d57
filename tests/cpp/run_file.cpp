#include "run_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memory>

#include "cpu/float_mode.h"
#include "file/checksum.h"
#include "file/header.h"
#include "operations/match.h"
#include "operations/subscale.h"
#include "run/arena.h"
#include "run/stream.h"

namespace {

using namespace linnet;

constexpr unsigned kFrames = 3;
constexpr size_t kSamplesPerFrame = 8;
constexpr size_t kStreams = 3;  // that are pulled together

void require(bool holds, const char* promise) {
  if (holds) return;
  fprintf(stderr, "broken promise: %s\n", promise);
  abort();
}

uint32_t fnv1a(uint32_t hash, const void* data, size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 16777619u;
  return hash;
}

struct Free {
  void operator()(void* memory) const { free(memory); }
};
using Memory = std::unique_ptr<void, Free>;

Memory aligned_memory(size_t size) {
  void* memory = nullptr;
  require(posix_memalign(&memory, kAlignment, size) == 0, "there is memory");
  return Memory(memory);
}

// What a file may ask for takes seconds; these bounds keep each one to milliseconds.
bool quick(const Model& model) {
  const Config& config = model.config;
  const uint64_t operations = uint64_t{config.n_frame_operations} + config.n_sample_operations;
  const SubscaleWords* subscale = model.subscale;
  const uint64_t ahead = subscale == nullptr ? 0 : uint64_t{subscale->lag()} * subscale->sub_tensors;
  const uint64_t runs = uint64_t{config.priming} + lookahead_of(model) + kFrames * kSamplesPerFrame + ahead;
  const uint32_t rounds = model.match == nullptr ? 0 : model.match->rounds;
  return (model.match == nullptr || lookahead_of(model) <= 32) && rounds <= 2 && config.arena_size <= (1u << 18) &&
         config.hop_length <= 1024 && operations * runs <= 20000 && config.n_features <= 4096;
}

// A stream of the API, and how far it has been fed.
class Fed {
 public:
  Fed(const linnet_model* model, const char* kernels, uint64_t seed) {
    linnet_model_info(model, &info_);
    linnet_stream_options options;
    linnet_stream_options_init(&options);
    options.seed = seed;
    options.kernels = kernels;
    const size_t size = linnet_stream_size(model, &options);
    memory_ = aligned_memory(size);
    require(linnet_stream_create(model, &options, memory_.get(), size, &stream_) == LINNET_OK, "a model has streams");
    require(strcmp(linnet_stream_kernels(stream_), kernels) == 0, "the kernels asked for run");
  }
  ~Fed() { linnet_stream_close(stream_); }
  Fed(const Fed&) = delete;
  Fed& operator=(const Fed&) = delete;

  linnet_stream* get() const { return stream_; }

  // Whether the next frame was taken: not where samples wait, as the hop is longer than what is pulled of it.
  bool push() {
    std::vector<float> frame(info_.n_features);
    for (size_t i = 0; i < frame.size(); ++i) frame[i] = static_cast<float>((i + pushed_) % 17) / 8.0f - 1.0f;
    size_t taken = 0;
    require(linnet_stream_push(stream_, frame.data(), 1, &taken) == LINNET_OK, "a finite frame is accepted");
    pushed_ += taken;
    return taken == 1;
  }

  std::vector<int16_t> pull() {
    std::vector<int16_t> samples(kSamplesPerFrame);
    size_t made = 0;
    require(linnet_stream_pull(stream_, samples.data(), samples.size(), &made) == LINNET_OK, "samples can be pulled");
    require(made <= samples.size(), "no more samples than asked for");
    samples.resize(made);
    return samples;
  }

  std::vector<int16_t> finish() {
    require(linnet_stream_finish(stream_) == LINNET_OK, "a stream can be finished");
    return pull();
  }

  unsigned frames() const { return kFrames + info_.lookahead; }

 private:
  linnet_info info_;
  Memory memory_;
  linnet_stream* stream_ = nullptr;
  size_t pushed_ = 0;
};

using Chunks = std::vector<std::vector<int16_t>>;

// What each pull gave, and one after the end.
Chunks pull_alone(const linnet_model* model, const char* kernels) {
  Fed stream(model, kernels, 7);
  Chunks chunks;
  for (unsigned t = 0; t < stream.frames() && stream.push(); ++t) chunks.push_back(stream.pull());
  chunks.push_back(stream.finish());
  return chunks;
}

// The same of a stream that is pulled together with others.
void pull_together_with_others(const linnet_model* model, const char* kernels, const Chunks& alone) {
  Fed streams[kStreams] = {{model, kernels, 6}, {model, kernels, 7}, {model, kernels, 8}};
  linnet_stream* all[kStreams];
  for (size_t i = 0; i < kStreams; ++i) all[i] = streams[i].get();
  for (size_t k = 0; k < alone.size(); ++k) {
    for (Fed& stream : streams) {
      if (k + 1 == alone.size()) {
        require(linnet_stream_finish(stream.get()) == LINNET_OK, "a stream can be finished");
      } else {
        require(stream.push(), "a stream takes frames as one does that is pulled alone");
      }
    }
    int16_t samples[kStreams][kSamplesPerFrame];
    int16_t* const to[kStreams] = {samples[0], samples[1], samples[2]};
    size_t made[kStreams];
    require(linnet_streams_pull(all, kStreams, to, kSamplesPerFrame, made) == LINNET_OK, "streams can be pulled");
    require(std::vector<int16_t>(samples[1], samples[1] + made[1]) == alone[k], "together as alone");
  }
}

// The same of a stream whose two threads share all that can be shared.
void pull_with_two_threads(const Model& model, const char* name, const Chunks& alone) {
  const IeeeFloatMode mode;
  Kernels kernels;
  require(select_kernels(name, &kernels), "the kernels exist");
  const Memory memory = aligned_memory(stream_size(model, 2));
  Stream* stream = make_stream(model, kernels, Sampling{7, 0, 1.0f}, Threading{2, 0}, memory.get());
  require(stream != nullptr, "the system gives threads");
  std::vector<float> frame(model.config.n_features);
  for (size_t k = 0; k < alone.size(); ++k) {
    for (size_t i = 0; i < frame.size(); ++i) frame[i] = static_cast<float>((i + k) % 17) / 8.0f - 1.0f;
    if (k + 1 == alone.size()) {
      finish_stream(stream);
    } else {
      push_frame(stream, frame.data());
    }
    std::vector<int16_t> samples(kSamplesPerFrame);
    samples.resize(pull_samples(stream, samples.size(), samples.data()));
    require(samples == alone[k], "two threads as one");
  }
  end_threads(stream);
}

// Nats of tokens all over the classes, in pieces of several steps.
double score(const linnet_model* model, const Config& config, const char* kernels) {
  Fed stream(model, kernels, 7);
  std::vector<uint16_t> tokens(size_t{config.samples_per_step} * 5);
  double nats = 0.0;
  if (config.high_classes == 0) {  // nothing is drawn from classes: no token exists
    size_t made = 1;
    const linnet_status status = linnet_stream_score(stream.get(), tokens.data(), tokens.size(), &made, &nats);
    require(status == LINNET_ERROR_ARGUMENT && made == 0, "without classes there is no score");
    return nats;
  }
  uint32_t number = 0;
  for (unsigned t = 0; t < stream.frames() && stream.push(); ++t) {
    for (size_t done = 0, made = 1; made != 0 && done < kSamplesPerFrame; done += made) {
      for (uint16_t& token : tokens) {
        number = number * 1664525u + 1013904223u;
        const uint32_t high = (number >> 8) % config.high_classes;
        token =
            static_cast<uint16_t>(config.low_classes == 0 ? high : high * 256 + (number >> 24) % config.low_classes);
      }
      require(linnet_stream_score(stream.get(), tokens.data(), tokens.size(), &made, &nats) == LINNET_OK, "scores");
    }
  }
  return nats;
}

// `choice` is any number that follows from the file: of its bits depends which kernel set makes samples of several
// streams together, which takes twice as long as those of one, and which, of one file in 16, with two threads, which
// takes ten times as long.
uint32_t run_model(const linnet_model* model, const Model& inside, uint32_t described, uint32_t choice) {
  size_t n_sets = 0;
  while (linnet_kernels(n_sets) != nullptr) ++n_sets;
  uint32_t result = described;
  double expected = 0.0;
  for (size_t i = 0; i < n_sets; ++i) {
    const char* kernels = linnet_kernels(i);
    const Chunks chunks = pull_alone(model, kernels);
    uint32_t hash = described;
    for (const std::vector<int16_t>& chunk : chunks) hash = fnv1a(hash, chunk.data(), chunk.size() * sizeof chunk[0]);
    const double nats = score(model, inside.config, kernels);
    require(i == 0 || hash == result, "all kernel sets give the same samples");
    // A score of logits that are not finite is not defined.
    require(i == 0 || nats == expected || !isfinite(nats) || !isfinite(expected), "all kernel sets give one score");
    result = hash;
    expected = nats;
    if (i == choice % n_sets) pull_together_with_others(model, kernels, chunks);
    if (i == choice / 64 % (16 * n_sets)) pull_with_two_threads(inside, kernels, chunks);
  }
  return result;
}

}  // namespace

void seal(std::vector<unsigned char>* file) {
  if (file->size() < sizeof(Header)) return;
  const uint64_t size = file->size();
  memcpy(file->data() + offsetof(Header, file_size), &size, sizeof size);
  const uint32_t checksum = crc32(file->data() + 32, file->size() - 32);
  memcpy(file->data() + offsetof(Header, checksum), &checksum, sizeof checksum);
}

RunResult run_file(const std::vector<unsigned char>& file) {
  const Memory memory = aligned_memory(file.size());
  if (!file.empty()) memcpy(memory.get(), file.data(), file.size());
  const auto* data = static_cast<const unsigned char*>(memory.get());

  RunResult result = {};
  linnet_model* model = nullptr;
  result.status = linnet_model_open_memory(data, file.size(), &model, &result.error);
  if (result.status != LINNET_OK) {
    require(result.status == LINNET_ERROR_FORMAT, "a bad file is a format error");
    require(model == nullptr, "a bad file gives no model");
    require(memchr(result.error.message, 0, sizeof result.error.message) && result.error.message[0], "errors say why");
    return result;
  }
  linnet_info info;
  require(linnet_model_info(model, &info) == LINNET_OK, "a model describes itself");
  const uint32_t numbers[] = {info.sample_rate, info.hop_length, info.n_features, info.lookahead};
  result.hash = fnv1a(fnv1a(2166136261u, numbers, sizeof numbers), info.metadata, info.metadata_size);
  Model inside;
  linnet_error error;
  require(read_model(data, file.size(), &inside, &error) == LINNET_OK, "a file is read twice alike");
  if (quick(inside)) result.hash = run_model(model, inside, result.hash, crc32(data, file.size()));
  free_model(&inside);
  linnet_model_close(model);
  return result;
}
