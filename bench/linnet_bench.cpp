// How fast a voice runs here, with every kernel set: linnet-bench VOICE.linnet FEATURES.f32 [SECONDS]
//
// FEATURES.f32 as for examples/vocode.c; it is repeated until SECONDS (5) of audio are made. One thread, one stream.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <linnet.h>

namespace {

int fail(const char* what, const char* why) {
  fprintf(stderr, "linnet-bench: %s: %s\n", what, why);
  return 1;
}

double now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
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
  size_t samples;
};

linnet_status run(linnet_stream* stream, const linnet_info& info, const float* frames, size_t n_frames,
                  size_t n_samples, int16_t* samples, Times* times) {
  *times = {0, 0, 0};
  for (size_t t = 0; times->samples < n_samples; t = (t + 1) % n_frames) {
    size_t taken, made;
    const double start = now();
    linnet_status status = linnet_stream_push(stream, frames + t * info.n_features, 1, &taken);
    if (status == LINNET_OK) status = linnet_stream_pull(stream, samples, info.hop_length, &made);
    if (status != LINNET_OK) return status;
    const double seconds = now() - start;
    if (made == 0) continue;  // the lookahead fills up
    times->total += seconds;
    times->samples += made;
    if (seconds > times->slowest_frame) times->slowest_frame = seconds;
  }
  return LINNET_OK;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return fail("usage", "linnet-bench VOICE.linnet FEATURES.f32 [SECONDS]");
  linnet_model* model;
  linnet_error error;
  linnet_info info;
  linnet_status status = linnet_model_open(argv[1], &model, &error);
  if (status == LINNET_ERROR_SYSTEM) return perror(argv[1]), 1;
  if (status != LINNET_OK) return fail(argv[1], error.message);
  linnet_model_info(model, &info);
  size_t n_frames = 0;
  float* frames = read_frames(argv[2], info.n_features, &n_frames);
  if (frames == nullptr || n_frames == 0) return fail(argv[2], "no whole frame of features");
  auto* samples = static_cast<int16_t*>(malloc(info.hop_length * sizeof(int16_t)));
  if (samples == nullptr) return fail("samples", "no memory");
  const double seconds = argc > 3 ? atof(argv[3]) : 5.0;
  const size_t n_samples = seconds > 0 ? static_cast<size_t>(seconds * info.sample_rate) + 1 : 1;

  printf("%.1f s of audio at %u Hz, frames of %.1f ms\n", static_cast<double>(n_samples) / info.sample_rate,
         static_cast<unsigned>(info.sample_rate), 1e3 * info.hop_length / info.sample_rate);
  printf("%-12s %12s %16s %18s\n", "kernels", "us/sample", "real-time factor", "slowest frame, ms");
  for (size_t i = 0; linnet_kernels(i) != nullptr; ++i) {
    linnet_stream_options options;
    linnet_stream_options_init(&options);
    options.kernels = linnet_kernels(i);
    linnet_stream* stream;
    Times times;
    status = linnet_stream_create(model, &options, nullptr, 0, &stream);
    if (status == LINNET_OK) status = run(stream, info, frames, n_frames, n_samples, samples, &times);
    if (status != LINNET_OK) return fail(linnet_kernels(i), linnet_status_text(status));
    const double per_sample = times.total / static_cast<double>(times.samples);
    printf("%-12s %12.2f %16.3f %18.2f\n", linnet_stream_kernels(stream), 1e6 * per_sample,
           per_sample * info.sample_rate, 1e3 * times.slowest_frame);
    linnet_stream_close(stream);
  }
  free(samples);
  free(frames);
  linnet_model_close(model);
  return 0;
}
