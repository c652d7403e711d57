// How fast products, transforms and a voice are here, with every kernel set:
// linnet-bench [VOICE.linnet FEATURES.f32 [SECONDS]]
//
// FEATURES.f32 as for examples/vocode.c; it is repeated until SECONDS (5) of audio are made. One thread. Under an
// emulator the times mean nothing.
#include <stdio.h>
#include <stdlib.h>

#include <linnet.h>

#include "interleaved.h"
#include "products.h"
#include "transforms.h"

namespace {

using bench::now;

constexpr size_t kTogether = 8;

int fail(const char* what, const char* why) {
  fprintf(stderr, "linnet-bench: %s: %s\n", what, why);
  return 1;
}

// The whole frames of a file; null where there are none.
float* read_frames(const char* path, uint32_t n_features, size_t* n_frames) {
  FILE* file = fopen(path, "rb");
  if (file == nullptr) return nullptr;
  fseek(file, 0, SEEK_END);
  const long size = ftell(file);
  rewind(file);
  *n_frames = size < 0 ? 0 : static_cast<size_t>(size) / (n_features * sizeof(float));
  auto* frames = static_cast<float*>(malloc(*n_frames * n_features * sizeof(float) + 1));
  if (frames != nullptr && fread(frames, n_features * sizeof(float), *n_frames, file) != *n_frames) *n_frames = 0;
  fclose(file);
  return frames;
}

struct Times {
  double total, slowest_frame;  // seconds
  size_t samples;               // of each stream
};

// The same frames for each of the streams, which are pulled together: one of them by itself where there is one.
linnet_status run(linnet_stream* const* streams, size_t n_streams, const linnet_info& info, const float* frames,
                  size_t n_frames, size_t n_samples, int16_t* const* samples, Times* times) {
  *times = {0, 0, 0};
  for (size_t t = 0; times->samples < n_samples; t = (t + 1) % n_frames) {
    size_t taken, made[kTogether];
    const double start = now();
    linnet_status status = LINNET_OK;
    for (size_t i = 0; status == LINNET_OK && i < n_streams; ++i)
      status = linnet_stream_push(streams[i], frames + t * info.n_features, 1, &taken);
    if (status == LINNET_OK && n_streams == 1) {
      status = linnet_stream_pull(streams[0], samples[0], info.hop_length, made);
    } else if (status == LINNET_OK) {
      status = linnet_streams_pull(streams, n_streams, samples, info.hop_length, made);
    }
    if (status != LINNET_OK) return status;
    const double seconds = now() - start;
    if (made[0] == 0) continue;  // the lookahead fills up
    times->total += seconds;
    times->samples += made[0];
    if (seconds > times->slowest_frame) times->slowest_frame = seconds;
  }
  return LINNET_OK;
}

// One stream, then kTogether of them.
linnet_status print_speed(const linnet_model* model, const linnet_info& info, const char* kernels, const float* frames,
                          size_t n_frames, size_t n_samples, int16_t* const* samples) {
  linnet_stream_options options;
  linnet_stream_options_init(&options);
  options.kernels = kernels;
  linnet_stream* streams[kTogether] = {};
  linnet_status status = LINNET_OK;
  for (size_t i = 0; status == LINNET_OK && i < kTogether; ++i) {
    options.seed = i;
    status = linnet_stream_create(model, &options, nullptr, 0, &streams[i]);
  }
  Times alone, together;
  if (status == LINNET_OK) status = run(streams, 1, info, frames, n_frames, n_samples, samples, &alone);
  if (status == LINNET_OK) status = linnet_stream_reset(streams[0], 0, 0);
  const size_t fewer = n_samples / kTogether + 1;
  if (status == LINNET_OK) status = run(streams, kTogether, info, frames, n_frames, fewer, samples, &together);
  if (status == LINNET_OK) {
    const double one = alone.total / static_cast<double>(alone.samples);
    const double of_eight = together.total / static_cast<double>(together.samples * kTogether);
    printf("%-12s %12.2f %16.3f %18.2f %14.2f %7.2f x\n", linnet_stream_kernels(streams[0]), 1e6 * one,
           one * info.sample_rate, 1e3 * alone.slowest_frame, 1e6 * of_eight, one / of_eight);
  }
  for (linnet_stream* stream : streams) linnet_stream_close(stream);
  return status;
}

int bench_voice(const char* voice, const char* features, double seconds) {
  linnet_model* model;
  linnet_error error;
  linnet_info info;
  linnet_status status = linnet_model_open(voice, &model, &error);
  if (status == LINNET_ERROR_SYSTEM) return perror(voice), 1;
  if (status != LINNET_OK) return fail(voice, error.message);
  linnet_model_info(model, &info);
  size_t n_frames = 0;
  float* frames = read_frames(features, info.n_features, &n_frames);
  if (frames == nullptr || n_frames == 0) return fail(features, "no whole frame of features");
  int16_t* samples[kTogether];
  for (int16_t*& of_stream : samples) {
    of_stream = static_cast<int16_t*>(malloc(info.hop_length * sizeof(int16_t)));
    if (of_stream == nullptr) return fail("samples", "no memory");
  }
  const size_t n_samples = seconds > 0 ? static_cast<size_t>(seconds * info.sample_rate) + 1 : 1;

  printf("%.1f s of audio at %u Hz, frames of %.1f ms\n", static_cast<double>(n_samples) / info.sample_rate,
         static_cast<unsigned>(info.sample_rate), 1e3 * info.hop_length / info.sample_rate);
  printf("%-12s %12s %16s %18s %14s %9s\n", "kernels", "us/sample", "real-time factor", "slowest frame, ms",
         "8 streams, us", "faster");
  for (size_t i = 0; linnet_kernels(i) != nullptr; ++i) {
    status = print_speed(model, info, linnet_kernels(i), frames, n_frames, n_samples, samples);
    if (status != LINNET_OK) return fail(linnet_kernels(i), linnet_status_text(status));
  }
  puts("8 streams, us: of each sample, where eight streams of the voice are pulled together.");
  for (int16_t* of_stream : samples) free(of_stream);
  free(frames);
  linnet_model_close(model);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 || argc > 4) return fail("usage", "linnet-bench [VOICE.linnet FEATURES.f32 [SECONDS]]");
  bench::print_products();
  bench::print_transforms();
  return argc < 3 ? 0 : bench_voice(argv[1], argv[2], argc > 3 ? atof(argv[3]) : 5.0);
}
