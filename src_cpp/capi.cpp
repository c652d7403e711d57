// The C API: argument checks and ownership around the model and the engine.
#include <errno.h>
#include <math.h>
#include <new>
#include <stdlib.h>
#include <string.h>

#include "cpu/float_mode.h"
#include "file/mapped_file.h"
#include "file/model.h"
#include "linnet.h"
#include "run/arena.h"
#include "run/engine.h"
#include "run/team.h"

struct linnet_model {
  linnet::MappedFile file;  // empty where the caller's memory is used
  linnet::Model model;
};

namespace {

using linnet::aligned;
using linnet::allocate;
using linnet::release;
using linnet::threads_in_range;

// Ends an open that failed: the status, with a message.
linnet_status fail(linnet_error* error, linnet_status status, const char* message) {
  if (error != nullptr) {
    strncpy(error->message, message, sizeof error->message - 1);
    error->message[sizeof error->message - 1] = 0;
    error->offset = 0;
  }
  return status;
}

linnet_status fail(linnet_error* error, linnet_status status) {
  return fail(error, status, linnet_status_text(status));
}

linnet_model* new_model() {
  void* memory = malloc(sizeof(linnet_model));
  return memory ? new (memory) linnet_model() : nullptr;
}

void delete_model(linnet_model* model) {
  linnet::free_model(&model->model);
  model->~linnet_model();
  free(model);
}

linnet_status read_into(linnet_model* opened, const void* data, size_t size, linnet_model** model,
                        linnet_error* error) {
  linnet_error unused;
  const linnet_status status =
      linnet::read_model(static_cast<const uint8_t*>(data), size, &opened->model, error ? error : &unused);
  if (status != LINNET_OK) {
    delete_model(opened);
    return status;
  }
  *model = opened;
  return LINNET_OK;
}

linnet_status open_file(const char* path, bool copy, linnet_model** model, linnet_error* error) {
  if (model == nullptr) return fail(error, LINNET_ERROR_ARGUMENT, "the place for the model is null");
  *model = nullptr;
  if (path == nullptr) return fail(error, LINNET_ERROR_ARGUMENT, "the path is null");
  linnet_model* opened = new_model();
  if (opened == nullptr) return fail(error, LINNET_ERROR_MEMORY);
  if (!opened->file.open(path, copy)) {
    const int system_error = errno;
    delete_model(opened);
    errno = system_error;
    return fail(error, LINNET_ERROR_SYSTEM, "the file could not be opened, mapped or read");
  }
  return read_into(opened, opened->file.data(), opened->file.size(), model, error);
}

bool all_finite(const float* features, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    if (!isfinite(features[i])) return false;
  }
  return true;
}

// Whether samples were made, and a score can no longer begin: those that are matched lag behind the engine, and the
// lanes of a subscale behind each other, so that it would skip some.
bool has_made(const linnet_stream& stream) {
  const bool lags = stream.matching != nullptr || stream.lanes != nullptr;
  return lags && !stream.scored && stream.sampler.step != 0;
}

// Whether its lanes stand where a score has left them, which is not where samples are made from.
bool has_scored(const linnet_stream& stream) { return stream.lanes != nullptr && stream.scored; }

}  // namespace

uint32_t linnet_version(void) {
  return LINNET_VERSION_MAJOR * 10000 + LINNET_VERSION_MINOR * 100 + LINNET_VERSION_PATCH;
}

const char* linnet_status_text(linnet_status status) {
  switch (status) {
    case LINNET_OK:
      return "no error";
    case LINNET_ERROR_ARGUMENT:
      return "an argument is null or out of range";
    case LINNET_ERROR_SYSTEM:
      return "the system refused; errno says why";
    case LINNET_ERROR_FORMAT:
      return "the file is not a .linnet file that this library can read";
    case LINNET_ERROR_MEMORY:
      return "too little memory";
    case LINNET_ERROR_ALIGNMENT:
      return "memory does not start at a multiple of 64 bytes";
    case LINNET_ERROR_KERNELS:
      return "this CPU has no kernel set of that name";
    case LINNET_ERROR_FEATURES:
      return "a feature is not a finite number";
    case LINNET_ERROR_STATE:
      return "the stream is not in a state that allows this call";
  }
  return "unknown status";
}

const char* linnet_kernels(size_t index) { return linnet::kernel_name(index); }

linnet_status linnet_model_open(const char* path, linnet_model** model, linnet_error* error) {
  return open_file(path, false, model, error);
}

linnet_status linnet_model_open_copy(const char* path, linnet_model** model, linnet_error* error) {
  return open_file(path, true, model, error);
}

linnet_status linnet_model_open_memory(const void* data, size_t size, linnet_model** model, linnet_error* error) {
  if (model == nullptr) return fail(error, LINNET_ERROR_ARGUMENT, "the place for the model is null");
  *model = nullptr;
  if (data == nullptr && size != 0) return fail(error, LINNET_ERROR_ARGUMENT, "the data is null");
  if (!aligned(data)) return fail(error, LINNET_ERROR_ALIGNMENT);
  linnet_model* opened = new_model();
  if (opened == nullptr) return fail(error, LINNET_ERROR_MEMORY);
  return read_into(opened, data, size, model, error);
}

linnet_status linnet_model_info(const linnet_model* model, linnet_info* info) {
  if (model == nullptr || info == nullptr) return LINNET_ERROR_ARGUMENT;
  const linnet::Config& config = model->model.config;
  *info = linnet_info{
      config.sample_rate,      config.hop_length,      config.n_features,     linnet::lookahead_of(model->model),
      config.samples_per_step, model->model.file_size, model->model.metadata, model->model.metadata_size};
  return LINNET_OK;
}

void linnet_model_close(linnet_model* model) {
  if (model != nullptr) delete_model(model);
}

void linnet_stream_options_init(linnet_stream_options* options) {
  if (options != nullptr) *options = linnet_stream_options{0, 0, 1.0f, 1, nullptr};
}

size_t linnet_stream_size(const linnet_model* model, const linnet_stream_options* options) {
  const uint32_t n_threads = options == nullptr ? 1 : options->threads;
  if (model == nullptr || !threads_in_range(n_threads)) return 0;
  return linnet::stream_size(model->model, n_threads);
}

linnet_status linnet_stream_create(const linnet_model* model, const linnet_stream_options* options, void* memory,
                                   size_t memory_size, linnet_stream** stream) {
  if (stream == nullptr) return LINNET_ERROR_ARGUMENT;
  *stream = nullptr;
  if (model == nullptr) return LINNET_ERROR_ARGUMENT;
  linnet_stream_options chosen;
  linnet_stream_options_init(&chosen);
  if (options != nullptr) chosen = *options;
  if (!(chosen.temperature >= 0.0f) || !isfinite(chosen.temperature)) return LINNET_ERROR_ARGUMENT;
  if (!threads_in_range(chosen.threads)) return LINNET_ERROR_ARGUMENT;
  linnet::Kernels kernels;
  if (!linnet::select_kernels(chosen.kernels, &kernels)) return LINNET_ERROR_KERNELS;

  const size_t size = linnet_stream_size(model, &chosen);
  const bool owned = memory == nullptr;
  if (owned) memory = allocate(size);
  if (memory == nullptr || (!owned && memory_size < size)) return LINNET_ERROR_MEMORY;
  if (!aligned(memory)) return LINNET_ERROR_ALIGNMENT;

  const linnet::IeeeFloatMode mode;
  const linnet::Sampling sampling = {chosen.seed, chosen.stream, chosen.temperature};
  const linnet::Threading threading = {chosen.threads, linnet::kBarrierCost};
  *stream = linnet::make_stream(model->model, kernels, sampling, threading, memory);
  if (*stream == nullptr) {
    if (owned) release(memory);
    return LINNET_ERROR_SYSTEM;
  }
  (*stream)->owned = owned;
  return LINNET_OK;
}

linnet_status linnet_stream_push(linnet_stream* stream, const float* frames, size_t n_frames, size_t* taken) {
  if (stream == nullptr || taken == nullptr || (frames == nullptr && n_frames != 0)) return LINNET_ERROR_ARGUMENT;
  *taken = 0;
  if (stream->ended) return LINNET_ERROR_STATE;
  const linnet::IeeeFloatMode mode;
  const size_t n_features = stream->model->config.n_features;
  while (*taken < n_frames && linnet::wants_frame(*stream)) {
    const float* frame = frames + *taken * n_features;
    if (!all_finite(frame, n_features)) return LINNET_ERROR_FEATURES;
    linnet::push_frame(stream, frame);
    *taken += 1;
  }
  return LINNET_OK;
}

linnet_status linnet_stream_finish(linnet_stream* stream) {
  if (stream == nullptr) return LINNET_ERROR_ARGUMENT;
  linnet::finish_stream(stream);
  return LINNET_OK;
}

size_t linnet_stream_available(const linnet_stream* stream) {
  return stream == nullptr ? 0 : static_cast<size_t>(linnet::samples_available(*stream));
}

linnet_status linnet_stream_pull(linnet_stream* stream, int16_t* samples, size_t capacity, size_t* made) {
  if (stream == nullptr || made == nullptr || (samples == nullptr && capacity != 0)) return LINNET_ERROR_ARGUMENT;
  *made = 0;
  if (has_scored(*stream)) return LINNET_ERROR_STATE;
  const linnet::IeeeFloatMode mode;
  *made = linnet::pull_samples(stream, capacity, samples);
  return LINNET_OK;
}

linnet_status linnet_streams_pull(linnet_stream* const* streams, size_t n_streams, int16_t* const* samples,
                                  size_t capacity, size_t* made) {
  if (n_streams != 0 && (streams == nullptr || samples == nullptr || made == nullptr)) return LINNET_ERROR_ARGUMENT;
  for (size_t i = 0; i < n_streams; ++i) {
    if (streams[i] == nullptr || (samples[i] == nullptr && capacity != 0)) return LINNET_ERROR_ARGUMENT;
    if (streams[i]->model != streams[0]->model) return LINNET_ERROR_ARGUMENT;
    for (size_t k = 0; k < i; ++k) {
      if (streams[k] == streams[i]) return LINNET_ERROR_ARGUMENT;
    }
  }
  if (n_streams != 0) memset(made, 0, n_streams * sizeof *made);
  for (size_t i = 0; i < n_streams; ++i) {
    if (has_scored(*streams[i])) return LINNET_ERROR_STATE;
  }
  const linnet::IeeeFloatMode mode;
  const size_t n_groups = (n_streams + linnet::kTogether - 1) / linnet::kTogether;
  for (size_t group = 0; group < n_groups; ++group) {
    const size_t first = group * n_streams / n_groups, last = (group + 1) * n_streams / n_groups;
    linnet::pull_together(streams + first, static_cast<uint32_t>(last - first), samples + first, capacity,
                          made + first);
  }
  return LINNET_OK;
}

linnet_status linnet_stream_score(linnet_stream* stream, const uint16_t* tokens, size_t n_tokens, size_t* made,
                                  double* nats) {
  if (stream == nullptr || made == nullptr || nats == nullptr || (tokens == nullptr && n_tokens != 0))
    return LINNET_ERROR_ARGUMENT;
  *made = 0;
  const uint32_t per_step = stream->model->config.samples_per_step;
  if (n_tokens % per_step != 0) return LINNET_ERROR_ARGUMENT;
  if (stream->position % per_step != 0 || has_made(*stream)) return LINNET_ERROR_STATE;
  for (size_t i = 0; i < n_tokens; ++i) {
    if (!linnet::token_exists(*stream, tokens[i])) return LINNET_ERROR_ARGUMENT;
  }
  const linnet::IeeeFloatMode mode;
  *made = linnet::score_tokens(stream, n_tokens, tokens, nats);
  return LINNET_OK;
}

linnet_status linnet_stream_reset(linnet_stream* stream, uint64_t seed, uint32_t stream_number) {
  if (stream == nullptr) return LINNET_ERROR_ARGUMENT;
  const linnet::IeeeFloatMode mode;
  linnet::reset_stream(stream, seed, stream_number);
  return LINNET_OK;
}

const char* linnet_stream_kernels(const linnet_stream* stream) {
  return stream == nullptr ? nullptr : stream->kernels.name;
}

void linnet_stream_close(linnet_stream* stream) {
  if (stream == nullptr) return;
  linnet::end_threads(stream);
  if (stream->owned) release(stream);
}
