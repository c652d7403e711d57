#include "run_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/checksum.h"

namespace {

constexpr size_t kHeaderSize = 128;
constexpr unsigned kFrames = 3;
constexpr size_t kSamplesPerFrame = 24;

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

uint32_t header_u32(const unsigned char* file, size_t offset) {
  uint32_t value;
  memcpy(&value, file + offset, sizeof value);
  return value;
}

// A valid file may ask for hours of work; these bounds keep each one to milliseconds.
bool quick(const unsigned char* file, const linnet_info& info) {
  const uint32_t priming = header_u32(file, 48), arena_size = header_u32(file, 52);
  const uint64_t operations = uint64_t{header_u32(file, 68)} + header_u32(file, 72);
  const uint64_t runs = priming + info.lookahead + kFrames * kSamplesPerFrame;
  // A match transforms up to 16 x 2 times per frame and round.
  const bool matches = header_u32(file, 120) != 0;
  const uint32_t rounds = matches ? header_u32(file, header_u32(file, 104) + 64 * operations + 14 * 4) : 0;
  return (!matches || info.lookahead <= 32) && rounds <= 2 && arena_size <= (1u << 18) && info.hop_length <= 1024 &&
         operations * runs <= 20000 && info.n_features <= 4096;
}

uint32_t run_stream(const linnet_model* model, const linnet_info& info, const char* kernels, uint32_t hash) {
  linnet_stream_options options;
  linnet_stream_options_init(&options);
  options.seed = 7;
  options.kernels = kernels;
  const size_t size = linnet_stream_size(model, &options);
  void* memory = nullptr;
  require(posix_memalign(&memory, 64, size) == 0, "a stream fits into memory");
  linnet_stream* stream = nullptr;
  require(linnet_stream_create(model, &options, memory, size, &stream) == LINNET_OK, "a valid model has streams");
  require(strcmp(linnet_stream_kernels(stream), kernels) == 0, "the kernels asked for run");

  std::vector<float> frame(info.n_features);
  std::vector<int16_t> samples(kSamplesPerFrame);
  for (unsigned t = 0; t < kFrames + info.lookahead; ++t) {
    for (size_t i = 0; i < frame.size(); ++i) frame[i] = static_cast<float>((i + t) % 17) / 8.0f - 1.0f;
    size_t taken = 0, made = 0;
    require(linnet_stream_push(stream, frame.data(), 1, &taken) == LINNET_OK, "a finite frame is accepted");
    if (taken == 0) break;  // samples wait: the hop is longer than what is pulled of it
    require(linnet_stream_pull(stream, samples.data(), samples.size(), &made) == LINNET_OK, "samples can be pulled");
    require(made <= samples.size(), "no more samples than asked for");
    hash = fnv1a(hash, samples.data(), made * sizeof samples[0]);
  }
  const uint16_t token = 0;
  size_t made = 0;
  double nats = 0;
  const linnet_status status = linnet_stream_score(stream, &token, 1, &made, &nats);
  require(status == LINNET_OK || status == LINNET_ERROR_STATE || status == LINNET_ERROR_ARGUMENT, "score is typed");
  require(linnet_stream_finish(stream) == LINNET_OK, "a stream can be finished");
  require(linnet_stream_pull(stream, samples.data(), samples.size(), &made) == LINNET_OK, "samples can be pulled");
  hash = fnv1a(hash, samples.data(), made * sizeof samples[0]);
  linnet_stream_close(stream);
  free(memory);
  return hash;
}

}  // namespace

void seal(std::vector<unsigned char>* file) {
  if (file->size() < kHeaderSize) return;
  const uint64_t size = file->size();
  memcpy(file->data() + 16, &size, sizeof size);
  const uint32_t checksum = linnet::crc32(file->data() + 32, file->size() - 32);
  memcpy(file->data() + 24, &checksum, sizeof checksum);
}

RunResult run_file(const std::vector<unsigned char>& file) {
  void* memory = nullptr;
  if (posix_memalign(&memory, 64, file.size()) != 0) abort();
  if (!file.empty()) memcpy(memory, file.data(), file.size());
  const auto* data = static_cast<const unsigned char*>(memory);

  RunResult result = {};
  linnet_model* model = nullptr;
  result.status = linnet_model_open_memory(data, file.size(), &model, &result.error);
  if (result.status != LINNET_OK) {
    require(result.status == LINNET_ERROR_FORMAT, "a bad file is a format error");
    require(model == nullptr, "a bad file gives no model");
    require(memchr(result.error.message, 0, sizeof result.error.message) && result.error.message[0], "errors say why");
  } else {
    linnet_info info;
    require(linnet_model_info(model, &info) == LINNET_OK, "a model describes itself");
    const uint32_t numbers[] = {info.sample_rate, info.hop_length, info.n_features, info.lookahead};
    const uint32_t described = fnv1a(fnv1a(2166136261u, numbers, sizeof numbers), info.metadata, info.metadata_size);
    result.hash = described;
    for (size_t i = 0; linnet_kernels(i) != nullptr && quick(data, info); ++i) {
      const uint32_t hash = run_stream(model, info, linnet_kernels(i), described);
      require(i == 0 || hash == result.hash, "all kernel sets give the same samples");
      result.hash = hash;
    }
    linnet_model_close(model);
  }
  free(memory);
  return result;
}
